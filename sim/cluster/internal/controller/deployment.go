package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

// Annotations that kubectl's rollout commands read.
const (
	revisionKey        = "deployment.kubernetes.io/revision"
	revisionHistoryKey = "deployment.kubernetes.io/revision-history"
	lastAppliedKey     = "kubectl.kubernetes.io/last-applied-configuration"
	// What a set was last scaled for: by these a change of the Deployment's size is told from a step of its rollout.
	desiredKey = "deployment.kubernetes.io/desired-replicas"
	ceilingKey = "deployment.kubernetes.io/max-replicas"
)

// deployments rolls each Deployment's template out over its ReplicaSets.
type deployments struct {
	*Manager
	loop *loop
	from record.Source
}

func (m *Manager) addDeployments() error {
	c := &deployments{Manager: m, from: record.Source{Component: "deployment-controller"}}
	c.loop = m.loop("deployment", c.sync)
	if err := on(m.informers.Apps().V1().Deployments().Informer(), func(o metav1.Object) { c.loop.add(keyOf(o)) }); err != nil {
		return err
	}
	if err := c.loop.controllers(m.informers.Apps().V1().ReplicaSets().Informer(), "Deployment", c.wanted); err != nil {
		return err
	}
	// A Recreate waits for pods to be gone, and those belong to ReplicaSets.
	sets := m.informers.Apps().V1().ReplicaSets().Lister()
	return on(m.informers.Core().V1().Pods().Informer(), func(o metav1.Object) {
		r := metav1.GetControllerOf(o)
		if r == nil || r.Kind != "ReplicaSet" || o.GetDeletionTimestamp() == nil {
			return
		}
		if s, err := sets.ReplicaSets(o.GetNamespace()).Get(r.Name); err == nil {
			if d := metav1.GetControllerOf(s); d != nil && d.Kind == "Deployment" {
				c.loop.add(cache.NewObjectName(o.GetNamespace(), d.Name).String())
			}
		}
	})
}

// wanted has a ReplicaSet that nobody controls seen by the Deployments whose selector finds it.
func (c *deployments) wanted(set metav1.Object) {
	all, err := c.informers.Apps().V1().Deployments().Lister().Deployments(set.GetNamespace()).List(labels.Everything())
	if err != nil {
		return // of a cache: never
	}
	for _, d := range all {
		if finds(d.Spec.Selector, set) {
			c.loop.add(keyOf(d))
		}
	}
}

// rollout is one Deployment with the ReplicaSets it controls, as they are now.
type rollout struct {
	d     *appsv1.Deployment
	next  *appsv1.ReplicaSet   // of the present template; nil: not made yet
	old   []*appsv1.ReplicaSet // oldest revision first
	made  string               // the ReplicaSet that this sync made
	cause uint64               // Seq of the event that lets the rollout go on; 0: somebody changed the Deployment
}

func (r *rollout) all() []*appsv1.ReplicaSet {
	if r.next == nil {
		return r.old
	}
	return append(slices.Clone(r.old), r.next)
}

func (c *deployments) sync(ctx context.Context, key string) error {
	d, found, err := live(ctx, key, c.client.AppsV1().Deployments)
	if !found {
		return err
	}
	r, err := c.read(ctx, d)
	if err != nil {
		return err
	}
	if d.DeletionTimestamp == nil {
		if err := c.step(ctx, r); err != nil {
			return err
		}
	}
	return c.report(ctx, r)
}

