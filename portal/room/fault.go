package room

import (
	"context"
	"strconv"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/ui"
)

// Armed lists what is broken on purpose, in the order of arming.
func (r *Room) Armed() []api.Fault {
	out := []api.Fault{}
	for _, f := range r.Faults.Armed() {
		x := api.Fault{
			Name: f.Name, Point: string(f.Point), Environment: f.Match.Environment, DPE: f.Match.DPE, Skip: f.Skip, Times: f.Times, Probability: f.Probability,
		}
		if f.Delay > 0 {
			x.Delay = f.Delay.String()
		}
		if f.Err != nil {
			x.Error, _ = sim.Explain(f.Err)
		}
		out = append(out, x)
	}
	return out
}

// Arm breaks something on purpose.
func (r *Room) Arm(ctx context.Context, f api.Fault) error {
	known := false
	for _, x := range r.Simulator.FaultPoints() {
		known = known || x.Point == f.Point
	}
	if !known {
		return sim.Errorf(sim.Invalid, "nothing can be broken at %.40q", f.Point).WithHelp("'dpesim fault points' lists where")
	}
	g := fault.Fault{
		Name: f.Name, Point: fault.Point(f.Point), Match: fault.Scope{Environment: f.Environment, DPE: f.DPE},
		Skip: f.Skip, Times: f.Times, Probability: f.Probability,
	}
	if f.Delay != "" {
		var err error
		if g.Delay, err = clock.ParseSpan(f.Delay); err != nil {
			return err
		}
	}
	if f.Error != "" {
		g.Err = sim.Errorf(sim.Unavailable, "%s", f.Error).WithHelp("fault %q is armed; 'dpesim fault disarm %s' mends it", f.Name, f.Name)
	}
	if err := r.Faults.Arm(g); err != nil {
		return err
	}
	return r.Product.Tell(ctx, sim.Event{Environment: f.Environment, DPE: f.DPE, What: faultArmed, Detail: map[string]string{"fault": f.Name, "point": f.Point}})
}

// Disarm mends what is broken on purpose.
func (r *Room) Disarm(ctx context.Context, name string) error {
	if err := r.Faults.Disarm(name); err != nil {
		return err
	}
	return r.Product.Tell(ctx, sim.Event{What: faultDisarmed, Detail: map[string]string{"fault": name}})
}

// Controls shows the clock and what is broken, with the fault that was typed.
func (r *Room) Controls(ctx context.Context, typed ui.ArmedFault) (ui.ControlsPage, error) {
	view := ui.ControlsPage{Clock: r.clockView(), Typed: typed, Command: FaultCommand(api.Fault{Error: "the network is broken"})}
	for _, x := range r.Armed() {
		view.Armed = append(view.Armed, ui.ArmedFault{
			Name: x.Name, Point: x.Point, Environment: string(x.Environment), DPE: string(x.DPE), Delay: x.Delay, Error: x.Error,
			Skip: strconv.Itoa(x.Skip), Times: strconv.Itoa(x.Times), Probability: strconv.FormatFloat(x.Probability, 'g', -1, 64),
			Mend: "dpesim fault disarm " + word(x.Name),
		})
	}
	for _, x := range r.Simulator.FaultPoints() {
		view.Points = append(view.Points, ui.FaultPoint{Point: x.Point, Where: x.Where, Symptom: x.Symptom, Chosen: x.Point == typed.Point})
	}
	all, err := r.Product.Environments(ctx)
	for _, e := range all {
		view.Environments = append(view.Environments, ui.Option{Value: string(e.ID), Text: e.Name, Chosen: string(e.ID) == typed.Environment})
	}
	return view, err
}
