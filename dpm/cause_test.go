package dpm_test

import (
	"strconv"
	"testing"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

func TestAnEngineSaysWhatLedToItsConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	started := r.bus.Publish(r.ctx, sim.Event{Part: sim.PartCluster, What: "container started"})
	for replica, c := range map[sim.ReplicaID]struct {
		claim string
		want  uint64
	}{
		"present": {strconv.FormatUint(started.Seq, 10), started.Seq},
		"future":  {"1000000", 0},
		"broken":  {"-1", 0},
		"empty":   {"", 0},
	} {
		before := r.bus.Last()
		e := r.open(t, "authorization", "Bearer "+r.token(t, key, "finance"), event.CauseHeader, c.claim)
		e.send(t, &dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Hello{Hello: hello("finance", replica)}})
		if got := r.await(t, before, "engine connected"); got.Cause != c.want {
			t.Errorf("%s: %q is caused by %d, want %d", replica, c.claim, got.Cause, c.want)
		}
	}
}

func TestACommandCarriesItsOwnEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.connect(t, r.authorize(t, "finance"), "finance", "finance-0")
	before := r.bus.Last()
	r.submit(t, profile)
	e.give(t, 1)
	if c, want := e.command(t), r.await(t, before, "job dispatched"); c.GetCause() != want.Seq {
		t.Errorf("the command's cause is %d, want %d", c.GetCause(), want.Seq)
	}
}