// read gathers what d controls.
func (c *deployments) read(ctx context.Context, d *appsv1.Deployment) (*rollout, error) {
	list, err := c.client.AppsV1().ReplicaSets(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
	if err != nil {
		return nil, err
	}
	r := &rollout{d: d}
	for i := range list.Items {
		s := &list.Items[i]
		if metav1.GetControllerOf(s) == nil && s.DeletionTimestamp == nil && d.DeletionTimestamp == nil {
			if s, err = c.adoptSet(ctx, d, s); err != nil {
				return nil, err
			}
		}
		if s == nil || !metav1.IsControlledBy(s, d) {
			continue
		}
		if sameTemplate(&s.Spec.Template, &d.Spec.Template) && (r.next == nil || s.CreationTimestamp.Before(&r.next.CreationTimestamp)) {
			if r.next != nil {
				r.old = append(r.old, r.next)
			}
			r.next = s
			continue
		}
		r.old = append(r.old, s)
	}
	slices.SortStableFunc(r.old, func(a, b *appsv1.ReplicaSet) int { return revisionOf(a) - revisionOf(b) })
	if d.Generation != d.Status.ObservedGeneration {
		r.cause = c.trail.Acts.Change(d.UID, d.Generation)
	} else {
		c.trail.Lock()
		defer c.trail.Unlock()
		for _, s := range r.all() {
			r.cause = max(r.cause, c.trail.Of(s.UID).News)
		}
	}
	return r, nil
}

// adoptSet makes d the controller of a set that its selector finds and that nobody controls: one that an earlier Deployment
// left as an orphan. Nil without an error means that it is gone.
func (c *deployments) adoptSet(ctx context.Context, d *appsv1.Deployment, s *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error) {
	next := s.DeepCopy()
	next.OwnerReferences = append(next.OwnerReferences, *metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment")))
	next, err := c.client.AppsV1().ReplicaSets(s.Namespace).Update(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // gone is no error, see above
	}
	return next, err
}

// sameTemplate compares two pod templates but for the hash that this controller adds.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	x, y := a.DeepCopy(), b.DeepCopy()
	delete(x.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(y.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return apiequality.Semantic.DeepEqual(x, y)
}

func revisionOf(o metav1.Object) int {
	n, err := strconv.Atoi(o.GetAnnotations()[revisionKey])
	if err != nil {
		return 0 // none yet
	}
	return n
}

// step does what can be done now.
func (c *deployments) step(ctx context.Context, r *rollout) error {
	n := ptr.Deref(r.d.Spec.Replicas, 1)
	if r.d.Spec.Paused || resized(r, n) {
		return c.resize(ctx, r, n)
	}
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		for i := range r.old {
			if err := c.scale(ctx, r, r.old[i], 0); err != nil {
				return err
			}
		}
		if left, err := c.oldPods(ctx, r); err != nil || left {
			return err
		}
		if err := c.ensureNext(ctx, r); err != nil {
			return err
		}
		if err := c.scale(ctx, r, r.next, n); err != nil {
			return err
		}
		return c.tidy(ctx, r)
	}
	b := boundsOf(r.d.Spec.Strategy.RollingUpdate, n)
	if err := c.ensureNext(ctx, r); err != nil {
		return err
	}
	sets := []set{setOf(r.next)}
	for _, s := range r.old {
		sets = append(sets, setOf(s))
	}
	plan := roll(n, b, sets)
	for _, s := range append([]*appsv1.ReplicaSet{r.next}, r.old...) {
		if to, ok := plan[s.Name]; ok {
			if err := c.scale(ctx, r, s, to); err != nil {
				return err
			}
		}
	}
	return c.tidy(ctx, r)
}

func wanted(sets []*appsv1.ReplicaSet) (n int32) {
	for _, s := range sets {
		n += ptr.Deref(s.Spec.Replicas, 1)
	}
	return n
}

// resized tells whether a set that has pods was scaled for another size of the Deployment than n.
func resized(r *rollout, n int32) bool {
	return slices.ContainsFunc(r.all(), func(s *appsv1.ReplicaSet) bool {
		desired, said := s.Annotations[desiredKey]
		return said && ptr.Deref(s.Spec.Replicas, 1) > 0 && desired != strconv.Itoa(int(n))
	})
}

// resize brings a Deployment to n replicas without taking its rollout any further: its sets keep their shares.
func (c *deployments) resize(ctx context.Context, r *rollout, n int32) error {
	sets := []set{{}} // no new set yet
	if r.next != nil {
		sets[0] = setOf(r.next)
	}
	for _, s := range r.old {
		sets = append(sets, setOf(s))
	}
	b := bounds{}
	if r.d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		b = boundsOf(r.d.Spec.Strategy.RollingUpdate, n)
	}
	plan := share(n, b.surge, sets)
	for _, s := range r.all() {
		to, ok := plan[s.Name]
		if !ok {
			to = ptr.Deref(s.Spec.Replicas, 1)
		}
		if err := c.scale(ctx, r, s, to); err != nil {
			return err
		}
	}
	return nil
}

// oldPods tells whether a pod of an old set is still there, ended ones aside.
func (c *deployments) oldPods(ctx context.Context, r *rollout) (bool, error) {
	pods, err := c.client.CoreV1().Pods(r.d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(r.d.Spec.Selector)})
	if err != nil {
		return false, err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if !ended(p) && slices.ContainsFunc(r.old, func(s *appsv1.ReplicaSet) bool { return metav1.IsControlledBy(p, s) }) {
			return true, nil
		}
	}
	return false, nil
}

