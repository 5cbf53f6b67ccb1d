package why

import (
	"fmt"
	"slices"

	"github.com/dpesim/dpesim/sim"
)

// onPurpose relates a symptom to the fault that was armed where it comes from. The fault may have let this very call pass: what is
// told is that it was armed then, there.
const onPurpose = "it is broken on purpose there"

// brokenBy gives the points of faults whose documented symptom e is ('dpesim fault points').
func brokenBy(e sim.Event) []string {
	switch e.What {
	case "engine refused":
		if e.Detail["kind"] == sim.Unavailable.String() {
			return []string{"dpm.connect"}
		}
	case "engine disconnected":
		return []string{"dpm.dispatch", "dpm.event"}
	case "connection refused":
		if e.Detail["reason"] == "injected fault" {
			return []string{"edge.accept"}
		}
	case "image pull failed", "image pull backed off":
		return []string{"cluster.pull", "registry.pull"}
	case "container exited", "container waiting":
		return []string{"cluster.oom"}
	case "job failed", "job returned":
		return []string{"objstore.get", "objstore.put", "dpe.storage", "dpe.scratch", "dpe.command"}
	}
	return nil
}

// fault gives the newest arming of a fault whose symptom e is and that was not disarmed before it.
func (l *log) fault(e sim.Event) (sim.Event, bool) {
	points := brokenBy(e)
	return l.newest(0, e.Seq, func(x sim.Event) bool {
		if x.What != "fault armed" || !slices.Contains(points, x.Detail["point"]) ||
			x.Environment != "" && e.Environment != "" && x.Environment != e.Environment || x.DPE != "" && e.DPE != "" && x.DPE != e.DPE {
			return false
		}
		_, mended := l.newest(x.Seq, e.Seq, func(y sim.Event) bool { return y.What == "fault disarmed" && y.Detail["fault"] == x.Detail["fault"] })
		return !mended
	})
}

// advice says what to do about e, whose chains these are: what is broken on purpose is mended first. other is the advice where nothing is.
func advice(chains []Chain, other string) string {
	for _, c := range chains {
		if c.Relation == onPurpose {
			return fmt.Sprintf("it is broken on purpose: 'dpesim fault disarm %s' mends it, if it is armed still", c.Steps[0].Detail["fault"])
		}
	}
	return other
}
