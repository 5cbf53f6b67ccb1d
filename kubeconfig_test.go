package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/dpesim/dpesim/sim/kind"
	"github.com/dpesim/dpesim/sim/simtest"
	"github.com/dpesim/dpesim/sim/stack"
)

// somebodys is a cluster that is not the simulator's: a kind cluster that knows nothing of it.
type somebodys struct {
	t         *testing.T
	exe, dir  string
	node      string
	advertise string // this machine, as the cluster reaches it
	port      string // of the simulator
}

// kubectl runs kubectl with a kubeconfig, in, on its standard input.
func (s somebodys) kubectl(kubeconfig, in string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.exe, append([]string{"kubectl"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "DPESIM_ENDPOINTS="+filepath.Join(s.dir, "none"))
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "auth" { // which exits 1 for "no"
		s.t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// namespaces lists the cluster's namespaces that are not Kubernetes' own.
func (s somebodys) namespaces(kubeconfig string) []string {
	s.t.Helper()
	all := strings.Fields(s.kubectl(kubeconfig, "", "get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}"))
	return slices.DeleteFunc(all, func(n string) bool {
		return n == "default" || strings.HasPrefix(n, "kube-") || n == "local-path-storage"
	})
}

// rehearse runs scenarios on the cluster, and gives what was printed and the exit code.
func (s somebodys) rehearse(kubeconfig string, args ...string) (string, int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.exe, append([]string{
		"scenario", "run", "--cluster", "kubeconfig", "--advertise", s.advertise, "--tls", "localhost:" + s.port, "--ca-dir", filepath.Join(s.dir, "ca"), "--bundle", "",
	}, args...)...)
	cmd.Env, cmd.Dir = append(os.Environ(), "KUBECONFIG="+kubeconfig), s.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%s", out)
	return string(out), cmd.ProcessState.ExitCode()
}

// On a cluster of somebody's a built-in scenario runs with just the rights that are printed for its administrator, and with
// all; it is asked for first, nodes trust by the printed script, and what is not the simulator's survives.
func TestSomebodysCluster(t *testing.T) { // not parallel: one cluster takes what the machine has
	simtest.RequireBuilt(t, "kind")
	s := somebodys{t: t, exe: compile(t, "dpesim", "."), dir: t.TempDir()}
	name := fmt.Sprintf("dpesim-somebody-%d", os.Getpid())
	s.node = name + "-control-plane"
	c, err := kind.Open(t.Context(), kind.Options{Name: name, NodeImage: os.Getenv("DPESIM_KIND_NODE_IMAGE"), Dir: t.TempDir(), Progress: func(what string) { t.Log("kind: " + what) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	// Small machines and host-path volumes are its administrator's business; the registry that is named here is not used.
	if err := c.Target().Connect(t.Context(), stack.Reach{Registry: "unused:1", Inside: "unused:1"}); err != nil {
		t.Fatal(err)
	}
	s.advertise, s.port = c.Target().Gateway.String(), freePort(t)
	admin := filepath.Join(s.dir, "admin")
	if err := os.WriteFile(admin, c.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.kubectl(admin, "", "create", "namespace", "theirs")

	if out, code := s.rehearse(admin, "install"); code != 4 || !strings.Contains(out, "is not marked") || !strings.Contains(out, "--yes") {
		t.Errorf("without leave: %d", code)
	}
	if out, code := s.rehearse(admin, "install", "--yes"); code != 4 || !strings.Contains(out, "unknown authority") || !strings.Contains(out, "do not trust the simulator's authority") {
		t.Errorf("before the nodes trust it: %d", code)
	}
	if got := s.namespaces(admin); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("after that there are %v", got)
	}

	trust := exec.CommandContext(t.Context(), s.exe, "cluster", "trust", "--advertise", s.advertise, "--tls", "localhost:"+s.port, "--ca-dir", filepath.Join(s.dir, "ca"))
	script, err := trust.Output()
	if err != nil {
		t.Fatal(err)
	}
	onNode := exec.CommandContext(t.Context(), "docker", "exec", "-i", s.node, "sh")
	onNode.Stdin = bytes.NewReader(script)
	if out, err := onNode.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	meanwhile := filepath.Join(s.dir, "meanwhile.md")
	if err := os.WriteFile(meanwhile, []byte(meanwhileText), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := s.rehearse(admin, "install", meanwhile, "--yes")
	if code != 0 || !strings.Contains(out, "the namespace meanwhile has come into being meanwhile") {
		t.Errorf("as an administrator: %d", code)
	}
	if got := s.namespaces(admin); !slices.Equal(got, []string{"meanwhile", "theirs"}) {
		t.Errorf("at the end there are %v", got)
	}

	role, err := exec.CommandContext(t.Context(), s.exe, "cluster", "role").Output()
	if err != nil {
		t.Fatal(err)
	}
	s.kubectl(admin, string(role), "apply", "-f", "-")
	operator := s.asOperator(admin)
	for _, right := range [][]string{
		{"list", "pods", "--all-namespaces"}, {"get", "secrets", "-n", "theirs"}, {"create", "deployments", "-n", "theirs"}, {"delete", "namespaces"}, {"create", "clusterroles"}, {"get", "secrets", "-n", "dpesim"},
	} {
		if got := s.kubectl(operator, "", append([]string{"auth", "can-i"}, right...)...); !strings.HasSuffix(got, "no") {
			t.Errorf("may %v: %s", right, got)
		}
	}
	if _, code := s.rehearse(operator, "install"); code != 0 { // it is marked: nobody is asked
		t.Errorf("with the rights that are printed: %d", code)
	}
	if got := s.namespaces(admin); !slices.Equal(got, []string{"dpe", "dpesim", "meanwhile", "theirs"}) {
		t.Errorf("at the end there are %v", got)
	}
	if got := s.kubectl(admin, "", "get", "deployments,secrets,pods", "-n", "dpe", "-o", "name"); got != "" {
		t.Errorf("left in dpe is %s", got)
	}
}

// meanwhileText is a scenario that leaves a namespace of somebody's, in which no DPE finds room.
const meanwhileText = "---\ntitle: Meanwhile\nclusters: [kind]\n---\n\n## Somebody makes a namespace with a quota\n\n```sh run\n" + `
kubectl create namespace meanwhile
kubectl create quota small --namespace meanwhile --hard=requests.cpu=1m
kubectl wait quota/small --namespace meanwhile --for=jsonpath='{.status.hard}' --timeout=30s
! dpesim cluster preflight --tier S --namespace meanwhile > preflight.txt
grep 'exceeded quota: small' preflight.txt
` + "```\n"

// asOperator writes a kubeconfig of the service account that the printed role is for.
func (s somebodys) asOperator(admin string) string {
	s.t.Helper()
	config, err := clientcmd.LoadFromFile(admin)
	if err != nil {
		s.t.Fatal(err)
	}
	token := s.kubectl(admin, "", "create", "token", "dpesim", "-n", "dpesim")
	config.AuthInfos = map[string]*clientcmdapi.AuthInfo{"operator": {Token: token}}
	config.Contexts[config.CurrentContext].AuthInfo = "operator"
	file := filepath.Join(s.dir, "operator")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// freePort gives a port that was free a moment ago: nodes learn it before the simulator listens there.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}
