package room

import (
	"context"
	"slices"
	"strconv"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/room/internal/picture"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

// recently is how many events the perimeter looks at.
const recently = 400

// maxTicker bounds how many of the last events the perimeter shows.
const maxTicker = 10

// maxWires bounds how many open connections the perimeter lists.
const maxWires = 20

// lately gives the last events, oldest first.
func (r *Room) lately() []sim.Event {
	var out []sim.Event
	for e := range r.Bus.Backward() {
		if out = append(out, e); len(out) == recently {
			break
		}
	}
	slices.Reverse(out)
	return out
}

// Perimeter shows what is connected with what.
func (r *Room) Perimeter(ctx context.Context) (ui.PerimeterPage, error) {
	var view ui.PerimeterPage
	facts := picture.Facts{Now: r.Clock.Now(), Connections: r.Simulator.Connections(), Faults: r.Armed(), Events: r.lately()}
	all, err := r.Product.Environments(ctx)
	if err != nil {
		return view, err
	}
	who := map[string]string{}
	for _, e := range all {
		engines, err := r.Product.Engines(ctx, e.ID)
		if err != nil {
			return view, err
		}
		for _, x := range engines {
			who[x.Remote] = string(x.Replica)
		}
		facts.Environments = append(facts.Environments, picture.Environment{Environment: e, Engines: engines})
	}
	view.Picture, view.Narrow = picture.Draw(facts), picture.DrawNarrow(facts)
	view.Open, view.Connections = len(facts.Connections), wires(facts, who)
	view.Ticker = ticker(facts.Events)
	for i, a := range r.Simulator.Addresses() {
		view.Endpoints = append(view.Endpoints, ui.Endpoint{ID: "endpoint-" + strconv.Itoa(i), Name: a[0], Address: a[1]})
	}
	return view, nil
}

// wires gives the connections that were used last, the latest first. who names engines by where they connect from.
func wires(f picture.Facts, who map[string]string) []ui.Wire {
	all := slices.SortedStableFunc(slices.Values(f.Connections), func(a, b api.Connection) int { return b.Active.Compare(a.Active) })
	var out []ui.Wire
	for _, x := range all[:min(len(all), maxWires)] {
		out = append(out, ui.Wire{
			Host: x.Host, Source: x.Source, Who: who[x.Source], In: picture.Bytes(x.In), Out: picture.Bytes(x.Out), Busy: picture.Busy(x, f.Now),
		})
	}
	return out
}

// ticker gives the last of what passed through the perimeter, the newest first.
func ticker(events []sim.Event) []ui.Event {
	var out []ui.Event
	for _, e := range slices.Backward(events) {
		switch e.Part {
		case sim.PartDPM, sim.PartEdge, sim.PartObjstore, sim.PartRegistry:
			if out = append(out, eventView(e)); len(out) == maxTicker {
				return out
			}
		case sim.PartSim, sim.PartPortal, sim.PartDPE, sim.PartCluster:
		}
	}
	return out
}
