package api_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/api"
	"github.com/dpesim/dpesim/sim/cluster/internal/trail"
	"github.com/dpesim/dpesim/sim/event"
)

// watched gives options with a bus and a memory of acts.
func watched(tb testing.TB) (api.Options, *event.Bus, *trail.Acts) {
	tb.Helper()
	o := options(tb, "")
	o.Bus, o.Acts = event.New(o.Clock, 0), trail.NewActs()
	return o, o.Bus, o.Acts
}

// acts says each event of the bus in a line: its number, its cause, what, and its details.
func acts(b *event.Bus) []string {
	var out []string
	for _, e := range b.Since(0) {
		words := []string{fmt.Sprintf("%d<-%d %s", e.Seq, e.Cause, e.What)}
		for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
			words = append(words, k+"="+e.Detail[k])
		}
		out = append(out, strings.TrimSpace(strings.Join(words, " ")+" "+string(e.DPE)))
	}
	return out
}

// by gives a client of the operator that calls itself so.
func by(tb testing.TB, s *api.Server, agent string) *kubernetes.Clientset {
	tb.Helper()
	c := s.RESTConfig(api.Operator)
	c.UserAgent = agent
	return ok[*kubernetes.Clientset](tb)(kubernetes.NewForConfig(c))
}

// release is a record as Helm keeps it.
func release(revision, status string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "sh.helm.release.v1.edge-eu.v" + revision, Labels: map[string]string{"name": "edge-eu", "owner": "helm", "status": status, "version": revision},
		},
		Type: "helm.sh/release.v1", StringData: map[string]string{"release": "hush"},
	}
}

