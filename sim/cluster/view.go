package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// View looks at a cluster that serves, and acts in it, from outside: what an operator does with kubectl, for the control
// room. It is safe for concurrent use.
type View struct{ nodes *Nodes }

// OpenView gives a view of the cluster that a kubeconfig names.
func OpenView(kubeconfig string) (*View, error) {
	nodes, err := OpenNodes(kubeconfig)
	if err != nil {
		return nil, err
	}
	return &View{nodes}, nil
}

// maxViewEvents bounds how many events a view shows.
const maxViewEvents = 40

// Read gives what the cluster looks like. Its words are those that kubectl prints: the API server makes them.
func (v *View) Read(ctx context.Context) (api.Cluster, error) {
	var out api.Cluster
	nodes, err := v.nodes.List(ctx)
	if err != nil {
		return out, err
	}
	for _, n := range nodes {
		out.Nodes = append(out.Nodes, api.ClusterNode{
			Name: n.Name, Status: n.Status, Power: n.Power, Pods: n.Pods,
			CPU: n.CPU.of(), Memory: n.Memory.of(), Disk: n.Disk.of(),
			Percent: max(n.CPU.percent(), n.Memory.percent(), n.Disk.percent()),
		})
	}
	core, apps := v.nodes.client.CoreV1().RESTClient(), v.nodes.client.AppsV1().RESTClient()
	if err := rows(ctx, core, "pods", func(cell func(string) string, m object) {
		out.Pods = append(out.Pods, api.ClusterPod{
			Namespace: m.Namespace, Name: m.Name, Ready: cell("Ready"), Status: cell("Status"), Restarts: number(cell("Restarts")),
			Node: m.Spec.NodeName, Image: m.image(), Created: m.CreationTimestamp.UTC(),
		})
	}); err != nil {
		return out, err
	}
	if err := rows(ctx, apps, "deployments", func(cell func(string) string, m object) {
		ready, desired, _ := strings.Cut(cell("Ready"), "/")
		out.Deployments = append(out.Deployments, api.ClusterDeployment{Namespace: m.Namespace, Name: m.Name, Ready: number(ready), Desired: number(desired)})
	}); err != nil {
		return out, err
	}
	out.Events, err = v.events(ctx)
	return out, err
}

func (s Share) of() string { return s.Requested + " of " + s.Allocatable }

// percent tells how much of all is requested.
func (s Share) percent() int {
	some, err := resource.ParseQuantity(s.Requested)
	if err != nil {
		return 0
	}
	all, err := resource.ParseQuantity(s.Allocatable)
	if err != nil || all.IsZero() {
		return 0
	}
	return int(100 * some.AsApproximateFloat64() / all.AsApproximateFloat64())
}

// number reads the number that a cell begins with: restarts are printed as "3 (5m ago)".
func number(cell string) int {
	var n int
	_, _ = fmt.Sscan(cell, &n) // none is 0
	return n
}

// object is what a view reads of an object beside the words of its row.
type object struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		NodeName   string             `json:"nodeName"`
		Containers []corev1.Container `json:"containers"`
	} `json:"spec"`
}

func (m object) image() string {
	if len(m.Spec.Containers) == 0 {
		return ""
	}
	return m.Spec.Containers[0].Image
}

// rows lists a resource of all namespaces as the table that kubectl prints and calls each with its rows: cell gives what
// stands in a column.
func rows(ctx context.Context, c rest.Interface, resourceName string, each func(cell func(column string) string, m object)) error {
	body, err := c.Get().Resource(resourceName).Param("includeObject", string(metav1.IncludeObject)).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("list the %s: %w", resourceName, err)
	}
	var t metav1.Table
	if err := json.Unmarshal(body, &t); err != nil {
		return fmt.Errorf("read the table of the %s: %w", resourceName, err)
	}
	columns := map[string]int{}
	for i, c := range t.ColumnDefinitions {
		columns[c.Name] = i
	}
	for _, r := range t.Rows {
		var m object
		if err := json.Unmarshal(r.Object.Raw, &m); err != nil {
			return fmt.Errorf("read a row of the %s: %w", resourceName, err)
		}
		each(func(column string) string {
			i, ok := columns[column]
			if !ok || i >= len(r.Cells) {
				return ""
			}
			return fmt.Sprint(r.Cells[i])
		}, m)
	}
	return nil
}

// events gives the last events, newest first.
func (v *View) events(ctx context.Context) ([]api.ClusterEvent, error) {
	list, err := v.nodes.client.CoreV1().Events("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the events: %w", err)
	}
	out := make([]api.ClusterEvent, len(list.Items))
	for i := range list.Items {
		e := &list.Items[i]
		out[i] = api.ClusterEvent{
			Time: lastTime(e), Warning: e.Type == corev1.EventTypeWarning, Reason: e.Reason, Namespace: e.InvolvedObject.Namespace,
			Object: strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name, Message: e.Message, Count: max(1, int(e.Count)),
		}
	}
	slices.SortStableFunc(out, func(a, b api.ClusterEvent) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Object, b.Object))
	})
	return out[:min(len(out), maxViewEvents)], nil
}

// lastTime is when an event happened last.
func lastTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.UTC()
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.UTC()
	case !e.EventTime.IsZero():
		return e.EventTime.UTC()
	}
	return e.CreationTimestamp.UTC()
}

// Scale asks for another number of a Deployment's replicas, as kubectl scale does.
func (v *View) Scale(ctx context.Context, namespace, name string, replicas int) error {
	if replicas < 0 {
		return sim.Errorf(sim.Invalid, "a deployment cannot have %d replicas", replicas).WithHelp("give 0 or more")
	}
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	_, err := v.nodes.client.AppsV1().Deployments(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "scale")
	return told(err)
}

// DeletePod deletes a pod, as kubectl delete pod does.
func (v *View) DeletePod(ctx context.Context, namespace, name string) error {
	return told(v.nodes.client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{}))
}

// maxLog bounds how much of a log is read, in bytes.
const maxLog = 256 << 10

// Log reads the end of a pod's log, of its container before if previous.
func (v *View) Log(ctx context.Context, namespace, name string, previous bool) (string, error) {
	lines, limit := int64(400), int64(maxLog)
	body, err := v.nodes.client.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{Previous: previous, TailLines: &lines, LimitBytes: &limit}).Stream(ctx)
	if err != nil {
		return "", told(err)
	}
	b, err := io.ReadAll(io.LimitReader(body, maxLog))
	if e := body.Close(); err == nil {
		err = e
	}
	return string(b), err
}

// Cordon keeps new pods off a node, or lets them on again.
func (v *View) Cordon(ctx context.Context, name string, on bool) error {
	_, err := v.nodes.client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, on), metav1.PatchOptions{})
	return told(err)
}

// SetPower is [Nodes.SetPower].
func (v *View) SetPower(ctx context.Context, name string, on bool) error {
	return v.nodes.SetPower(ctx, name, on)
}

// told classifies what the API server refuses; its words are for people.
func told(err error) error {
	var kind sim.Kind
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		kind = sim.NotFound
	case apierrors.IsConflict(err):
		kind = sim.Conflict
	case apierrors.IsForbidden(err):
		kind = sim.Forbidden
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		kind = sim.Invalid
	default:
		return err
	}
	return &sim.Error{Kind: kind, Msg: err.Error(), Help: "these are the words of the cluster's API server", Err: err}
}
