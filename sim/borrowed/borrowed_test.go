package borrowed_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/borrowed"
	"github.com/dpesim/dpesim/sim/simtest"
	"github.com/dpesim/dpesim/sim/stack"
)

// somebodys is a cluster of somebody else: the one of a simulator that knows nothing of the one that borrows it.
type somebodys struct {
	kubernetes.Interface
	file string
}

func open(t *testing.T) somebodys {
	t.Helper()
	file := simtest.Start(t).Endpoints().Kubeconfig
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return somebodys{client, file}
}

func (s somebodys) namespace(t *testing.T, name string) {
	t.Helper()
	if _, err := s.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s somebodys) namespaces(t *testing.T) []string {
	t.Helper()
	all, err := s.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range all.Items {
		if n.Name != "default" && !strings.HasPrefix(n.Name, "kube-") {
			out = append(out, n.Name)
		}
	}
	return out
}

// release makes what the chart makes of a release by which it is known.
func (s somebodys) release(t *testing.T, namespace, name, ca, dpm string) {
	t.Helper()
	_, err := s.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/part-of": "ataccama-one", "app.kubernetes.io/instance": name}},
		Data:       map[string]string{"ca.pem": ca, "application.properties": "ataccama.dpe.dpm.url=" + dpm},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

var here = borrowed.Advertised{Name: "192.0.2.10", Address: netip.MustParseAddr("192.0.2.10")}

func TestNothingIsWrittenWithoutLeave(t *testing.T) {
	t.Parallel()
	s := open(t)
	var asked []borrowed.Place
	answer := func(ok bool) func(borrowed.Place) (bool, error) {
		return func(p borrowed.Place) (bool, error) {
			asked = append(asked, p)
			return ok, nil
		}
	}
	for _, o := range []borrowed.Options{{}, {Ask: answer(false)}} {
		o.Files, o.Advertised = []string{s.file}, here
		if _, err := borrowed.Open(t.Context(), o); sim.KindOf(err) != sim.Forbidden {
			t.Errorf("%+v", err)
		}
		if got := s.namespaces(t); len(got) > 0 {
			t.Errorf("there are %v", got)
		}
	}
	if len(asked) != 1 || asked[0].Context == "" || asked[0].Cluster == "" || !strings.HasPrefix(asked[0].Server, "https://") {
		t.Errorf("asked of %+v", asked)
	}
	for _, o := range []borrowed.Options{{Yes: true}, {Ask: answer(true)}} {
		o.Files, o.Advertised = []string{s.file}, here
		c, err := borrowed.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.namespaces(t); !slices.Equal(got, []string{borrowed.Home}) {
			t.Errorf("there are %v", got)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		s.gone(t, borrowed.Home)
	}
	_, err := s.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: borrowed.Home, Labels: map[string]string{borrowed.Mark: "true"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := borrowed.Open(t.Context(), borrowed.Options{Files: []string{s.file}, Advertised: here})
	if err != nil {
		t.Fatalf("it is marked: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got := s.namespaces(t); !slices.Equal(got, []string{borrowed.Home}) {
		t.Errorf("there are %v: the mark is its administrator's", got)
	}
}

// gone waits until a namespace is gone.
func (s somebodys) gone(t *testing.T, name string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return !slices.Contains(s.namespaces(t), name), nil
	})
	if err != nil {
		t.Fatalf("the namespace %s is there: %v", name, err)
	}
}

func TestOnlyWhatIsThisSimulatorsIsRemoved(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.namespace(t, "before")
	s.namespace(t, "lent")
	var told, uninstalled []string
	pods := s.CoreV1().Pods("lent")
	c, err := borrowed.Open(t.Context(), borrowed.Options{
		Files: []string{s.file}, Advertised: here, Yes: true,
		Progress: func(what string) {
			told = append(told, what)
			if strings.HasPrefix(what, "waiting until the pods of risk") {
				if _, err := pods.Patch(t.Context(), "risk", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
					t.Error(err)
				}
			}
		},
		Uninstall: func(_ context.Context, kubeconfig []byte, namespace, release string) error {
			if len(kubeconfig) == 0 {
				return errors.New("there is no kubeconfig")
			}
			uninstalled = append(uninstalled, namespace+"/"+release)
			if err := pods.Delete(t.Context(), release, metav1.DeleteOptions{}); err != nil { // as the garbage collector does
				return err
			}
			return s.CoreV1().ConfigMaps(namespace).Delete(t.Context(), release, metav1.DeleteOptions{})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	const ca, dpm = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----", "https://dpm-grpc-acme.dpesim.localhost:8443"
	if err := c.Target().Connect(t.Context(), stack.Reach{Registry: "192.0.2.10:8443", Inside: "registry.dpesim.localhost:8443", CA: []byte(ca + "\n")}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"ours", "short", "foreign", "product", "neighbour"} {
		s.namespace(t, n)
	}
	s.release(t, "ours", "finance", ca+"\n-----BEGIN CERTIFICATE-----\nextra", dpm)
	s.release(t, "lent", "risk", ca, dpm)
	ends := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "risk", Finalizers: []string{"example.com/takes-its-time"}, Labels: map[string]string{"app.kubernetes.io/part-of": "ataccama-one", "app.kubernetes.io/instance": "risk"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "dpe", Image: "dpe"}}, NodeSelector: map[string]string{"none": "such"}},
	}
	if _, err := pods.Create(t.Context(), ends, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.release(t, "product", "finance", "another", "https://dpm-grpc-acme.example.com")
	s.release(t, "neighbour", "finance", ca, "https://dpm-grpc-acme.dpesim.localhost:9443")
	s.release(t, "short", "finance", ca, dpm)
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return c.Seen("short"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CoreV1().ConfigMaps("short").Delete(t.Context(), "finance", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	told = nil
	if err := c.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"before", borrowed.Home, "foreign", "lent", "neighbour", "product"}
	if got := s.namespaces(t); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	if !slices.Equal(uninstalled, []string{"lent/risk"}) {
		t.Errorf("uninstalled are %v", uninstalled)
	}
	if _, err := pods.Get(t.Context(), "risk", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod of the release that was uninstalled is there: %v", err)
	}
	for _, n := range []string{"foreign", "neighbour", "product"} {
		if !slices.ContainsFunc(told, func(l string) bool { return strings.Contains(l, "namespace "+n+" ") && strings.Contains(l, "left") }) {
			t.Errorf("nobody is told of %s: %q", n, told)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s.gone(t, borrowed.Home)
	if got := s.namespaces(t); len(got) != len(want)-1 {
		t.Errorf("at the end there are %v", got)
	}
}

func TestTheKubeconfigsContextIsFound(t *testing.T) {
	t.Parallel()
	s := open(t)
	if _, err := borrowed.Open(t.Context(), borrowed.Options{Files: []string{s.file}, Context: "nowhere", Yes: true}); sim.KindOf(err) != sim.NotFound {
		t.Errorf("%v", err)
	}
	broken := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := borrowed.Open(t.Context(), borrowed.Options{Files: []string{broken}}); sim.KindOf(err) != sim.Invalid {
		t.Errorf("%v", err)
	}
	if _, err := borrowed.Open(t.Context(), borrowed.Options{Files: []string{filepath.Join(t.TempDir(), "none")}}); sim.KindOf(err) != sim.NotFound {
		t.Errorf("%v", err)
	}
	config, err := clientcmd.LoadFromFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	config.Clusters["away"] = config.Clusters[config.Contexts[config.CurrentContext].Cluster].DeepCopy()
	config.Clusters["away"].Server = "https://127.0.0.1:1"
	config.Contexts["arn:aws:eks:x"] = config.Contexts[config.CurrentContext].DeepCopy()
	config.Contexts["arn:aws:eks:x"].Cluster = "away"
	two := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*config, two); err != nil {
		t.Fatal(err)
	}
	if _, err := borrowed.Open(t.Context(), borrowed.Options{Files: []string{two}, Context: "arn:aws:eks:x", Yes: true}); sim.KindOf(err) != sim.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestHowTheClusterReachesThisMachine(t *testing.T) {
	t.Parallel()
	n := borrowed.Network{
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			switch host {
			case "sim.example.com":
				return []netip.Addr{netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("192.0.2.10")}, nil
			case "loop.example.com":
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
			return nil, errors.New("no such host")
		},
		Addresses: func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.10")}, nil
		},
	}
	for _, c := range []struct{ name, listen, want string }{
		{"192.0.2.10", "", "192.0.2.10 192.0.2.10 192.0.2.10"},
		{"Sim.example.com", "", "sim.example.com 192.0.2.10 192.0.2.10"},
		{"198.51.100.7", "", "198.51.100.7 198.51.100.7 0.0.0.0"},
		{"2001:db8::7", "", "2001:db8::7 2001:db8::7 ::"},
		{"198.51.100.7", "192.0.2.10", "198.51.100.7 198.51.100.7 192.0.2.10"},
		{"", "", ""},
		{"127.0.0.1", "", ""},
		{"0.0.0.0", "", ""},
		{"loop.example.com", "", ""},
		{"nowhere.example.com", "", ""},
		{"192.0.2.10", "everywhere", ""},
		{"192.0.2.10", "127.0.0.1", ""},
	} {
		got, err := borrowed.Advertise(t.Context(), n, c.name, c.listen)
		switch {
		case c.want == "" && sim.KindOf(err) != sim.Invalid:
			t.Errorf("%q at %q: %+v, %v", c.name, c.listen, got, err)
		case c.want != "" && (err != nil || strings.Join([]string{got.Name, got.Address.String(), got.Listen.String()}, " ") != c.want):
			t.Errorf("%q at %q: %+v, %v, want %s", c.name, c.listen, got, err, c.want)
		}
	}
}

func TestTheRoleHasNoMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	text, err := borrowed.Role(borrowed.Subject{Kind: "User", Name: "ada@example.com"}, []string{"dpe", "other"})
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.Split(string(text), "---\n")
	kinds := map[string]int{}
	for _, d := range docs {
		for line := range strings.Lines(d) {
			if k, ok := strings.CutPrefix(line, "kind: "); ok {
				kinds[strings.TrimSpace(k)]++
			}
		}
		if strings.Contains(d, "name: dpesim-look") && strings.Contains(d, "kind: ClusterRole\n") && (strings.Contains(d, "secrets") || strings.Contains(d, "delete") || strings.Contains(d, "pods")) {
			t.Errorf("in the whole cluster:\n%s", d)
		}
	}
	if strings.Contains(string(text), "*") || kinds["Namespace"] != 3 || kinds["RoleBinding"] != 3 || kinds["ClusterRoleBinding"] != 1 || kinds["ServiceAccount"] != 0 {
		t.Errorf("%v:\n%s", kinds, text)
	}
}
