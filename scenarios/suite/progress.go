package suite

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim/clock"
)

// Progress shows on a terminal what runs now, in its last line: which cases, and of each the step, which of how many, and how long
// it has been running. What is written through [Progress.Over] stands above that line. It uses no colours and no more of a terminal
// than that it goes back to the beginning of a line. It is safe for concurrent use.
type Progress struct {
	Terminal io.Writer
	Width    func() int   // of the terminal, in characters, now
	Cases    int          // there are
	Wall     *clock.Clock // nil: the machine's

	mu      sync.Mutex
	running []*playing
	ended   int
	shown   int  // characters of the line that is shown
	midst   bool // what was written over it has not ended its line
}

// playing is a case that runs.
type playing struct {
	of    *Progress
	name  string
	steps int
	now   string // its step
	index int
	began time.Time // of the step
	over  bool      // it has ended, and no other has begun
}

// Report is the Progress' [Report], one of [Options].Live.
func (p *Progress) Report(c Case) engine.Reporter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Wall == nil {
		p.Wall = clock.New()
	}
	x := &playing{of: p, name: strings.TrimSuffix(path.Base(title(c)), ".md"), steps: len(c.Scenario.Steps), began: p.Wall.Now()}
	p.running = append(p.running, x)
	p.drawLocked()
	return x
}

// Run brings the times up to date until ctx is done, and then takes the line away.
func (p *Progress) Run(ctx context.Context) {
	wall := clock.New()
	for wall.Sleep(ctx, time.Second) == nil {
		p.mu.Lock()
		p.drawLocked()
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
	p.running = nil
}

// Over gives a writer to the same terminal, or to w if that is another, above the line.
func (p *Progress) Over(w io.Writer) io.Writer { return over{p, w} }

type over struct {
	p *Progress
	w io.Writer
}

// Write takes the line away, writes, and shows it again.
func (o over) Write(text []byte) (int, error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.p.clearLocked()
	n, err := o.w.Write(text)
	if len(text) > 0 {
		o.p.midst = text[len(text)-1] != '\n'
	}
	o.p.drawLocked()
	return n, err
}

func (p *Progress) clearLocked() {
	if p.shown > 0 {
		fmt.Fprintf(p.Terminal, "\r%s\r", strings.Repeat(" ", p.shown))
		p.shown = 0
	}
}

func (p *Progress) drawLocked() {
	line := p.lineLocked()
	p.clearLocked()
	if line != "" && !p.midst {
		fmt.Fprint(p.Terminal, line)
		p.shown = utf8.RuneCountInString(line)
	}
}

// lineLocked is what is to be shown, shorter than the terminal is wide: in its last column some terminals begin a new line.
func (p *Progress) lineLocked() string {
	var parts []string
	for _, x := range p.running {
		if x.over {
			continue
		}
		took := p.Wall.Now().Sub(x.began).Truncate(time.Second)
		what := "starting"
		if x.now != "" {
			what = fmt.Sprintf("%d/%d %s", x.index+1, x.steps, x.now)
		}
		if p.Cases > 1 {
			what = x.name + " " + what
		}
		parts = append(parts, fmt.Sprintf("%s %s", what, took))
	}
	if len(parts) == 0 {
		return ""
	}
	line := strings.Join(parts, " · ")
	if p.Cases > 1 {
		line = fmt.Sprintf("[%d/%d] %s", p.ended, p.Cases, line)
	}
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
	if room := p.Width() - 1; utf8.RuneCountInString(line) > room {
		if room < 2 {
			return ""
		}
		line = string([]rune(line)[:room-1]) + "…"
	}
	return line
}

// ScenarioStarted needs nothing.
func (*playing) ScenarioStarted(engine.ScenarioStarted) {}

// StepStarted shows the step.
func (x *playing) StepStarted(e engine.StepStarted) {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.now, x.index, x.began, x.over = e.Name, e.Index, x.of.Wall.Now(), false
	if e.Finally {
		x.now += " (clean-up)"
	}
	x.of.drawLocked()
}

// StepFinished no longer shows the step.
func (x *playing) StepFinished(engine.StepFinished) {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.over = true
	x.of.drawLocked()
}

// ScenarioFinished no longer shows the case.
func (x *playing) ScenarioFinished(engine.ScenarioFinished) {
	p := x.of
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = slices.DeleteFunc(p.running, func(y *playing) bool { return y == x })
	p.ended++
	p.drawLocked()
}
