package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
)

// patience bounds every wait: far above what any of them takes, also on a busy machine.
const patience = 60 * time.Second

// app is a runtime whose containers serve /ready on port 8080 until they are stopped. What else one does is said by the
// image's tag.
type app struct {
	mu     sync.Mutex
	seen   []cluster.Container
	causes map[string]uint64 // by pod
}

// Check knows the program "app" only; an image's own entry point is empty.
func (a *app) Check(c cluster.Container) error {
	if len(c.Args) > 0 && c.Args[0] != "app" {
		return fmt.Errorf("exec: %q: executable file not found in $PATH", c.Args[0])
	}
	return nil
}

func (a *app) Run(ctx context.Context, c cluster.Container) error {
	a.mu.Lock()
	a.seen = append(a.seen, c)
	if a.causes == nil {
		a.causes = map[string]uint64{}
	}
	a.causes[c.Pod] = event.Cause(ctx)
	a.mu.Unlock()
	_, tag, _ := strings.Cut(c.Image, ":")
	switch tag {
	case "crash":
		_, _ = fmt.Fprintln(c.Log, "about to crash")
		return errors.New("no licence found")
	case "panic":
		panic("on purpose")
	case "once":
		_, _ = fmt.Fprintln(c.Log, "done")
		return nil
	case "stubborn":
		<-ctx.Done()
		return ctx.Err()
	}
	l, err := c.Listen(8080)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tag == "unready" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	_, _ = fmt.Fprintf(c.Log, "serving as %s\n", c.Pod)
	select {
	case <-c.Stop:
		_, _ = fmt.Fprintln(c.Log, "stopping")
	case <-ctx.Done():
	}
	_ = srv.Close()
	serving.Wait()
	return nil
}

// cause gives the cause that the latest container of a pod was run with.
func (a *app) cause(pod string) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.causes[pod]
}

func (a *app) containers() []cluster.Container {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]cluster.Container(nil), a.seen...)
}

// rig is a cluster that serves.
type rig struct {
	*cluster.Cluster
	kubernetes.Interface
	app   *app
	hub   *hub
	clock *clock.Clock
	bus   *event.Bus
}

func logger(tb testing.TB) *slog.Logger {
	tb.Helper()
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func open(tb testing.TB, change ...func(*cluster.Options)) *rig {
	tb.Helper()
	c := clock.New()
	r := &rig{app: &app{}, clock: c, bus: event.New(c, 0)}
	o := cluster.Options{Runtime: r.app, Clock: c, Bus: r.bus, Draw: draw.New(7), Log: logger(tb)}
	for _, f := range change {
		f(&o)
	}
	r.clock, r.hub = o.Clock, newHub(tb, o.Clock)
	o.Dial = r.hub.dial
	if o.Trust == nil {
		o.Trust = r.hub.ca.Pool()
	}
	var err error
	if r.Cluster, err = cluster.Open(tb.Context(), o); err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(context.WithoutCancel(tb.Context())) }()
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	select {
	case <-r.Ready():
	case <-time.After(patience):
		tb.Fatal("the cluster did not become ready")
	}
	if r.Interface, err = kubernetes.NewForConfig(r.RESTConfig()); err != nil {
		tb.Fatal(err)
	}
	return r
}

// until waits for ok, which is asked again whenever the bus moves, and at least every few milliseconds.
func (r *rig) until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.Done():
			r.dump(tb)
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

func (r *rig) dump(tb testing.TB) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	pods, err := r.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		tb.Log(err)
		return
	}
	for _, p := range pods.Items {
		tb.Logf("pod %s on %q: %s, %+v, %+v", p.Name, p.Spec.NodeName, p.Status.Phase, p.Status.Conditions, p.Status.ContainerStatuses)
	}
	sets, err := r.AppsV1().ReplicaSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		tb.Log(err)
		return
	}
	for _, s := range sets.Items {
		tb.Logf("replica set %s: wants %d, generation %d, %+v", s.Name, *s.Spec.Replicas, s.Generation, s.Status)
	}
	for _, e := range r.events(tb, "", "") {
		tb.Logf("event %s %s %s: %s (%d)", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message, e.Count)
	}
}

