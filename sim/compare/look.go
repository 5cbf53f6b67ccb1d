package compare

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim/cluster"
)

// observer looks at a cluster through its API, as kubectl does.
type observer struct {
	client kubernetes.Interface
	before map[string]bool // namespaces that the cluster had before the scenario: its own
	nodes  []string
}

func newObserver(ctx context.Context, config *rest.Config) (*observer, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("open a client of the cluster: %w", err)
	}
	o := &observer{client: client, before: map[string]bool{}}
	spaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the cluster's namespaces: %w", err)
	}
	for _, s := range spaces.Items {
		o.before[s.Name] = true
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the cluster's nodes: %w", err)
	}
	for _, n := range nodes.Items {
		o.nodes = append(o.nodes, n.Name)
	}
	return o, nil
}

// view is what is seen of a cluster at one moment, by object.
type view struct {
	events map[string]map[string]bool
	states map[string]*Object
}

// moves tells whether something is under way.
func (v *view) moves() bool {
	for _, o := range v.states {
		if o.Moves {
			return true
		}
	}
	return false
}

func (v *view) event(object, line string) {
	if v.events[object] == nil {
		v.events[object] = map[string]bool{}
	}
	v.events[object][line] = true
}

func (v *view) state(kind, name string, moves bool, lines ...string) {
	key := kind + " " + name
	o := v.states[key]
	if o == nil {
		o = &Object{Lines: map[string]bool{}}
		v.states[key] = o
	}
	o.Moves = o.Moves || moves
	for _, l := range lines {
		o.Lines[l] = true
	}
}

// look gives what an operator sees now in the namespaces that came with the scenario.
func (o *observer) look(ctx context.Context) (*view, error) {
	v := &view{events: map[string]map[string]bool{}, states: map[string]*Object{}}
	spaces, err := o.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the cluster's namespaces: %w", err)
	}
	for _, s := range spaces.Items {
		if o.before[s.Name] {
			continue
		}
		v.state("Namespace", s.Name, s.DeletionTimestamp != nil, string(s.Status.Phase))
		for _, see := range []func(context.Context, *view, string) error{o.seeEvents, o.seeWorkloads, o.seePods, o.seeClaims, o.seeReleases} {
			if err := see(ctx, v, s.Name); err != nil {
				return nil, fmt.Errorf("look at namespace %s: %w", s.Name, err)
			}
		}
	}
	return v, nil
}

func (o *observer) seeEvents(ctx context.Context, v *view, space string) error {
	list, err := o.client.CoreV1().Events(space).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, e := range list.Items {
		from := e.Source.Component
		if from == "" {
			from = e.ReportingController
		}
		v.event(e.InvolvedObject.Kind+" "+o.masked(e.InvolvedObject.Name), o.masked(fmt.Sprintf("%s %s, %s: %s", e.Type, e.Reason, from, e.Message)))
	}
	return nil
}

func (o *observer) seeWorkloads(ctx context.Context, v *view, space string) error {
	deployments, err := o.client.AppsV1().Deployments(space).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, d := range deployments.Items {
		s := d.Status
		moves := d.DeletionTimestamp != nil || !cluster.Complete(&d)
		lines := []string{fmt.Sprintf("%d replicas, %d updated, %d ready, %d available, %d unavailable", s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas, s.UnavailableReplicas)}
		for _, c := range s.Conditions {
			lines = append(lines, o.condition(string(c.Type), string(c.Status), c.Reason, c.Message))
			stuck := c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse
			moves = moves && !stuck
		}
		v.state("Deployment", d.Name, moves, lines...)
	}
	sets, err := o.client.AppsV1().ReplicaSets(space).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, r := range sets.Items {
		s, want := r.Status, int32(1)
		if r.Spec.Replicas != nil {
			want = *r.Spec.Replicas
		}
		lines := []string{fmt.Sprintf("%d replicas, %d labelled in full, %d ready, %d available", s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas)}
		for _, c := range s.Conditions {
			lines = append(lines, o.condition(string(c.Type), string(c.Status), c.Reason, c.Message))
		}
		v.state("ReplicaSet", o.masked(r.Name), r.DeletionTimestamp != nil || s.ObservedGeneration < r.Generation || s.Replicas != want || s.AvailableReplicas != want, lines...)
	}
	return nil
}

