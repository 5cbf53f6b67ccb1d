package api_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

const manifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: "web:1", ports: [{containerPort: 80}]}
`

// run runs one of kubectl's own commands and gives all that it prints. Not for parallel tests: kubectl keeps flags in
// globals.
func run(t *testing.T, kubeconfig string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out}
	args = append(args, "--kubeconfig", kubeconfig, "--cache-dir", filepath.Join(filepath.Dir(kubeconfig), "cache"))
	var failed error
	util.BehaviorOnFatal(func(msg string, _ int) { failed = errors.New(msg); panic(failed) })
	defer util.DefaultBehaviorOnFatal()
	c := cmd.NewKubectlCommand(cmd.KubectlOptions{
		Arguments: append([]string{"kubectl"}, args...), IOStreams: streams,
		ConfigFlags: genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag(),
	})
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil && failed == nil {
				panic(p)
			}
			err = errors.Join(err, failed)
		}()
		return c.ExecuteContext(t.Context())
	}()
	return out.String(), err
}

// kubeconfigOf writes a server's kubeconfig.
func kubeconfigOf(t *testing.T, s *api.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, s.Kubeconfig(0), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// kubectl's own commands work: what they need of discovery, OpenAPI, tables and patches is there. It is not parallel:
// kubectl keeps flags in globals.
func TestKubectl(t *testing.T) {
	s, _ := start(t, options(t, ""))
	kubeconfig, file := kubeconfigOf(t, s), filepath.Join(t.TempDir(), "web.yaml")
	write := func(replicas string) {
		if err := os.WriteFile(file, []byte(strings.Replace(manifest, "REPLICAS", replicas, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubectl := func(want string, args ...string) {
		t.Helper()
		if out, err := run(t, kubeconfig, args...); err != nil || !strings.Contains(out, want) {
			t.Errorf("kubectl %s: %v, want %q in:\n%s", strings.Join(args, " "), err, want, out)
		}
	}
	write("2")
	kubectl("deployment.apps/web created", "apply", "-f", file)
	kubectl("deployment.apps/web unchanged", "apply", "-f", file)
	kubectl("", "diff", "-f", file)
	write("3")
	kubectl("deployment.apps/web configured", "apply", "-f", file)
	kubectl("serverside-applied", "apply", "--server-side", "--force-conflicts", "-f", file)
	kubectl("0/3", "get", "deployment", "web")
	kubectl("SELECTOR", "get", "deploy", "-o", "wide")
	kubectl("deployment.apps/web", "get", "all")
	kubectl("FIELD: replicas <integer>", "explain", "deployment.spec.replicas")
	kubectl("scaled", "scale", "deploy/web", "--replicas", "4")
	kubectl("image updated", "set", "image", "deploy/web", "c=web:2")
	kubectl("restarted", "rollout", "restart", "deploy/web")
	kubectl("yes", "auth", "can-i", "create", "pods")
	kubectl("operator", "auth", "whoami")
	kubectl("configmap/x created", "create", "configmap", "x", "--from-literal", "a=b")
	kubectl("configmap/x patched\n", "patch", "configmap", "x", "-p", `{"data":{"a":"c"}}`)
	kubectl("configmap/x patched (no change)", "patch", "configmap", "x", "-p", `{"data":{"a":"c"}}`)
	kubectl("configmap/x patched (no change)", "patch", "configmap", "x", "--type=merge", "-p", `{"data":{"a":"c"}}`)
	kubectl("configmap/x patched (no change)", "patch", "configmap", "x", "--type=json", "-p", `[{"op":"replace","path":"/data/a","value":"c"}]`)
	kubectl("configmap/x patched\n", "patch", "configmap", "x", "-p", `{"data":{"a":"b"}}`)
	kubectl("No resource quota.\n\nNo LimitRange resource.", "describe", "namespace", "default")
	kubectl("v1.37.2", "get", "--raw", "/version")
	kubectl("deleted", "delete", "-f", file, "--wait=false")
	l := ok[*corev1.ConfigMapList](t)(client(t, s).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}))
	if len(l.Items) != 1 || l.Items[0].Data["a"] != "b" {
		t.Errorf("%+v", l.Items)
	}
}

// What an operator looks at, of every kind. It is not parallel: kubectl keeps flags in globals.
func TestKubectlOnEveryKind(t *testing.T) {
	s, _ := start(t, options(t, ""))
	c := client(t, s)
	fillTables(t, c)
	ok[*appsv1.Deployment](t)(c.AppsV1().Deployments("default").Create(t.Context(), deployment("web"), metav1.CreateOptions{}))
	ok[*corev1.ConfigMap](t)(c.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("cm"), metav1.CreateOptions{}))
	ok[*corev1.Secret](t)(c.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"a": "b"}}, metav1.CreateOptions{}))
	ok[*corev1.Pod](t)(c.CoreV1().Pods("default").Create(t.Context(), pod("p"), metav1.CreateOptions{}))
	kubeconfig, file := kubeconfigOf(t, s), filepath.Join(t.TempDir(), "cm.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, labels: {set: a}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pruned := []string{"apply", "-f", file, "--prune", "-l", "set=a", "--prune-allowlist", "core/v1/ConfigMap"}
	for _, step := range []struct {
		want string
		args []string
	}{
		{"service/web", []string{"get", "all,pdb,hpa,ep,sa,netpol,cm,secret,pvc,pv,sc,role,rolebinding,clusterrole,lease,events,nodes"}},
		{"Replicas:               1 desired", []string{"describe", "deploy/web"}},
		{"Node-Selectors:", []string{"describe", "pod/p"}},
		{"Endpoints:", []string{"describe", "svc/web"}},
		{"Addresses:", []string{"describe", "ep/web"}},
		{"AddressType:", []string{"describe", "endpointslice/web-abc"}},
		{"Allocatable:", []string{"describe", "node/n1"}},
		{"Metrics:", []string{"describe", "hpa/h"}},
		{"Min available:", []string{"describe", "pdb/b"}},
		{"PodSelector:", []string{"describe", "netpol/p"}},
		{"Parallelism:", []string{"describe", "job/j"}},
		{"Access Modes:", []string{"describe", "pvc/c"}},
		{"Reclaim Policy:", []string{"describe", "pv/v"}},
		{"Provisioner:", []string{"describe", "sc/standard"}},
		{"PolicyRule:", []string{"describe", "role/r"}},
		{"Kind:  Role", []string{"describe", "rolebinding/rb"}},
		{"Image pull secrets:", []string{"describe", "sa/bot"}},
		{"a:  1 bytes", []string{"describe", "secret/s"}},
		{"Holder Identity:", []string{"describe", "lease/n1", "-n", "kube-node-lease"}},
		{"Status:       Active", []string{"describe", "ns/default"}},
		{"FIELD: minAvailable", []string{"explain", "pdb.spec.minAvailable"}},
		{"FIELD: endpoints", []string{"explain", "endpointslice.endpoints"}},
		{"KIND:       ClusterRole", []string{"explain", "clusterrole"}},
		{"configmap/kept created", []string{"apply", "-f", file}},
		{"configmap/kept replaced", []string{"replace", "-f", file}},
		{"configmap/kept", pruned},
		{"labeled", []string{"label", "cm/kept", "more=b"}},
		{"annotated", []string{"annotate", "cm/kept", "note=b"}},
		{"tainted", []string{"taint", "nodes", "n1", "k=v:NoSchedule"}},
		{"uncordoned", []string{"uncordon", "n1"}},
		{"autoscaled", []string{"autoscale", "deploy/web", "--max", "3", "--cpu", "50%"}},
		{"exposed", []string{"expose", "deploy/web", "--port", "8080", "--name", "more"}},
	} {
		out, err := run(t, kubeconfig, step.args...)
		if err != nil || !strings.Contains(out, step.want) {
			t.Errorf("kubectl %s: %v, want %q in:\n%s", strings.Join(step.args, " "), err, step.want, out)
		}
	}
}
