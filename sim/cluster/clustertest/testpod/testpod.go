// Package testpod is the program that the pods of the conformance suite run: small, and told by its arguments what to
// do. It is a function for a cluster that runs containers in its own process, and a static program (package
// testpod/testpod) for an image.
//
// The arguments are done one after the other; the exit code is 0 when they are all done:
//
//	print TEXT        writes TEXT and a line end
//	env NAME          writes NAME=value
//	cat PATH          writes the file
//	serve             answers HTTP on port 8080 until the program is asked to end: /ready and /live say ok
//	unready, ill      from here on /ready, or /live, answers 503
//	deaf              from here on the request to end (SIGTERM) is ignored
//	sleep DURATION    waits, as "5s"; the request to end ends the program with code 143
//	eat BYTES         takes so much memory and keeps it: "64Mi"
//	write PATH BYTES  writes a file of that size
//	exit CODE         ends the program
package testpod

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Port is where "serve" listens.
const Port = 8080

// Terminated is the exit code of a program that SIGTERM has ended.
const Terminated = 143

// World is what the program finds around it. All of it is needed.
type World struct {
	Args   []string
	Getenv func(name string) (string, bool)
	Out    io.Writer
	Stop   <-chan struct{} // closed when it is asked to end (SIGTERM)
	Listen func(port int) (net.Listener, error)
	Sleep  func(ctx context.Context, d time.Duration) error
	Memory func(ctx context.Context, bytes int64) error   // takes memory and keeps it
	Open   func(path string) (fs.File, error)             // a mounted file
	Create func(path string) (io.WriteCloser, error)      // a file of a writable volume
	Parse  func(quantity string) (bytes int64, err error) // "64Mi"
}

// Run does what w.Args say until they are done, the program is asked to end, or ctx is done (SIGKILL). It returns the
// exit code.
func Run(ctx context.Context, w World) int {
	p := &program{World: w}
	code, err := p.run(ctx)
	if err != nil {
		fmt.Fprintf(w.Out, "testpod: %v\n", err)
	}
	return code
}

type program struct {
	World
	unready, ill atomic.Bool
	deaf         bool
}

// run gives the exit code; err is printed.
func (p *program) run(ctx context.Context) (int, error) {
	args := p.Args
	next := func() (string, error) {
		if len(args) == 0 {
			return "", fmt.Errorf("the last of %q lacks an argument", p.Args)
		}
		a := args[0]
		args = args[1:]
		return a, nil
	}
	for len(args) > 0 {
		verb, _ := next()
		var arg string
		var err error
		switch verb {
		case "print", "env", "cat", "sleep", "eat", "write", "exit":
			if arg, err = next(); err != nil {
				return 2, err
			}
		}
		switch verb {
		case "print":
			fmt.Fprintln(p.Out, arg)
		case "env":
			value, ok := p.Getenv(arg)
			if !ok {
				return 1, fmt.Errorf("%s is not set", arg)
			}
			fmt.Fprintf(p.Out, "%s=%s\n", arg, value)
		case "cat":
			err = p.cat(arg)
		case "serve":
			return p.serve(ctx)
		case "unready":
			p.unready.Store(true)
		case "ill":
			p.ill.Store(true)
		case "deaf":
			p.deaf = true
		case "sleep":
			if code, done := p.sleep(ctx, arg); done {
				return code, nil
			}
		case "eat":
			var n int64
			if n, err = p.Parse(arg); err == nil {
				err = p.Memory(ctx, n)
			}
		case "write":
			var size string
			if size, err = next(); err == nil {
				err = p.write(arg, size)
			}
		case "exit":
			code, err := strconv.Atoi(arg)
			if err != nil {
				return 2, err
			}
			return code, nil
		default:
			return 2, fmt.Errorf("it does not know %q", verb)
		}
		if err != nil {
			return 1, err
		}
	}
	return 0, nil
}

func (p *program) cat(path string) error {
	f, err := p.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(p.Out, f)
	_ = f.Close() // it was only read
	return err
}

func (p *program) write(path, size string) error {
	n, err := p.Parse(size)
	if err != nil {
		return err
	}
	f, err := p.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for n > 0 && err == nil {
		var m int
		m, err = f.Write(block[:min(n, int64(len(block)))])
		n -= int64(m)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// sleep tells whether the program ends by it, and how.
func (p *program) sleep(ctx context.Context, arg string) (code int, done bool) {
	d, err := time.ParseDuration(arg)
	if err != nil {
		fmt.Fprintf(p.Out, "testpod: %v\n", err)
		return 2, true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cut := make(chan bool, 1)
	go func() { cut <- p.Sleep(ctx, d) != nil }()
	stop := p.Stop
	if p.deaf {
		stop = nil
	}
	select {
	case early := <-cut:
		return Terminated, early
	case <-stop:
		cancel()
		<-cut
		return Terminated, true
	}
}

func (p *program) serve(ctx context.Context) (int, error) {
	l, err := p.Listen(Port)
	if err != nil {
		return 1, err
	}
	mux := http.NewServeMux()
	answer := func(bad *atomic.Bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if bad.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(w, "ok")
		}
	}
	mux.Handle("/ready", answer(&p.unready))
	mux.Handle("/live", answer(&p.ill))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	fmt.Fprintln(p.Out, "serving")
	stop := p.Stop
	if p.deaf {
		stop = nil
	}
	select {
	case <-stop:
		fmt.Fprintln(p.Out, "stopping")
	case <-ctx.Done():
	}
	_ = srv.Close()
	serving.Wait()
	return 0, nil
}
