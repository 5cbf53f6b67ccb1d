package api_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

func TestPodsAreAdmittedAsByARealCluster(t *testing.T) {
	c := started(t)
	pods := c.CoreV1().Pods("default")
	create := func(edit func(*corev1.Pod)) (*corev1.Pod, error) {
		p := pod("p")
		edit(p)
		return pods.Create(t.Context(), p, metav1.CreateOptions{})
	}
	ok[*corev1.ServiceAccount](t)(c.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "bot"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
	}, metav1.CreateOptions{}))
	for want, edit := range map[string]func(*corev1.Pod){
		`pods "p" is forbidden: error looking up service account default/nosuch: serviceaccount "nosuch" not found`: func(p *corev1.Pod) { p.Spec.ServiceAccountName = "nosuch" },
		`pods "web-" is forbidden: error looking up service account default/nosuch: serviceaccount "nosuch" not found`: func(p *corev1.Pod) {
			p.Name, p.GenerateName, p.Spec.ServiceAccountName = "", "web-", "nosuch"
		},
		`pods "p" is forbidden: no PriorityClass with name urgent was found`: func(p *corev1.Pod) { p.Spec.PriorityClassName = "urgent" },
	} {
		if _, err := create(edit); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	p := ok[*corev1.Pod](t)(create(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "bot" }))
	seconds := int64(300)
	want := []corev1.Toleration{
		{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: &seconds},
		{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: &seconds},
	}
	if diff := cmp.Diff(want, p.Spec.Tolerations); diff != "" {
		t.Error(diff)
	}
	if len(p.Spec.ImagePullSecrets) != 1 || p.Spec.ImagePullSecrets[0].Name != "pull" || *p.Spec.Priority != 0 || *p.Spec.PreemptionPolicy != "PreemptLowerPriority" {
		t.Errorf("%+v", p.Spec)
	}
}

func TestNodePortsAreGivenOnceAndTakenBack(t *testing.T) {
	c := started(t).CoreV1().Services("default")
	svc := func(name string, port int32) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: port}}}}
	}
	a := ok[*corev1.Service](t)(c.Create(t.Context(), svc("a", 0), metav1.CreateOptions{}))
	given := a.Spec.Ports[0].NodePort
	if given < 30000 || given > 32767 {
		t.Errorf("node port %d", given)
	}
	want := `Service "b" is invalid: spec.ports[0].nodePort: Invalid value: ` + strconv.Itoa(int(given)) + `: provided port is already allocated`
	if _, err := c.Create(t.Context(), svc("b", given), metav1.CreateOptions{}); err == nil || err.Error() != want {
		t.Errorf("taken port: %v\nwant %s", err, want)
	}
	a.Spec.Type, a.Spec.Ports[0].Name = corev1.ServiceTypeClusterIP, "http"
	a = ok[*corev1.Service](t)(c.Update(t.Context(), a, metav1.UpdateOptions{}))
	if a.Spec.Ports[0].NodePort != 0 || a.Spec.ClusterIP == "" || a.Spec.ExternalTrafficPolicy != "" {
		t.Errorf("as ClusterIP: %+v", a.Spec)
	}
	ok[*corev1.Service](t)(c.Create(t.Context(), svc("b", given), metav1.CreateOptions{}))
	a.Spec.Type = corev1.ServiceTypeLoadBalancer
	a = ok[*corev1.Service](t)(c.Update(t.Context(), a, metav1.UpdateOptions{}))
	if n := a.Spec.Ports[0].NodePort; n == given || n < 30000 {
		t.Errorf("as LoadBalancer on port %d", n)
	}
	taken := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: corev1.ServiceSpec{ClusterIP: a.Spec.ClusterIP, Ports: []corev1.ServicePort{{Port: 80}}}}
	if _, err := c.Create(t.Context(), taken, metav1.CreateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "provided IP is already allocated") {
		t.Errorf("taken address: %v", err)
	}
}

// An event is forgotten an hour of product time after it happened last, and watches see it go.
func TestEventsAreForgotten(t *testing.T) {
	t.Parallel()
	o := options(t, "")
	s, _ := start(t, o)
	c := client(t, s).CoreV1()
	event := func(name string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: name}, InvolvedObject: corev1.ObjectReference{Namespace: "default"}}
	}
	old := ok[*corev1.Event](t)(c.Events("default").Create(t.Context(), event("old"), metav1.CreateOptions{}))
	again := ok[*corev1.Event](t)(c.Events("default").Create(t.Context(), event("again"), metav1.CreateOptions{}))
	if err := o.Clock.Advance(t.Context(), 50*time.Minute); err != nil {
		t.Fatal(err)
	}
	again.Count = 2
	ok[*corev1.Event](t)(c.Events("default").Update(t.Context(), again, metav1.UpdateOptions{}))
	w := ok[watch.Interface](t)(c.Events("default").Watch(t.Context(), metav1.ListOptions{ResourceVersion: old.ResourceVersion, FieldSelector: "metadata.name=old"}))
	defer w.Stop()
	if err := o.Clock.Advance(t.Context(), 12*time.Minute); err != nil {
		t.Fatal(err)
	}
	if e := next(t, w); e.Type != watch.Deleted {
		t.Errorf("%v", e.Type)
	}
	l := ok[*corev1.EventList](t)(c.Events("default").List(t.Context(), metav1.ListOptions{}))
	if len(l.Items) != 1 || l.Items[0].Name != "again" {
		t.Errorf("%+v", l.Items)
	}
}

// panics is a source of logs that has a bug.
type panics struct{}

func (panics) PodLog(context.Context, string, string, string, *corev1.PodLogOptions) (io.ReadCloser, error) {
	panic("on purpose")
}

func TestAPanicEndsTheRequestOnly(t *testing.T) {
	t.Parallel()
	o := options(t, "")
	o.Logs = panics{}
	s, _ := start(t, o)
	c := client(t, s)
	ok[*corev1.Pod](t)(c.CoreV1().Pods("default").Create(t.Context(), pod("p"), metav1.CreateOptions{}))
	bind(t, c, "p")
	code, body := get(t, s.RESTConfig(api.Operator), "/api/v1/namespaces/default/pods/p/log", "application/json")
	if code != http.StatusInternalServerError || !strings.Contains(string(body), "This request caused apiserver to panic. Look in the logs for details.") {
		t.Errorf("%d %s", code, body)
	}
	if _, err := c.CoreV1().Pods("default").Get(t.Context(), "p", metav1.GetOptions{}); err != nil {
		t.Errorf("after it: %v", err)
	}
}
