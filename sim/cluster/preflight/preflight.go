// Package preflight looks, before helm does anything, whether a cluster can take an installation. The product has no such thing:
// it is the simulator's. It changes nothing but that a pod of a probe lives for seconds.
package preflight

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/probe"
)

// State is what a look at one thing has come to.
type State string

// The states.
const (
	OK      State = "ok"
	Failed  State = "failed"    // the installation would not go through
	Unknown State = "not tried" // nothing was asked that would tell
)

// Check is what was seen of one thing.
type Check struct {
	Check  string `json:"check"` // "room"
	State  State  `json:"state"`
	Seen   string `json:"seen"`             // in words
	Remedy string `json:"remedy,omitempty"` // what to do, unless the state is ok
}

// Options say what is to be installed, and where.
type Options struct {
	Kubeconfig   string // path of the file for helm and kubectl
	Namespace    string // of the release
	Release      string // its name, which is that of its Deployment
	Chart        string // name of its chart
	Replicas     int
	Sizing       sim.Sizing     // of each replica
	StorageClass string         // of its volumes; empty: the cluster's default
	Probe        *probe.Options // what a pod shall pull and reach; nil: not tried. Config and Namespace are set here
}

// Run looks at everything. It returns Unavailable if the API server does not answer, and Forbidden if something may not be looked at.
func Run(ctx context.Context, o Options) ([]Check, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.WarningHandler = rest.NoWarnings{} // a dry run may be warned, as kubectl is
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("open the cluster: %w", err)
	}
	l := &looker{Options: o, client: client, where: o.Namespace}
	if _, err := client.CoreV1().Namespaces().Get(ctx, o.Namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		l.where = metav1.NamespaceDefault // helm makes the other
	} else if err != nil {
		return nil, told("look for the namespace", err)
	}
	var out []Check
	for _, look := range []func(context.Context) ([]Check, error){l.fits, l.storage, l.free, func(ctx context.Context) ([]Check, error) { return l.reaches(ctx, config) }} {
		checks, err := look(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, checks...)
	}
	return out, nil
}

type looker struct {
	Options
	client *kubernetes.Clientset
	where  string // namespace in which pods are tried

	simulated bool // it is the cluster in the simulator's process
}

// told classifies what the API server refuses.
func told(doing string, err error) error {
	if apierrors.IsForbidden(err) {
		return &sim.Error{Kind: sim.Forbidden, Msg: fmt.Sprintf("to look before the installation, a right is missing: %s: %v", doing, err), Err: err, Help: "ask the cluster's administrator for it"}
	}
	return &sim.Error{Kind: sim.Unavailable, Msg: fmt.Sprintf("the cluster does not tell: %s: %v", doing, err), Err: err, Help: "see that 'kubectl version' is answered"}
}

// fits looks whether the pods are admitted, and whether all of them and the one more of an update find room.
func (l *looker) fits(ctx context.Context) ([]Check, error) {
	pod, err := l.pod()
	if err != nil {
		return nil, err
	}
	admitted := Check{Check: "admission", State: OK, Seen: "the cluster admits a pod of that size"}
	made, err := l.client.CoreV1().Pods(l.where).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		pod = made // as policies change it
	case probe.NotAdmitted(err):
		admitted.State, admitted.Seen, admitted.Remedy = Failed, err.Error(), "a quota or a policy of the namespace "+l.where+" refuses it: ask the cluster's administrator"
	default:
		return nil, told("make a pod, for a trial", err)
	}
	need := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	asked := resource.MustParse(l.Sizing.CPURequest)
	if need.Cpu().Cmp(asked) != 0 {
		admitted.Seen += fmt.Sprintf(", and lets it request %s of a CPU instead of %s", need.Cpu(), &asked)
	}
	nodes, err := l.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, told("list nodes", err)
	}
	pods, err := l.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, told("list pods", err)
	}
	room, words := 0, []string{}
	for _, n := range nodes.Items {
		l.simulated = l.simulated || strings.HasPrefix(n.Status.NodeInfo.ContainerRuntimeVersion, "dpesim:")
		count, why := l.roomOn(n, pods.Items, need)
		room += count
		words = append(words, n.Name+" "+why)
	}
	c := Check{Check: "room", State: OK, Seen: fmt.Sprintf("for %d of the %d replicas that an update has: %s", min(room, l.Replicas+1), l.Replicas+1, strings.Join(words, "; "))}
	if room < l.Replicas+1 {
		c.State = Failed
		c.Remedy = fmt.Sprintf("make room for %s CPU and %s memory more, %d times; or take fewer replicas, or a smaller tier", need.Cpu(), need.Memory(), l.Replicas+1-room)
	}
	return []Check{admitted, c}, nil
}

