package controller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

const (
	// sliceManager marks the slices that this controller keeps, endpointsManager its Endpoints. Source: Kubernetes,
	// "Well-Known Labels".
	sliceManager        = "endpointslice-controller.k8s.io"
	endpointsManager    = "endpoint-controller"
	endpointsManagerKey = "endpoints.kubernetes.io/managed-by"
	// sliceSize is Kubernetes' default for the endpoints of one slice.
	sliceSize = 100
)

// endpoints tells of each Service with a selector where its pods are: as EndpointSlices, which the cluster's DNS reads, and
// as the older Endpoints.
type endpoints struct {
	*Manager
	loop *loop
}

func (m *Manager) addEndpoints() error {
	c := &endpoints{Manager: m}
	c.loop = m.loop("endpoints", c.sync)
	core := m.informers.Core().V1()
	services := core.Services().Lister()
	match := func(o metav1.Object) {
		list, err := services.Services(o.GetNamespace()).List(labels.Everything())
		if err != nil {
			return // of a cache: never
		}
		for _, s := range list {
			if len(s.Spec.Selector) > 0 && isSubset(s.Spec.Selector, o.GetLabels()) {
				c.loop.add(keyOf(s))
			}
		}
	}
	of := func(o metav1.Object) { // what was changed or deleted by somebody else is put right
		if name := o.GetLabels()[discoveryv1.LabelServiceName]; name != "" {
			c.loop.add(cache.NewObjectName(o.GetNamespace(), name).String())
		}
	}
	_, err := core.Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { forward(o, match) },
		UpdateFunc: func(was, o any) { forward(was, match); forward(o, match) },
		DeleteFunc: func(o any) { forward(o, match) },
	})
	for _, err := range []error{
		err,
		on(core.Services().Informer(), func(o metav1.Object) { c.loop.add(keyOf(o)) }),
		on(m.informers.Discovery().V1().EndpointSlices().Informer(), of),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *endpoints) sync(ctx context.Context, key string) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	s, err := c.informers.Core().V1().Services().Lister().Services(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		err := c.client.CoreV1().Endpoints(name.Namespace).Delete(ctx, name.Name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if err != nil || len(s.Spec.Selector) == 0 || s.Spec.Type == corev1.ServiceTypeExternalName {
		return err
	}
	pods, err := c.informers.Core().V1().Pods().Lister().Pods(s.Namespace).List(labels.SelectorFromSet(s.Spec.Selector))
	if err != nil {
		return err
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	groups := groupsOf(s, pods)
	if err := c.writeEndpoints(ctx, s, groups); err != nil {
		return fmt.Errorf("endpoints: %w", err)
	}
	if err := c.writeSlices(ctx, s, groups); err != nil {
		return fmt.Errorf("endpoint slices: %w", err)
	}
	return nil
}

// group is the pods of a service whose ports have the same numbers.
type group struct {
	key   string
	ports []discoveryv1.EndpointPort
	pods  []*corev1.Pod
}

// groupsOf sorts a service's pods that have an address and have not ended by what its ports lead to. A service without
// pods has one group, empty.
func groupsOf(s *corev1.Service, pods []*corev1.Pod) []*group {
	byKey := map[string]*group{}
	for _, p := range pods {
		if p.Status.PodIP == "" || ended(p) {
			continue
		}
		ports := portsOf(s, p)
		key := portsKey(ports)
		if byKey[key] == nil {
			byKey[key] = &group{key: key, ports: ports}
		}
		byKey[key].pods = append(byKey[key].pods, p)
	}
	var out []*group
	for _, k := range slices.Sorted(maps.Keys(byKey)) {
		out = append(out, byKey[k])
	}
	return out
}

func portsKey(ports []discoveryv1.EndpointPort) string {
	var b strings.Builder
	for _, p := range ports {
		_, _ = fmt.Fprintf(&b, "%s/%d/%s ", ptr.Deref(p.Name, ""), ptr.Deref(p.Port, 0), ptr.Deref(p.Protocol, ""))
	}
	return b.String()
}

// portsOf resolves a service's ports on p. A name that p does not have leads nowhere: that port is left out.
func portsOf(s *corev1.Service, p *corev1.Pod) []discoveryv1.EndpointPort {
	out := []discoveryv1.EndpointPort{}
	for i := range s.Spec.Ports {
		sp := &s.Spec.Ports[i]
		n, ok := portOn(p, sp)
		if !ok {
			continue
		}
		out = append(out, discoveryv1.EndpointPort{Name: &sp.Name, Port: &n, Protocol: &sp.Protocol, AppProtocol: sp.AppProtocol})
	}
	return out
}

func portOn(p *corev1.Pod, sp *corev1.ServicePort) (int32, bool) {
	if sp.TargetPort.Type == intstr.Int {
		if sp.TargetPort.IntVal == 0 {
			return sp.Port, true
		}
		return sp.TargetPort.IntVal, true
	}
	for _, c := range p.Spec.Containers {
		for _, cp := range c.Ports {
			if cp.Name == sp.TargetPort.StrVal && cp.Protocol == sp.Protocol {
				return cp.ContainerPort, true
			}
		}
	}
	return 0, false
}

func podRef(p *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID}
}

// writeEndpoints keeps the Endpoints of s. Pods on their way out are not in it.
func (c *endpoints) writeEndpoints(ctx context.Context, s *corev1.Service, groups []*group) error {
	var subsets []corev1.EndpointSubset
	for _, g := range groups {
		var set corev1.EndpointSubset
		for _, p := range g.pods {
			ready, _ := readiness(p)
			a := corev1.EndpointAddress{IP: p.Status.PodIP, TargetRef: podRef(p)}
			if p.Spec.NodeName != "" {
				a.NodeName = &p.Spec.NodeName
			}
			switch {
			case s.Spec.PublishNotReadyAddresses || ready && p.DeletionTimestamp == nil:
				set.Addresses = append(set.Addresses, a)
			case p.DeletionTimestamp == nil:
				set.NotReadyAddresses = append(set.NotReadyAddresses, a)
			}
		}
		for _, port := range g.ports {
			set.Ports = append(set.Ports, corev1.EndpointPort{Name: *port.Name, Port: *port.Port, Protocol: *port.Protocol, AppProtocol: port.AppProtocol})
		}
		if len(set.Addresses)+len(set.NotReadyAddresses) > 0 {
			subsets = append(subsets, set)
		}
	}
	api := c.client.CoreV1().Endpoints(s.Namespace)
	want := maps.Clone(s.Labels)
	if want == nil {
		want = map[string]string{}
	}
	want[endpointsManagerKey] = endpointsManager
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		want[corev1.IsHeadlessService] = ""
	}
	have, err := api.Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = api.Create(ctx, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: s.Name, Labels: want}, Subsets: subsets}, metav1.CreateOptions{})
		return unlessThere(err)
	case err != nil:
		return err
	case apiequality.Semantic.DeepEqual(have.Subsets, subsets) && maps.Equal(have.Labels, want):
		return nil
	}
	have.Labels, have.Subsets = want, subsets
	_, err = api.Update(ctx, have, metav1.UpdateOptions{})
	return err
}

