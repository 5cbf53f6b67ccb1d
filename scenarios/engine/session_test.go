package engine_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
)

// printed is where a session prints.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.text.String()
	p.text.Reset()
	return s
}

func session(t *testing.T, verbs map[string]verb.Verb) (s *engine.Session, out, errs *printed) {
	t.Helper()
	out, errs = &printed{}, &printed{}
	s, err := engine.Open(t.Context(), engine.Options{Dir: t.TempDir(), Verbs: verbs}, engine.Streams{In: strings.NewReader("typed\n"), Out: out, Err: errs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, out, errs
}

func TestSessionGoesOnFromTextToText(t *testing.T) {
	t.Parallel()
	s, out, errs := session(t, nil)
	for _, x := range []struct {
		text      string
		want      engine.Result
		out, errs string
	}{
		{"x=1; f() { echo \"f $x\"; }", engine.Result{}, "", ""},
		{"f", engine.Result{}, "f 1\n", ""},
		{"read -r line; echo \"$line\"", engine.Result{}, "typed\n", ""},
		{"cd /; pwd", engine.Result{}, "/\n", ""},
		{"say hello", engine.Result{}, "hello\n", ""},
		{"echo a; (exit 3); echo b", engine.Result{Code: 3}, "a\n", ""},
		{"pwd", engine.Result{}, "/\n", ""},
		{"g() { false; true; }; g", engine.Result{Code: 1}, "", ""},
		{"no-such-program-anywhere", engine.Result{Code: 127}, "", "no-such-program-anywhere: no such word, and no such program on PATH\n"},
		{"eventually 3s f", engine.Result{}, "f 1\n", ""},
		{"", engine.Result{}, "", ""},
		{"exit 4; echo not so", engine.Result{Code: 4, Exited: true}, "", ""},
		{"exit; echo not so", engine.Result{Code: 4, Exited: true}, "", ""},
		{"true; exit 0; echo not so", engine.Result{Exited: true}, "", ""},
	} {
		got, err := s.Run(t.Context(), x.text)
		if o, e := out.take(), errs.take(); err != nil || got != x.want || o != x.out || e != x.errs {
			t.Errorf("%q: got %+v, %v, want %+v\n%q\n%q", x.text, got, err, x.want, o, e)
		}
	}
	if _, err := s.Run(t.Context(), "echo a; ("); err == nil || out.take() != "" {
		t.Errorf("half a statement: %v", err)
	} else if _, unread := errors.AsType[*engine.SyntaxError](err); !unread {
		t.Errorf("half a statement: %v", err)
	}
}

// An interrupted text leaves the session, and what runs in its background, as it was.
func TestSessionOutlivesAnInterrupt(t *testing.T) {
	t.Parallel()
	interrupted, stop := context.WithCancel(t.Context())
	staying, background := make(chan struct{}), make(chan struct{})
	s, out, _ := session(t, map[string]verb.Verb{
		"hang": func(ctx context.Context, _ verb.Call) error { stop(); <-ctx.Done(); return ctx.Err() },
		"stay": func(ctx context.Context, _ verb.Call) error {
			close(staying)
			<-ctx.Done()
			close(background)
			return ctx.Err()
		},
	})
	if got, err := s.Run(t.Context(), "x=1; stay &"); err != nil || got.Code != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	<-staying
	if _, err := s.Run(interrupted, "hang; echo not so"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-background:
		t.Error("what ran in the background was ended, too")
	default:
	}
	if got, err := s.Run(t.Context(), `echo "x is $x"`); err != nil || got.Code != 0 || out.take() != "x is 1\n" {
		t.Errorf("got %+v, %v", got, err)
	}
	s.Close()
	<-background
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"echo a\n": false, "\n": false, "": false, "# a\n": false, "fi\n": false, "echo a; }\n": false, "echo '\\'\n": false, "echo \\\\\n": false,
		"echo a \\\n": true, "echo 'a\n": true, "f() {\n": true, "f() {\nx\n": true, "a |\n": true, "a &&\n": true, "if a; then\n": true,
		"cat <<EOF\nx\n": true, "cat <<EOF\nx\nEOF\n": false, "x=$(a\n": true, "f() {\nx\n}\n": false,
	} {
		if got := engine.Incomplete(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
