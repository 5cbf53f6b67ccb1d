package api_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster/internal/api"
	"github.com/dpesim/dpesim/sim/draw"
)

// epoch is where the tests' clocks stand.
var epoch = time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)

// logs is a source whose containers wrote what they were asked.
type logs struct{}

func (logs) PodLog(_ context.Context, namespace, pod, container string, _ *corev1.PodLogOptions) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(namespace + "/" + pod + "/" + container + "\n")), nil
}

func options(tb testing.TB, dir string) api.Options {
	tb.Helper()
	return api.Options{
		Dir: dir, Clock: clock.NewFrozen(epoch), Draw: draw.New(1), Logs: logs{},
		Log: slog.New(slog.NewTextHandler(tb.Output(), nil)),
	}
}

// start gives a running server; stop ends it and returns what Serve did.
func start(tb testing.TB, o api.Options) (s *api.Server, stop func() error) {
	tb.Helper()
	s, err := api.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	return s, stop
}

func client(tb testing.TB, s *api.Server) *kubernetes.Clientset {
	tb.Helper()
	c, err := kubernetes.NewForConfig(s.RESTConfig(api.Operator))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: map[string]string{"k": "v"}}
}

func BenchmarkOpen(b *testing.B) {
	for _, kept := range []bool{false, true} {
		name := "memory"
		if kept {
			name = "kept"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				dir := ""
				if kept {
					dir = b.TempDir()
				}
				s, err := api.Open(b.Context(), options(b, dir))
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