// writeSlices keeps the EndpointSlices of s: as few as hold its endpoints, each with the same ports.
func (c *endpoints) writeSlices(ctx context.Context, s *corev1.Service, groups []*group) error {
	api := c.client.DiscoveryV1().EndpointSlices(s.Namespace)
	list, err := api.List(ctx, metav1.ListOptions{LabelSelector: labels.Set{
		discoveryv1.LabelServiceName: s.Name, discoveryv1.LabelManagedBy: sliceManager,
	}.String()})
	if err != nil {
		return err
	}
	wanted := slicesOf(s, groups)
	free := list.Items
	for _, w := range wanted {
		i := slices.IndexFunc(free, func(x discoveryv1.EndpointSlice) bool { return portsKey(x.Ports) == portsKey(w.Ports) })
		if i < 0 && len(free) > 0 && len(wanted) == 1 {
			i = 0 // its ports have changed
		}
		if i < 0 {
			if _, err := api.Create(ctx, w, metav1.CreateOptions{}); unlessThere(err) != nil {
				return err
			}
			continue
		}
		have := free[i]
		free = slices.Delete(slices.Clone(free), i, i+1)
		if apiequality.Semantic.DeepEqual(have.Endpoints, w.Endpoints) && apiequality.Semantic.DeepEqual(have.Ports, w.Ports) && maps.Equal(have.Labels, w.Labels) {
			continue
		}
		have.Endpoints, have.Ports, have.Labels = w.Endpoints, w.Ports, w.Labels
		if _, err := api.Update(ctx, &have, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	for i := range free {
		if err := api.Delete(ctx, free[i].Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// slicesOf gives the slices that s shall have. One without endpoints says that there are none.
func slicesOf(s *corev1.Service, groups []*group) []*discoveryv1.EndpointSlice {
	if len(groups) == 0 {
		groups = []*group{{ports: []discoveryv1.EndpointPort{}}}
	}
	var out []*discoveryv1.EndpointSlice
	for _, g := range groups {
		for first := true; first || len(g.pods) > 0; first = false {
			n := min(len(g.pods), sliceSize)
			out = append(out, sliceOf(s, g.ports, g.pods[:n]))
			g = &group{ports: g.ports, pods: g.pods[n:]}
		}
	}
	return out
}

func sliceOf(s *corev1.Service, ports []discoveryv1.EndpointPort, pods []*corev1.Pod) *discoveryv1.EndpointSlice {
	x := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: s.Name + "-", Namespace: s.Namespace, Labels: maps.Clone(s.Labels),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s, corev1.SchemeGroupVersion.WithKind("Service"))},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: ports, Endpoints: []discoveryv1.Endpoint{},
	}
	if x.Labels == nil {
		x.Labels = map[string]string{}
	}
	x.Labels[discoveryv1.LabelServiceName], x.Labels[discoveryv1.LabelManagedBy] = s.Name, sliceManager
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		x.Labels[corev1.IsHeadlessService] = ""
	}
	for _, p := range pods {
		serving, _ := readiness(p)
		serving = serving || s.Spec.PublishNotReadyAddresses
		going := p.DeletionTimestamp != nil
		e := discoveryv1.Endpoint{
			Addresses: []string{p.Status.PodIP}, TargetRef: podRef(p),
			Conditions: discoveryv1.EndpointConditions{Ready: new(serving && (!going || s.Spec.PublishNotReadyAddresses)), Serving: new(serving), Terminating: &going},
		}
		if p.Spec.NodeName != "" {
			e.NodeName = &p.Spec.NodeName
		}
		x.Endpoints = append(x.Endpoints, e)
	}
	return x
}
