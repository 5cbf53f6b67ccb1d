package portal

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// The product's words for the two colours of a status.
const (
	notConnectedYet       = "DPE isn't connected yet"
	connectedSuccessfully = "DPE is connected successfully"
)

// running tells what runs, by the engines of one DPE that are connected; without any, what ran last.
func running(last store.Seen, engines []api.Engine) store.Seen {
	if len(engines) == 0 {
		return last
	}
	s := store.Seen{Revision: engines[0].Revision}
	for _, e := range engines {
		s.Revision = min(s.Revision, e.Revision)
		s.Releases = append(s.Releases, e.Version)
	}
	slices.SortFunc(s.Releases, sim.Release.Compare)
	s.Releases = slices.Compact(s.Releases)
	return s
}

// statusOf computes the status of d in an environment of release platform. engines are those of d that are connected,
// runs is what [running] tells, was the inputs of the revision that runs (zero if it is unknown).
func statusOf(d store.DPE, platform sim.Release, engines []api.Engine, runs store.Seen, was store.Inputs) api.Status {
	n := len(engines)
	s := api.Status{
		State: api.StateConnected, Colour: api.Green, Message: connectedSuccessfully,
		Detail:            fmt.Sprintf("%d of %d replicas connected", n, d.Replicas),
		ReplicasConnected: n, ReplicasWanted: d.Replicas, Differences: []api.Difference{}, Running: notNil(runs.Releases), Platform: platform,
	}
	seen := n > 0 || len(runs.Releases) > 0
	switch {
	case !seen:
		s.State, s.Colour, s.Message = api.StateNotConnected, api.Orange, notConnectedYet
		return s
	case n == 0:
		s.State, s.Colour, s.Message = api.StateDisconnected, api.Orange, "DPE is disconnected" // our words: the product's documentation has none
		if !runs.Disconnected.IsZero() {
			s.DisconnectedSince = &runs.Disconnected
		}
	case n < d.Replicas:
		s.State = api.StatePartiallyConnected
	}
	s.Outdated = slices.ContainsFunc(runs.Releases, func(r sim.Release) bool { return r != platform })
	if runs.Revision != d.Revision {
		s.RedeployNeeded, s.Differences = true, differences(d, runs.Revision, was)
	}
	return s
}

// differences lists what a redeployment of d would change of what runs.
func differences(d store.DPE, revision int64, was store.Inputs) []api.Difference {
	out := []api.Difference{}
	add := func(field, running, wanted string) {
		if running != wanted {
			out = append(out, api.Difference{Field: field, Running: running, Wanted: wanted})
		}
	}
	if was.Replicas != 0 {
		add("drivers", joined(was.Drivers), joined(d.Drivers))
		add("replicas", strconv.Itoa(was.Replicas), strconv.Itoa(d.Replicas))
		add("release", string(was.Release), string(d.Release))
	}
	add("revision", strconv.FormatInt(revision, 10), strconv.FormatInt(d.Revision, 10))
	return out
}
