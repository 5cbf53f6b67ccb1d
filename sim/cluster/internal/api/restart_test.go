package api_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

func revision(tb testing.TB, s string) int64 {
	tb.Helper()
	return ok[int64](tb)(strconv.ParseInt(s, 10, 64))
}

func TestRestartKeepsObjectsRevisionsAndKubeconfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, stop := start(t, options(t, dir))
	kubeconfig := s.Kubeconfig(0)
	c := client(t, s)
	d := ok[*appsv1.Deployment](t)(c.AppsV1().Deployments("default").Create(t.Context(), deployment("web"), metav1.CreateOptions{}))
	ok[*corev1.ConfigMap](t)(c.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("gone"), metav1.CreateOptions{}))
	if err := c.CoreV1().ConfigMaps("default").Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ev := ok[*corev1.Event](t)(c.CoreV1().Events("default").Create(t.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e"}, InvolvedObject: corev1.ObjectReference{Namespace: "default"},
	}, metav1.CreateOptions{}))
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	s, _ = start(t, options(t, dir))
	if string(s.Kubeconfig(0)) != string(kubeconfig) {
		t.Error("the kubeconfig has changed")
	}
	config := ok[*kubernetes.Clientset](t)(kubernetes.NewForConfig(ok[*rest.Config](t)(clientcmd.RESTConfigFromKubeConfig(kubeconfig))))
	got := ok[*appsv1.Deployment](t)(config.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{}))
	if got.ResourceVersion != d.ResourceVersion || got.UID != d.UID || len(got.ManagedFields) != 1 || !got.CreationTimestamp.Equal(&d.CreationTimestamp) {
		t.Errorf("came back as %+v, was %+v", got.ObjectMeta, d.ObjectMeta)
	}
	if _, err := config.CoreV1().ConfigMaps("default").Get(t.Context(), "gone", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("deleted before the restart: %v", err)
	}
	cm := ok[*corev1.ConfigMap](t)(config.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("new"), metav1.CreateOptions{}))
	if revision(t, cm.ResourceVersion) <= revision(t, ev.ResourceVersion) {
		t.Errorf("revision %s after %s: it went back", cm.ResourceVersion, ev.ResourceVersion)
	}
	_, err := config.AppsV1().Deployments("default").Watch(t.Context(), metav1.ListOptions{ResourceVersion: d.ResourceVersion})
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("watch from before the restart: %v", err)
	}
}

// What was acknowledged is on disk: a copy of the files, taken while the server runs, is what kill -9 would leave.
func TestAcknowledgedWritesSurviveAKill(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), t.TempDir()
	s, _ := start(t, options(t, dir))
	c := client(t, s)
	var wg sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = c.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("c"+strconv.Itoa(i)), metav1.CreateOptions{})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cluster.db", "cluster.db-wal", "identity.pem"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, _ := start(t, options(t, copied))
	l := ok[*corev1.ConfigMapList](t)(client(t, again).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}))
	if len(l.Items) != len(errs) {
		t.Errorf("%d of %d objects came back", len(l.Items), len(errs))
	}
}

func TestCloseIsIdempotentAndRightWithoutServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // the second opens what the first gave back
		s := ok[*api.Server](t)(api.Open(t.Context(), options(t, dir)))
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestDamagedIdentityIsExplained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "identity.pem"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := api.Open(t.Context(), options(t, dir))
	if _, help := sim.Explain(err); sim.KindOf(err) != sim.Invalid || help == "" {
		t.Errorf("%v", err)
	}
}

func TestTakenPortIsExplained(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	o := options(t, "")
	o.Addr = s.URL()[len("https://"):]
	if _, err := api.Open(t.Context(), o); sim.KindOf(err) != sim.Unavailable {
		t.Errorf("%v", err)
	}
}