func TestAHelmOperationIsToldOnceAndCausesWhatItDoes(t *testing.T) {
	t.Parallel()
	o, bus, known := watched(t)
	s, _ := start(t, o)
	helm := by(t, s, "Helm/3.13.3")
	secrets := helm.CoreV1().Secrets("default")
	put := func(revision, status string) {
		t.Helper()
		ok[*corev1.Secret](t)(secrets.Update(t.Context(), release(revision, status), metav1.UpdateOptions{}))
	}
	ok[*corev1.Secret](t)(secrets.Create(t.Context(), release("1", "pending-install"), metav1.CreateOptions{}))
	mine := configMap("edge-eu")
	mine.Annotations = map[string]string{"meta.helm.sh/release-name": "edge-eu", "meta.helm.sh/release-namespace": "default"}
	mine = ok[*corev1.ConfigMap](t)(helm.CoreV1().ConfigMaps("default").Create(t.Context(), mine, metav1.CreateOptions{}))
	if a := known.Of(mine.UID); a.Seq != 1 {
		t.Errorf("the object is said to come from %+v, not from the installation", a)
	}
	put("1", "deployed")
	ok[*corev1.Secret](t)(secrets.Create(t.Context(), release("2", "pending-upgrade"), metav1.CreateOptions{}))
	put("2", "failed")
	put("1", "superseded")
	put("2", "uninstalling")
	if err := helm.CoreV1().ConfigMaps("default").Delete(t.Context(), "edge-eu", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if a := known.Of(mine.UID); a.Seq != 5 || !a.Deletes {
		t.Errorf("the object is said to go by %+v, not by the removal", a)
	}
	for _, name := range []string{"sh.helm.release.v1.edge-eu.v1", "sh.helm.release.v1.edge-eu.v2"} {
		if err := secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	const who = " user=operator"
	want := []string{
		"1<-0 helm install started client=helm namespace=default release=edge-eu revision=1" + who + " verb=create version=3.13.3 edge-eu",
		"2<-1 helm release deployed namespace=default release=edge-eu revision=1 edge-eu",
		"3<-0 helm upgrade started client=helm namespace=default release=edge-eu revision=2" + who + " verb=create version=3.13.3 edge-eu",
		"4<-3 helm release failed namespace=default release=edge-eu revision=2 edge-eu",
		"5<-0 helm uninstall started client=helm namespace=default release=edge-eu revision=2" + who + " verb=update version=3.13.3 edge-eu",
		"6<-5 helm release uninstalled namespace=default release=edge-eu revision=2 edge-eu",
	}
	if diff := cmp.Diff(want, acts(bus)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// What is done with a kubeconfig that names a cause is told as its effect, and everything that the same operator does
// otherwise is not. What is no event of this run is no cause.
func TestAKubeconfigNamesTheCauseOfWhatIsDoneWithIt(t *testing.T) {
	t.Parallel()
	o, bus, _ := watched(t)
	s, _ := start(t, o)
	pressed := bus.Publish(t.Context(), sim.Event{Part: sim.PartPortal, What: "button pressed"})
	create := func(cause uint64, name string) {
		t.Helper()
		config := ok[*rest.Config](t)(clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig(cause)))
		config.UserAgent = "Helm/4.3.1"
		c := ok[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config))
		ok[*corev1.ConfigMap](t)(c.CoreV1().ConfigMaps("default").Create(t.Context(), configMap(name), metav1.CreateOptions{}))
	}
	create(pressed.Seq, "caused")
	create(0, "alone")
	create(99, "early")
	for i, want := range []string{"2<-1 ", "3<-0 ", "4<-0 "} {
		if got := acts(bus)[i+1]; !strings.HasPrefix(got, want+"object created") || !strings.Contains(got, "client=helm") || !strings.Contains(got, "user=operator") {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestWhatPeopleWriteIsToldWithoutItsContent(t *testing.T) {
	t.Parallel()
	o, bus, known := watched(t)
	s, _ := start(t, o)
	c := by(t, s, "kubectl/v1.37.2 (linux/amd64) kubernetes/1a2b3c4")
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "edge-eu", Labels: map[string]string{"app.kubernetes.io/instance": "edge-eu"}}}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	d.Spec.Template.Labels = d.Spec.Selector.MatchLabels
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "web:1", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "hush"}}}}
	deployments := c.AppsV1().Deployments("default")
	d = ok[*appsv1.Deployment](t)(deployments.Create(t.Context(), d, metav1.CreateOptions{}))
	patch := func(text string) {
		t.Helper()
		d = ok[*appsv1.Deployment](t)(deployments.Patch(t.Context(), "edge-eu", types.MergePatchType, []byte(text), metav1.PatchOptions{}))
	}
	patch(`{"spec":{"replicas":3}}`)
	patch(`{"spec":{"replicas":3}}`) // nothing new
	if seq := known.Change(d.UID, d.Generation); seq != 2 {
		t.Errorf("the generation is said to come from %d", seq)
	}
	ok[*appsv1.Deployment](t)(deployments.Patch(t.Context(), "edge-eu", types.MergePatchType, []byte(`{"spec":{"replicas":5}}`), metav1.PatchOptions{DryRun: []string{"All"}}))
	ok[*corev1.Node](t)(as(t, s, api.NodeAgent).CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{}))
	for _, text := range []string{`{"spec":{"unschedulable":true}}`, `{"spec":{"unschedulable":null}}`} {
		ok[*corev1.Node](t)(c.CoreV1().Nodes().Patch(t.Context(), "n1", types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{}))
	}
	if err := deployments.Delete(t.Context(), "edge-eu", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	const who = " user=operator verb="
	want := []string{
		"1<-0 object created client=kubectl deployment=edge-eu name=edge-eu namespace=default resource=deployments" + who + "create version=1.37.2 edge-eu",
		"2<-0 object changed client=kubectl deployment=edge-eu name=edge-eu namespace=default resource=deployments" + who + "patch version=1.37.2 edge-eu",
		"3<-0 node cordoned client=kubectl name=n1 node=n1 resource=nodes" + who + "patch version=1.37.2",
		"4<-0 node uncordoned client=kubectl name=n1 node=n1 resource=nodes" + who + "patch version=1.37.2",
		"5<-0 object deleted client=kubectl deployment=edge-eu name=edge-eu namespace=default resource=deployments" + who + "delete version=1.37.2 edge-eu",
	}
	if diff := cmp.Diff(want, acts(bus)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestRefusedWritesAreToldOnceAndWithoutWhatWasWritten(t *testing.T) {
	t.Parallel()
	o, bus, _ := watched(t)
	s, _ := start(t, o)
	viewer := as(t, s, api.Viewer)
	for range 3 {
		if err := viewer.CoreV1().Pods("default").Delete(t.Context(), "p", metav1.DeleteOptions{}); err == nil {
			t.Fatal("a viewer deletes")
		}
	}
	if _, err := viewer.CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{}); err == nil { // a read
		t.Fatal("a viewer reads secrets")
	}
	bad := configMap("hush whisper")
	bad.Labels = map[string]string{"hush": "hush/hush/hush"}
	if _, err := by(t, s, "kubectl/v1.37.2").CoreV1().ConfigMaps("default").Create(t.Context(), bad, metav1.CreateOptions{}); err == nil {
		t.Fatal("a label that is none is taken")
	}
	got := bus.Since(0)
	if len(got) != 2 || got[0].What != "write refused" || got[1].What != "write refused" {
		t.Fatalf("told %q", acts(bus))
	}
	if want := `pods "p" is forbidden: User "viewer" cannot delete resource "pods" in API group "" in the namespace "default"`; got[0].Detail["reason"] != want {
		t.Errorf("got  %s\nwant %s", got[0].Detail["reason"], want)
	}
	reason := got[1].Detail["reason"]
	if !strings.Contains(reason, "Invalid: ") || !strings.Contains(reason, "metadata.labels (FieldValueInvalid)") || strings.Contains(reason, "hush/hush") {
		t.Errorf("the reason of the second is %s", reason)
	}
}