// ensureNext makes the set of the present template, empty, if there is none, and numbers it as the newest revision. A set of an earlier revision becomes the newest by that: a rollback.
func (c *deployments) ensureNext(ctx context.Context, r *rollout) error {
	revision := 1
	for _, s := range r.old {
		revision = max(revision, revisionOf(s)+1)
	}
	if r.next == nil {
		s, err := c.make(ctx, r, revision)
		if err != nil {
			return err
		}
		r.next, r.made = s, s.Name
	} else if s := r.next.DeepCopy(); c.annotate(r.d, s, max(revision, revisionOf(s))) || s.Spec.MinReadySeconds != r.d.Spec.MinReadySeconds {
		s.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
		s, err := c.client.AppsV1().ReplicaSets(s.Namespace).Update(ctx, s, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		r.next = s
	}
	if now := r.next.Annotations[revisionKey]; r.d.Annotations[revisionKey] != now {
		d := r.d.DeepCopy()
		metav1.SetMetaDataAnnotation(&d.ObjectMeta, revisionKey, now)
		d, err := c.client.AppsV1().Deployments(d.Namespace).Update(ctx, d, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		r.d = d
	}
	return nil
}

// annotate copies the Deployment's annotations, its change cause among them, to its set and numbers it. It tells whether
// anything changed.
func (c *deployments) annotate(d *appsv1.Deployment, s *appsv1.ReplicaSet, revision int) bool {
	before := maps.Clone(s.Annotations)
	for k, v := range d.Annotations {
		if !slices.Contains([]string{revisionKey, revisionHistoryKey, lastAppliedKey, desiredKey, ceilingKey}, k) {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, k, v)
		}
	}
	if was := s.Annotations[revisionKey]; was != strconv.Itoa(revision) {
		if was != "" {
			history := was
			if h := s.Annotations[revisionHistoryKey]; h != "" {
				history = h + "," + was
			}
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, revisionHistoryKey, history)
		}
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, revisionKey, strconv.Itoa(revision))
	}
	return !maps.Equal(before, s.Annotations)
}

