package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event/mask"
	"github.com/dpesim/dpesim/sim/stack"
)

// Recorder records what an operator sees of a run. It is an [engine.Reporter], of one run.
type Recorder struct {
	ctx      context.Context // of the run: a reporter is given none
	stack    *stack.Stack
	observer *observer
	seen     uint64 // of the bus, up to here
	heard    heard
	log      [][]sim.Event
	run      Run
	err      error
}

// Record gives the recorder of a run on s, which is up and works on the cluster target. Until the run is over it works until ctx is done.
func Record(ctx context.Context, cluster string, s *stack.Stack) (*Recorder, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.Endpoints().Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1 // some lists after each step
	o, err := newObserver(ctx, config)
	if err != nil {
		return nil, err
	}
	return &Recorder{ctx: ctx, stack: s, observer: o, seen: s.Bus().Last(), run: Run{Cluster: cluster}}, nil
}

// Run gives what was seen, once the run is over, or why it could not be seen.
func (r *Recorder) Run() (*Run, error) { return &r.run, r.err }

// ScenarioStarted notes nothing.
func (r *Recorder) ScenarioStarted(engine.ScenarioStarted) {}

// StepStarted notes nothing.
func (r *Recorder) StepStarted(engine.StepStarted) {}

// settle is how long what is under way at the end of a step is given to come to rest.
const settle = 2 * time.Second

// StepFinished looks at the cluster once it has come to rest, at most [settle] later.
func (r *Recorder) StepFinished(e engine.StepFinished) {
	defer r.stack.Pace().Hold()() // the scenario's time shall not run away meanwhile
	machine := clock.New()
	until := machine.Now().Add(settle)
	v, err := r.observer.look(r.ctx)
	for err == nil && v.moves() && machine.Now().Before(until) && machine.Sleep(r.ctx, 100*time.Millisecond) == nil {
		v, err = r.observer.look(r.ctx)
	}
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("after step %q: %w", e.Name, err))
		return
	}
	s := Step{Name: e.Name, Line: e.Line, Sights: map[Kind]map[string]*Object{Printed: {}, Events: v.asObjects(), States: v.states}}
	if e.Finally {
		s.Name += " (clean-up)"
	}
	s.Sights[Printed]["output"] = r.printed(e.Output + "\n" + strings.Join(e.Said, "\n"))
	for command, text := range r.heard.take() {
		s.Sights[Printed][command] = r.printed(r.stack.Secrets().Text(text))
	}
	r.run.Steps = append(r.run.Steps, s)
	log := r.stack.Bus().Since(r.seen)
	if len(log) > 0 {
		r.seen = log[len(log)-1].Seq
	}
	r.log = append(r.log, log)
}

// ScenarioFinished looks through the events of the whole run: what changed on the way only shows at its end.
func (r *Recorder) ScenarioFinished(engine.ScenarioFinished) {
	bare := func(events []sim.Event) []sim.Event {
		out := slices.Clone(events)
		for i := range out {
			out[i].Cause = 0                         // a real cluster knows less of why
			if out[i].What == "dpe status changed" { // it is that of a replica that may be gone already
				out[i].Detail = maps.Clone(out[i].Detail)
				delete(out[i].Detail, "failure")
			}
		}
		return out
	}
	lines := mask.Lines(bare(slices.Concat(r.log...)))
	for i, log := range r.log {
		told := &Object{Lines: map[string]bool{}}
		for _, l := range mask.Lines(bare(log)) {
			if at, ok := slices.BinarySearch(lines, l); ok {
				told.Lines[r.observer.named(l)] = true
				lines = slices.Delete(lines, at, at+1)
			}
		}
		r.run.Steps[i].Sights[Told] = map[string]*Object{"timeline": told}
	}
	r.run.fresh()
}

// printed gives the lines of a text.
func (r *Recorder) printed(text string) *Object {
	out := &Object{Lines: map[string]bool{}}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(r.observer.masked(line)); line != "" {
			out.Lines[line] = true
		}
	}
	return out
}

// Around gives a verb that is listened to, if it is helm: what that prints is compared also where a scenario sends it to a file.
func (r *Recorder) Around(word string, v verb.Verb) verb.Verb {
	if word != "helm" {
		return v
	}
	return func(ctx context.Context, c verb.Call) error {
		command := strings.Join(append([]string{word}, c.Args[:min(1, len(c.Args))]...), " ")
		c.Stdout, c.Stderr = io.MultiWriter(c.Stdout, r.heard.listen(command)), io.MultiWriter(c.Stderr, r.heard.listen(command))
		return v(ctx, c)
	}
}

// heard is what commands have printed, by command. It is safe for concurrent use.
type heard struct {
	mu   sync.Mutex
	text map[string]string
}

// take gives what was heard since the last take.
func (h *heard) take() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.text
	h.text = nil
	return out
}

// listen gives where a command prints to.
func (h *heard) listen(command string) io.Writer {
	return writer(func(p []byte) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.text == nil {
			h.text = map[string]string{}
		}
		h.text[command] += string(p)
	})
}

type writer func(p []byte)

// Write takes all of p.
func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

func (v *view) asObjects() map[string]*Object {
	out := map[string]*Object{}
	for name, lines := range v.events {
		out[name] = &Object{Lines: maps.Clone(lines)}
	}
	return out
}

// chance is what differs between any two runs, beside what golden fences of scenarios mask.
var chance = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+(/\d+)?(:PORT)?\b`), "ADDRESS"},
	{regexp.MustCompile(`\bDPE[A-Z2-7]{16}\b`), "ACCESSKEY"},
	{regexp.MustCompile(`\bms=\d+\b`), "ms=N"},
	{regexp.MustCompile(`\(count=\d+ `), "(count=N "}, // how often was dialled in vain
	{regexp.MustCompile(`Image size: \d+ bytes`), "Image size: N bytes"},
	{regexp.MustCompile(`\S+@?sha256:DIGEST`), "IMAGE@DIGEST"},
}

// masked gives text without what no two runs share.
func (o *observer) masked(text string) string {
	text = engine.Masked(o.named(text), "id", "digest", "time", "age", "port", "key", "space") // ids first: they may look like an age
	for _, c := range chance {
		text = c.pattern.ReplaceAllString(text, c.by)
	}
	return text
}

// named gives text with NODE for each node.
func (o *observer) named(text string) string {
	for _, n := range o.nodes {
		text = strings.ReplaceAll(text, n, "NODE")
	}
	return text
}
