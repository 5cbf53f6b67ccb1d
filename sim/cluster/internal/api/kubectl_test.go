package api_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	if err := os.WriteFile(file, s.Kubeconfig(), 0o600); err != nil {
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
	kubectl("v1.37.2", "get", "--raw", "/version")
	kubectl("deleted", "delete", "-f", file, "--wait=false")
	l := ok[*corev1.ConfigMapList](t)(client(t, s).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}))
	if len(l.Items) != 1 || l.Items[0].Data["a"] != "b" {
		t.Errorf("%+v", l.Items)
	}
}