// make makes the set of the present template. Its name is the Deployment's and a hash of the template; if another
// template took that name, the collision is counted and enters the hash.
func (c *deployments) make(ctx context.Context, r *rollout, revision int) (*appsv1.ReplicaSet, error) {
	hash, err := templateHash(&r.d.Spec.Template, r.d.Status.CollisionCount)
	if err != nil {
		return nil, err
	}
	template := r.d.Spec.Template.DeepCopy()
	template.Labels = labels.Merge(template.Labels, labels.Set{appsv1.DefaultDeploymentUniqueLabelKey: hash})
	s := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: r.d.Name + "-" + hash, Namespace: r.d.Namespace, Labels: template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r.d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To[int32](0), MinReadySeconds: r.d.Spec.MinReadySeconds, Template: *template,
			Selector: metav1.AddLabelToSelector(r.d.Spec.Selector.DeepCopy(), appsv1.DefaultDeploymentUniqueLabelKey, hash),
		},
	}
	c.annotate(r.d, s, revision)
	sizeFor(r.d, s)
	made, err := c.client.AppsV1().ReplicaSets(s.Namespace).Create(ctx, s, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		r.d.Status.CollisionCount = new(ptr.Deref(r.d.Status.CollisionCount, 0) + 1)
		if _, uerr := c.client.AppsV1().Deployments(s.Namespace).UpdateStatus(ctx, r.d, metav1.UpdateOptions{}); uerr != nil {
			return nil, uerr
		}
		return nil, err
	}
	if err != nil {
		c.events.Warning(c.from, r.d, "ReplicaSetCreateError", "Failed to create new replica set %q: %v", s.Name, err)
		return nil, err
	}
	return made, nil
}

func templateHash(t *corev1.PodTemplateSpec, collisions *int32) (string, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("hash the pod template: %w", err)
	}
	h := fnv.New32a()
	_, _ = h.Write(b) // never fails
	if collisions != nil {
		_, _ = fmt.Fprint(h, *collisions)
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10)), nil
}

// scale sets how many replicas a set shall have.
func (c *deployments) scale(ctx context.Context, r *rollout, s *appsv1.ReplicaSet, to int32) error {
	from := ptr.Deref(s.Spec.Replicas, 1)
	c.trail.Lock()
	defer c.trail.Unlock()
	next := s.DeepCopy()
	next.Spec.Replicas = &to
	if !sizeFor(r.d, next) && from == to {
		return nil
	}
	next, err := c.client.AppsV1().ReplicaSets(s.Namespace).Update(ctx, next, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	*s = *next
	if from == to {
		return nil
	}
	direction := "up"
	if to < from {
		direction = "down"
	}
	c.events.Normal(c.from, r.d, "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d", direction, s.Name, from, to)
	notes := c.trail.Note(s.UID)
	notes.Generation = s.Generation
	notes.Wanted = c.trail.Tell(ctx, r.d, r.cause, "deployment scaled", map[string]string{
		"deployment": r.d.Name, "replica_set": s.Name, "from": strconv.Itoa(int(from)), "to": strconv.Itoa(int(to)),
	})
	return nil
}

// sizeFor notes on s what size of d it is scaled for, and tells whether that is news.
func sizeFor(d *appsv1.Deployment, s *appsv1.ReplicaSet) bool {
	n, b := ptr.Deref(d.Spec.Replicas, 1), bounds{}
	if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		b = boundsOf(d.Spec.Strategy.RollingUpdate, n)
	}
	before := maps.Clone(s.Annotations)
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, desiredKey, strconv.Itoa(int(n)))
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, ceilingKey, strconv.Itoa(int(n+b.surge)))
	return !maps.Equal(before, s.Annotations)
}

// tidy deletes the oldest empty sets past the revision history limit, once a rollout is complete.
func (c *deployments) tidy(ctx context.Context, r *rollout) error {
	if !Complete(r.d, &r.d.Status) {
		return nil
	}
	var empty []*appsv1.ReplicaSet
	for _, s := range r.old {
		if ptr.Deref(s.Spec.Replicas, 1) == 0 && s.Status.Replicas == 0 && s.Status.ObservedGeneration >= s.Generation && s.DeletionTimestamp == nil {
			empty = append(empty, s)
		}
	}
	const historyLimit = 10 // Kubernetes' default for spec.revisionHistoryLimit
	for len(empty) > int(ptr.Deref(r.d.Spec.RevisionHistoryLimit, historyLimit)) {
		s := empty[0]
		err := c.client.AppsV1().ReplicaSets(s.Namespace).Delete(ctx, s.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		empty = empty[1:]
	}
	return nil
}