// pod is what the Deployment would make, as far as room and policies go.
func (l *looker) pod() (*corev1.Pod, error) {
	var figures [4]resource.Quantity
	for i, s := range []string{l.Sizing.CPURequest, l.Sizing.MemoryRequest, l.Sizing.CPULimit, l.Sizing.MemoryLimit} {
		var err error
		if figures[i], err = resource.ParseQuantity(s); err != nil {
			return nil, sim.Errorf(sim.Invalid, "the sizing of a replica has %q, which is no quantity", s).WithHelp("give a Kubernetes quantity, as 600m or 2000Mi")
		}
	}
	return probe.Pod(metav1.ObjectMeta{GenerateName: "dpesim-preflight-", Namespace: l.where, Labels: probe.Labels()}, corev1.Container{
		Name: "dpe", Image: "dpe",
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: figures[0], corev1.ResourceMemory: figures[1]},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: figures[2], corev1.ResourceMemory: figures[3]},
		},
	}), nil
}

// roomOn tells how many replicas a node could take, the release's own that are there included.
func (l *looker) roomOn(n corev1.Node, pods []corev1.Pod, need corev1.ResourceList) (count int, why string) {
	if n.Spec.Unschedulable {
		return 0, "takes no new pods (cordoned)"
	}
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute {
			return 0, "has the taint " + t.ToString()
		}
	}
	if !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}) {
		return 0, "is not ready"
	}
	cpu, memory, slots := n.Status.Allocatable.Cpu().DeepCopy(), n.Status.Allocatable.Memory().DeepCopy(), n.Status.Allocatable.Pods().Value()
	for _, p := range pods {
		if p.Spec.NodeName != n.Name || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed ||
			p.Namespace == l.Namespace && p.Labels["app.kubernetes.io/instance"] == l.Release && p.Labels["app.kubernetes.io/name"] == l.Chart {
			continue
		}
		taken := resourcehelper.PodRequests(&p, resourcehelper.PodResourcesOptions{})
		cpu.Sub(*taken.Cpu())
		memory.Sub(*taken.Memory())
		slots--
	}
	count = int(max(0, min(times(cpu.MilliValue(), need.Cpu().MilliValue()), times(memory.Value(), need.Memory().Value()), slots)))
	return count, fmt.Sprintf("takes %d, of %s CPU, %s memory and %d pods that are free", count, &cpu, &memory, slots)
}

// times tells how often need is in have.
func times(have, need int64) int64 {
	if need <= 0 {
		return int64(^uint32(0)) // as often as one likes
	}
	return have / need
}

