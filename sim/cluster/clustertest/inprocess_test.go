package clustertest_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/cluster/clustertest"
	"github.com/dpesim/dpesim/sim/cluster/clustertest/testpod"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestMain(m *testing.M) {
	if code, ok := verb.Dispatch(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// pods runs package testpod in this process.
type pods struct{ clock *clock.Clock }

// exited is how a program has ended.
type exited int

// ExitCode gives the code that the container ends with.
func (e exited) ExitCode() int { return int(e) }

// Error is empty: the program has left no termination message.
func (e exited) Error() string { return "" }

// Check finds every command line startable.
func (r *pods) Check(cluster.Container) error { return nil }

func (r *pods) Run(ctx context.Context, c cluster.Container) error {
	code := testpod.Run(ctx, testpod.World{
		Args:   c.Args[1:],
		Getenv: func(name string) (string, bool) { v, ok := c.Env[name]; return v, ok },
		Out:    c.Log, Stop: c.Stop, Listen: c.Listen, Sleep: r.clock.Sleep,
		Memory: func(ctx context.Context, n int64) error {
			c.Memory(n)
			return nil
		},
		Open:   func(path string) (fs.File, error) { return c.Files.Open(strings.TrimPrefix(path, "/")) },
		Create: func(path string) (io.WriteCloser, error) { return os.Create(filepath.Join(c.Scratch, path)) },
		Parse:  func(s string) (int64, error) { q, err := resource.ParseQuantity(s); return q.Value(), err },
	})
	if code != 0 {
		return exited(code)
	}
	return nil
}

func TestInProcess(t *testing.T) {
	simtest.RequireBuilt(t, "clustertest")
	t.Parallel()
	now := clock.New()
	hub := newHub(t, now, "127.0.0.1")
	c, err := cluster.Open(t.Context(), cluster.Options{
		Nodes: []cluster.Node{{Name: "dpesim-node-1", CPU: "8", Memory: "32Gi"}}, Runtime: &pods{now}, Dial: hub.dial, Trust: hub.ca.Pool(), Clock: now, Draw: draw.New(7), Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- c.Serve(context.WithoutCancel(t.Context())) }()
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-c.Ready():
	case <-time.After(time.Minute):
		t.Fatal("the cluster did not become ready")
	}
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	pull(t, client, hub.image())
	clustertest.Run(t, clustertest.Target{Kubeconfig: c.Kubeconfig(), Image: hub.image(), Locked: hub.host, Advance: now.Advance, Known: known})
}
