package portal

import (
	"context"
	"slices"
	"sync"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// progress is how far the creations of this run are. It is safe for concurrent use.
type progress struct {
	mu sync.Mutex
	of map[sim.EnvironmentID][]api.CreationStep
}

// steps gives the steps of an environment's creation, all of them waiting if it has not begun.
func (g *progress) steps(env sim.EnvironmentID) []api.CreationStep {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, there := g.of[env]; there {
		return slices.Clone(s)
	}
	var out []api.CreationStep
	for _, name := range api.Steps() {
		out = append(out, api.CreationStep{Name: name, State: api.StepWaiting})
	}
	return out
}

// Progress tells that a step of the creation that in asks for is in another state.
func (p *Portal) Progress(ctx context.Context, in Intent, name string, state api.StepState) {
	steps := p.progress.steps(in.Environment)
	for i := range steps {
		if steps[i].Name == name {
			steps[i].State, steps[i].Since = state, p.opts.Clock.Now()
		}
	}
	p.progress.mu.Lock()
	if p.progress.of == nil {
		p.progress.of = map[sim.EnvironmentID][]api.CreationStep{}
	}
	p.progress.of[in.Environment] = steps
	p.progress.mu.Unlock()
	p.publish(ctx, in.Cause, sim.Event{Environment: in.Environment, What: environmentStep, Detail: map[string]string{"step": name, "state": string(state)}})
}

// forget drops what is known of an environment's creation, which is over.
func (g *progress) forget(env sim.EnvironmentID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.of, env)
}
