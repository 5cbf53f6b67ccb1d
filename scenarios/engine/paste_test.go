package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
)

// screen is what was printed. It is safe for concurrent use.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// words are those of the tests: one that prints its arguments and input, one that fails, one that waits to be stopped.
func words(started chan<- struct{}) map[string]verb.Verb {
	return map[string]verb.Verb{
		"greet": func(_ context.Context, c verb.Call) error {
			in, err := io.ReadAll(c.Stdin)
			fmt.Fprintf(c.Stdout, "%s %s\n", strings.Join(c.Args, " "), in)
			return err
		},
		"fail": func(_ context.Context, c verb.Call) error {
			fmt.Fprintln(c.Stderr, "it broke")
			return &verb.ExitError{Code: 7}
		},
		"hang": func(ctx context.Context, _ verb.Call) error {
			close(started)
			<-ctx.Done()
			return ctx.Err()
		},
	}
}

func TestPastedTextRunsAsItStands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "who"), []byte("world"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := words(nil)
	for _, x := range []struct {
		text, prints string
		code         int
	}{
		{"greet hello < who && greet again < /dev/null", "hello world\nagain \n", 0},
		{`greet "${NAME:-nobody}" < who`, "ada world\n", 0},
		{"fail\ngreet never", "it broke\n", 7},
		{"greet a < who | fail", "it broke\n", 7},
		{"say hello; ls", "hello\nls: no such word; no programs run here, there are fail, greet, hang\n", 127},
	} {
		var out screen
		code, err := engine.Paste(t.Context(), x.text, engine.Options{Dir: dir, Verbs: v, NoExec: true, Env: map[string]string{"NAME": "ada"}}, &out)
		if err != nil || code != x.code || out.String() != x.prints {
			t.Errorf("%s: exit code %d, %v, prints %q", x.text, code, err, out.String())
		}
	}
	if _, err := engine.Paste(t.Context(), "greet 'x", engine.Options{Dir: dir}, io.Discard); err == nil {
		t.Error("what no shell can read was run")
	}
}

func TestPastedTextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	ended := make(chan error, 1)
	v := words(started)
	go func() {
		_, err := engine.Paste(ctx, "hang && greet never", engine.Options{Dir: t.TempDir(), Verbs: v, NoExec: true}, io.Discard)
		ended <- err
	}()
	<-started
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
