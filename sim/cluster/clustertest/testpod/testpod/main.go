// Command testpod is the program of package testpod for an image: one static file.
//
//	CGO_ENABLED=0 go build -o testpod ./sim/cluster/clustertest/testpod/testpod
package main

import (
	"context"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/cluster/clustertest/testpod"
)

func main() {
	stop := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() { <-signals; close(stop) }()
	var kept []byte
	os.Exit(testpod.Run(context.Background(), testpod.World{
		Args: os.Args[1:], Getenv: os.LookupEnv, Out: os.Stdout, Stop: stop,
		Listen: func(port int) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(context.Background(), "tcp", ":"+strconv.Itoa(port))
		},
		Sleep: func(ctx context.Context, d time.Duration) error { return clock.New().Sleep(ctx, d) },
		Memory: func(_ context.Context, n int64) error {
			const page = 4096
			kept = make([]byte, n)
			for i := 0; i < len(kept); i += page {
				kept[i] = 1 // memory counts once it is touched
			}
			return nil
		},
		Open:   func(path string) (fs.File, error) { return os.Open(path) },
		Create: func(path string) (io.WriteCloser, error) { return os.Create(path) },
		Parse: func(s string) (int64, error) {
			q, err := resource.ParseQuantity(s)
			return q.Value(), err
		},
	}))
}
