// Package clustertest is the conformance suite of a cluster, as the operator of an engine meets one: through client-go,
// kubectl and helm. It knows no cluster from inside; what it runs against is a [Target]. The in-process cluster and a
// real one pass the same suite.
//
// It has two kinds of tests. Behaviour (rollouts watched, graces, back-off, conflicts) is Go. What a person reads is a
// transcript, testdata/*.txt: commands with the output of a real Kubernetes, recorded from one ([Target.Record]), never
// written by hand. Where a target says something else, its [Difference] tells which lines and why; one that no longer
// differs fails.
//
// Test binaries that call [Run] call verb.Dispatch first in TestMain: helm and kubectl are child processes of theirs.
package clustertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/scenarios/verb"
)

// Target is the cluster that the suite runs against.
type Target struct {
	// Kubeconfig of a user who may do everything. Required.
	Kubeconfig []byte

	// Image runs package testpod; every node has it, or can pull it without a secret. Required.
	Image string

	// Locked is the host of a registry from which every node can pull locked/testpod:1, which runs package testpod, as [User]
	// with [Password] alone. Empty: there is none, and what needs it is skipped.
	Locked string

	// Advance moves the cluster's time forward. Nil: it flows by itself, and waits take as long as they take.
	Advance func(ctx context.Context, d time.Duration) error

	// Helm, Kubectl: the CLIs. Nil: the ones linked into this program.
	Helm, Kubectl verb.Verb

	// Known is where this cluster says something else than a real one.
	Known []Difference

	// Record is the folder in which transcripts are written instead of compared; "": they are compared. Only for a
	// real cluster.
	Record string
}

// User and Password are for [Target.Locked].
const (
	User     = "suite"
	Password = "open-sesame"
)

// Difference is what a target says instead of what a real Kubernetes says, in one transcript.
type Difference struct {
	Where string   // the transcript and the command, as "kubectl-describe: kubectl describe pod web"; a prefix is enough
	Real  []string // lines of the real one that are not said here; each a prefix of the masked line
	Here  []string // lines that only this one says
	Why   string
}

// Run runs the suite. Its subtests are parallel, each in a namespace of its own.
func Run(t *testing.T, target Target) {
	t.Helper()
	if target.Helm == nil {
		target.Helm = verb.Helm
	}
	if target.Kubectl == nil {
		target.Kubectl = verb.Kubectl
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(target.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1 // the suite is many clients at once
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{Target: target, config: config, client: client, nodes: nodes.Items, dir: t.TempDir(), met: make([]met, len(target.Known))}
	for i, k := range target.Known {
		s.met[i].real, s.met[i].here = make([]atomic.Bool, len(k.Real)), make([]atomic.Bool, len(k.Here))
	}
	s.kubeconfig = filepath.Join(s.dir, "kubeconfig")
	if err := os.WriteFile(s.kubeconfig, target.Kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("together", func(t *testing.T) {
		s.transcripts(t, false)
		for _, b := range behaviours() {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				b.run(t, s.space(t))
			})
		}
	})
	s.transcripts(t, true)
	s.stale(t)
}

// behaviour is one test in Go.
type behaviour struct {
	name string
	run  func(t *testing.T, s *space)
}

func behaviours() []behaviour {
	var all []behaviour
	for _, more := range [][]behaviour{rollouts()} {
		all = append(all, more...)
	}
	return all
}

// suite is a run of the suite.
type suite struct {
	Target
	config     *rest.Config
	client     kubernetes.Interface
	nodes      []corev1.Node
	dir        string
	kubeconfig string
	met        []met // of Known
}

// space is a namespace in which one test plays.
type space struct {
	*suite
	kubernetes.Interface
	name string // of the namespace
	dir  string // the working directory of commands
}

// space makes a namespace that is gone when the test ends.
func (s *suite) space(tb testing.TB) *space {
	tb.Helper()
	p := &space{suite: s, Interface: s.client, dir: tb.TempDir(), name: "suite-" + strings.ToLower(rand.Text()[:8])}
	_, err := s.client.CoreV1().Namespaces().Create(tb.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.name}}, metav1.CreateOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
		defer cancel()
		if tb.Failed() {
			p.dump(ctx, tb)
		}
		if err := s.client.CoreV1().Namespaces().Delete(ctx, p.name, metav1.DeleteOptions{}); err != nil {
			tb.Errorf("delete the namespace: %v", err)
		}
	})
	p.eventually(tb, "the namespace has its service account", func(ctx context.Context) (bool, error) {
		_, err := s.client.CoreV1().ServiceAccounts(p.name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	return p
}

// dump tells what is in the namespace, for a test that has failed.
func (p *space) dump(ctx context.Context, tb testing.TB) {
	tb.Helper()
	for _, args := range [][]string{{"get", "all", "-o", "wide", "-n", p.name}, {"get", "events", "-n", p.name}} {
		out, _ := p.command(ctx, "kubectl", args...)
		tb.Logf("kubectl %s\n%s", strings.Join(args, " "), out)
	}
}

// command runs helm or kubectl in the namespace and gives what it wrote and its exit code.
func (p *space) command(ctx context.Context, name string, args ...string) (out string, code int) {
	var b strings.Builder
	run := p.Kubectl
	if name == "helm" {
		run = p.Helm
	}
	err := run(ctx, verb.Call{Args: args, Stdout: &b, Stderr: &b, Dir: p.dir, Env: p.env()})
	if code = verb.ExitCode(err); err != nil && b.Len() == 0 {
		fmt.Fprintln(&b, err)
	}
	return b.String(), code
}

// env is the environment of a command.
func (p *space) env() []string {
	home := filepath.Join(p.suite.dir, "home")
	return []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + p.kubeconfig, "HELM_NAMESPACE=" + p.name,
		"KUBECACHEDIR=" + filepath.Join(home, "cache"), "TMPDIR=" + p.dir, "TERM=dumb", "NO_COLOR=1",
	}
}