// storage looks for the storage class of the volumes.
func (l *looker) storage(ctx context.Context) ([]Check, error) {
	classes, err := l.client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, told("list storage classes", err)
	}
	names := []string{}
	for _, s := range classes.Items {
		names = append(names, s.Name)
	}
	i := slices.IndexFunc(classes.Items, func(s storagev1.StorageClass) bool {
		return s.Name == l.StorageClass || l.StorageClass == "" && s.Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
	})
	c := Check{Check: "storage class", State: OK}
	if i < 0 {
		c.State, c.Seen = Failed, fmt.Sprintf("there is none called %q", l.StorageClass)
		if l.StorageClass == "" {
			c.Seen = "the cluster has no default one"
		}
		if len(names) > 0 {
			c.Seen += "; it has " + strings.Join(names, ", ")
		}
		c.Remedy = "name one that is there, by the value scratch.storageClassName, or have one made the default"
		return []Check{c}, nil
	}
	s := classes.Items[i]
	c.Seen = fmt.Sprintf("%s, of %s", s.Name, s.Provisioner)
	if s.VolumeBindingMode != nil && *s.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer {
		c.Seen += "; volumes are made where the pod is scheduled"
	} else {
		c.Seen += "; volumes are made at once, and the pod must follow them"
	}
	return []Check{c}, nil
}

// free looks whether the release's name is free, or the DPE's own.
func (l *looker) free(ctx context.Context) ([]Check, error) {
	c := Check{Check: "release", State: OK, Seen: fmt.Sprintf("the name %s is free in the namespace %s", l.Release, l.Namespace)}
	secrets, err := l.client.CoreV1().Secrets(l.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,name=" + l.Release})
	if err != nil {
		return nil, told("list releases of Helm", err)
	}
	if len(secrets.Items) > 0 {
		name := chartOf(secrets.Items[len(secrets.Items)-1].Data["release"])
		c.Seen = fmt.Sprintf("it is installed in the namespace %s, and would be upgraded", l.Namespace)
		if name != l.Chart {
			c.State, c.Seen = Failed, fmt.Sprintf("%s in the namespace %s is a release of another chart: %s", l.Release, l.Namespace, name)
			c.Remedy = "install into another namespace"
		}
		return []Check{c}, nil
	}
	d, err := l.client.AppsV1().Deployments(l.Namespace).Get(ctx, l.Release, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return []Check{c}, nil
	}
	if err != nil {
		return nil, told("look for a Deployment of that name", err)
	}
	if d.Annotations["meta.helm.sh/release-name"] != l.Release {
		c.State, c.Seen = Failed, fmt.Sprintf("a Deployment %s is in the namespace %s that is not Helm's, and Helm would refuse to take it over", l.Release, l.Namespace)
		c.Remedy = "install into another namespace"
	}
	return []Check{c}, nil
}

// chartOf reads the name of a release's chart as Helm keeps it: base64 of compressed JSON. Source: helm.sh/helm/v4,
// pkg/storage/driver/util.go.
func chartOf(text []byte) string {
	var release struct {
		Chart struct {
			Metadata struct{ Name string }
		}
	}
	raw, err := base64.StdEncoding.DecodeString(string(text))
	if err == nil {
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(raw)); err == nil {
			err = json.NewDecoder(r).Decode(&release)
		}
	}
	if err != nil {
		return "it cannot be read"
	}
	return release.Chart.Metadata.Name
}

// reaches tries from a pod whether nodes can pull and pods find what engines need.
func (l *looker) reaches(ctx context.Context, config *rest.Config) ([]Check, error) {
	if l.Probe == nil {
		return []Check{{Check: "reach", State: Unknown, Seen: "there is no DPE yet, whose access token and endpoints a pod could try", Remedy: "add the DPE in the portal, and look again"}}, nil
	}
	o := *l.Probe
	o.Config, o.Namespace = config, l.where
	rows, err := probe.Run(ctx, o)
	if err != nil {
		return nil, err
	}
	var out []Check
	for _, r := range rows {
		c := Check{Check: r.Name, State: OK, Seen: r.Tried}
		if !r.OK {
			c.State, c.Seen, c.Remedy = Failed, r.Tried+": "+r.Problem, r.Help
		}
		out = append(out, c)
	}
	if l.simulated {
		out = append(out, Check{
			Check: "network", State: Unknown, Seen: "not modelled: pods of the cluster in the process find names and ports as the simulator does",
			Remedy: "look on a real cluster for what DNS, network policies and firewalls do there",
		})
	}
	return out, nil
}
