package portal

import (
	"context"
	"maps"

	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

// What the portal tells on the bus.
const (
	environmentCreated  = "environment created"
	environmentStep     = "environment step"
	environmentReady    = "environment ready"
	environmentUpgraded = "environment upgraded"
	allowlistChanged    = "allowlist changed"
	managedScaled       = "managed dpes scaled"
	ownerChanged        = "environment owner changed"
	environmentDeleting = "environment deletion requested"
	environmentDeleted  = "environment deleted"
	dpmRestarted        = "dpm restarted"
	dpeAdded            = "dpe added"
	dpeEdited           = "dpe edited"
	tokenRotated        = "registry token rotated"
	dpeRemoved          = "dpe removed"
	commandsStarted     = "commands started"
	commandsEnded       = "commands ended"
	dpeStatusChanged    = "dpe status changed"
	complianceChanged   = "compliance changed"
)

// change runs commit, tells of it, and wakes the reader of intents. The event is the cause of what the reader does. The
// zero event means that nothing changed.
func (p *Portal) change(ctx context.Context, commit func() (sim.Event, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := commit()
	if err != nil || e.What == "" {
		return err
	}
	if by := store.ActorOf(ctx).User; by != "" {
		e.Detail = maps.Clone(e.Detail)
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["by"] = by
	}
	e = p.publish(ctx, 0, e)
	if e.Seq != 0 {
		p.causes[e.Environment] = e.Seq
	}
	p.signal()
	return nil
}

// publish tells e on the bus, as caused by the event with Seq cause unless that is 0.
func (p *Portal) publish(ctx context.Context, cause uint64, e sim.Event) sim.Event {
	if cause != 0 {
		ctx = event.WithCause(ctx, cause)
	}
	e.Part = sim.PartPortal
	return p.opts.Bus.Publish(ctx, e)
}