// events gives the events about an object, or all.
func (r *rig) events(tb testing.TB, name, reason string) []corev1.Event {
	tb.Helper()
	list, err := r.CoreV1().Events("").List(context.WithoutCancel(tb.Context()), metav1.ListOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	var out []corev1.Event
	for _, e := range list.Items {
		if (name == "" || e.InvolvedObject.Name == name) && (reason == "" || e.Reason == reason) {
			out = append(out, e)
		}
	}
	return out
}

func (r *rig) hasEvent(tb testing.TB, name, reason, message string) func() bool {
	tb.Helper()
	return func() bool {
		for _, e := range r.events(tb, name, reason) {
			if strings.Contains(e.Message, message) {
				return true
			}
		}
		return false
	}
}

// pods gives the pods of an app that are not on their way out.
func (r *rig) pods(tb testing.TB, name string) []corev1.Pod {
	tb.Helper()
	list, err := r.CoreV1().Pods("default").List(context.WithoutCancel(tb.Context()), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		tb.Fatal(err)
	}
	var out []corev1.Pod
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			out = append(out, p)
		}
	}
	return out
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{
		Name: "main", Image: "app:" + image,
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP},
		}},
	}}}
}

func deployment(name, image string, n int32, surge, unavailable int) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: new(intstr.FromInt(surge)), MaxUnavailable: new(intstr.FromInt(unavailable)),
			}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(image)},
		},
	}
}

func (r *rig) create(tb testing.TB, d *appsv1.Deployment) {
	tb.Helper()
	if _, err := r.AppsV1().Deployments(d.Namespace).Create(tb.Context(), d, metav1.CreateOptions{}); err != nil {
		tb.Fatal(err)
	}
}

func (r *rig) get(tb testing.TB, name string) *appsv1.Deployment {
	tb.Helper()
	d, err := r.AppsV1().Deployments("default").Get(context.WithoutCancel(tb.Context()), name, metav1.GetOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// rolledOut waits until the Deployment is complete, as `kubectl rollout status` does.
func (r *rig) rolledOut(tb testing.TB, name string) {
	tb.Helper()
	r.until(tb, name+" rolled out", func() bool {
		d := r.get(tb, name)
		n := *d.Spec.Replicas
		return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == n && d.Status.Replicas == n && d.Status.AvailableReplicas == n
	})
}

func (r *rig) patch(tb testing.TB, name, patch string) {
	tb.Helper()
	if _, err := r.AppsV1().Deployments("default").Patch(tb.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		tb.Fatal(err)
	}
}

func (r *rig) logs(tb testing.TB, pod string, opts *corev1.PodLogOptions) string {
	tb.Helper()
	b, err := r.CoreV1().Pods("default").GetLogs(pod, opts).DoRaw(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func TestDeploymentBecomesReadyAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.create(t, deployment("web", "v1", 2, 1, 0))
	r.rolledOut(t, "web")
	for _, p := range r.pods(t, "web") {
		if p.Status.PodIP == "" || p.Status.HostIP == "" || p.Status.StartTime == nil || p.Status.ContainerStatuses[0].ImageID == "" {
			t.Errorf("status lacks something: %+v", p.Status)
		}
		if got := r.logs(t, p.Name, &corev1.PodLogOptions{}); got != "serving as "+p.Name+"\n" {
			t.Errorf("log = %q", got)
		}
		for _, reason := range []string{"Scheduled", "Pulled", "Created", "Started"} {
			r.until(t, reason+" event", r.hasEvent(t, p.Name, reason, ""))
		}
	}
	r.until(t, "scaling event", r.hasEvent(t, "web", "ScalingReplicaSet", "from 0 to 2"))
	if err := r.AppsV1().Deployments("default").Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "everything collected", func() bool {
		sets, err := r.AppsV1().ReplicaSets("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pods, err := r.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(sets.Items) == 0 && len(pods.Items) == 0
	})
}