func (o *observer) seePods(ctx context.Context, v *view, space string) error {
	pods, err := o.client.CoreV1().Pods(space).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		lines := []string{fmt.Sprintf("%s, quality of service %s", p.Status.Phase, p.Status.QOSClass)}
		if p.Status.Reason != "" || p.Status.Message != "" {
			lines = append(lines, o.masked(fmt.Sprintf("%s: %s", p.Status.Reason, p.Status.Message)))
		}
		for _, c := range p.Status.Conditions {
			lines = append(lines, o.condition(string(c.Type), string(c.Status), c.Reason, c.Message))
		}
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			lines = append(lines, o.masked("container "+c.Name+": "+containerState(c)))
		}
		v.state("Pod", o.masked(p.Name), podMoves(&p), lines...)
	}
	return nil
}

// containerState says what a container does, in words.
func containerState(c corev1.ContainerStatus) string {
	words := "unknown"
	switch s := c.State; {
	case s.Running != nil:
		words = "running"
	case s.Waiting != nil:
		words = strings.TrimSuffix(fmt.Sprintf("waiting, %s: %s", s.Waiting.Reason, s.Waiting.Message), ": ")
	case s.Terminated != nil:
		words = end(s.Terminated)
	}
	if t := c.LastTerminationState.Terminated; t != nil {
		words += "; before that " + end(t)
	}
	if c.Ready {
		words += "; ready"
	}
	return words
}

// end gives how a container has ended, with its last words.
func end(t *corev1.ContainerStateTerminated) string {
	return strings.TrimSuffix(fmt.Sprintf("ended with %d, %s: %s", t.ExitCode, t.Reason, t.Message), ": ")
}

// podMoves tells whether a pod is on its way to another state by itself: it starts, ends, or tries again just now.
func podMoves(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return true
	}
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return false
	}
	ready := false
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
			return strings.Contains(c.Message, "ephemeral volume controller")
		}
		ready = ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		// What fails to be pulled waits with ErrImagePull and ImagePullBackOff by turns.
		if w := c.State.Waiting; w != nil && !slices.Contains([]string{"PodInitializing", "ContainerCreating", "ErrImagePull"}, w.Reason) {
			return false
		}
	}
	return !ready
}

func (o *observer) seeClaims(ctx context.Context, v *view, space string) error {
	claims, err := o.client.CoreV1().PersistentVolumeClaims(space).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, c := range claims.Items {
		class := "-"
		if c.Spec.StorageClassName != nil {
			class = *c.Spec.StorageClassName
		}
		v.state("PersistentVolumeClaim", o.masked(c.Name), c.DeletionTimestamp != nil || c.Status.Phase == corev1.ClaimPending, fmt.Sprintf("%s, %s, class %s", c.Status.Phase, c.Status.Capacity.Storage(), class))
	}
	return nil
}

// seeReleases reads what helm writes on its records, as `helm list` does.
func (o *observer) seeReleases(ctx context.Context, v *view, space string) error {
	records, err := o.client.CoreV1().Secrets(space).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm"})
	if err != nil {
		return err
	}
	for _, r := range records.Items {
		v.state("release", r.Labels["name"], false, fmt.Sprintf("revision %s %s", r.Labels["version"], r.Labels["status"]))
	}
	return nil
}

func (o *observer) condition(kind, status, reason, message string) string {
	text := fmt.Sprintf("%s=%s %s", kind, status, reason)
	if message != "" {
		text += ": " + message
	}
	return o.masked(strings.TrimSpace(text))
}
