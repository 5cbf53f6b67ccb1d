package portal

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/dpe/chart"
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

// surgeGrace is how long one replica more than specified counts as an update under way. Assumption: the time that the
// installation commands give an update.
const surgeGrace = 5 * time.Minute

// surplus tells whether more of d's replicas are connected than were specified: two or more, or one for longer than
// [surgeGrace], since updates start a new replica before they stop an old one (seed: "your cluster has to be sized for n + 1
// number of replicas"). What drains does not count. until is when one that is more becomes one too many; zero: never.
func surplus(d store.DPE, engines []api.Engine, now time.Time) (over bool, until time.Time) {
	n, youngest := 0, time.Time{}
	for _, e := range engines {
		if e.Draining {
			continue
		}
		n++
		if e.ConnectedAt.After(youngest) {
			youngest = e.ConnectedAt
		}
	}
	switch until = youngest.Add(surgeGrace); {
	case n <= d.Replicas:
		return false, time.Time{}
	case n > d.Replicas+1, !now.Before(until):
		return true, time.Time{}
	}
	return false, until
}

// statusOf computes the status of d in an environment of release platform, now. engines are those of d that are connected,
// runs is what [running] tells, was the inputs of the revision that runs (zero if it is unknown), failed what went wrong
// last (nil: nothing).
func statusOf(d store.DPE, platform sim.Release, engines []api.Engine, runs store.Seen, was store.Inputs, failed *api.Failure, now time.Time) api.Status {
	n := len(engines)
	s := api.Status{
		State: api.StateConnected, Colour: api.Green, Message: connectedSuccessfully,
		Detail:            fmt.Sprintf("%d of %d replicas connected", n, d.Replicas),
		ReplicasConnected: n, ReplicasWanted: d.Replicas, Differences: []api.Difference{}, Running: notNil(runs.Releases), Platform: platform,
		OldestRelease: chart.OldestEngine(platform), LastFailure: failed,
	}
	if s.NonCompliant, _ = surplus(d, engines, now); s.NonCompliant {
		s.Compliance = fmt.Sprintf("%d replicas are connected, and %d are specified and counted towards the licence", n, d.Replicas)
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
	s.UpgradeRequired = slices.ContainsFunc(runs.Releases, func(r sim.Release) bool { return r.Compare(s.OldestRelease) < 0 })
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
		add("sizing", sizingWords(was.Sizing), sizingWords(d.Sizing))
		add("release", string(was.Release), string(d.Release))
	}
	add("revision", strconv.FormatInt(revision, 10), strconv.FormatInt(d.Revision, 10))
	return out
}

// sizingWords tells which sizing a revision has.
func sizingWords(s sim.Sizing) string {
	return cmp.Or(store.SizingWords(s), "the tier's")
}
