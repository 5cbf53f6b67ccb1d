package dpm_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dpesim/dpesim/dpm"
	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

func TestAnEngineThatVanishesLosesItsJobsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	a, b := r.connect(t, key, "finance", "finance-0"), r.connect(t, key, "finance", "finance-1")
	a.give(t, 1)
	j := r.submit(t, profile)
	a.report(t, running(a.command(t)))
	a.barrier(t)
	b.give(t, 1)
	b.barrier(t)
	seq := r.bus.Last()
	a.hangUp()
	c := b.command(t)
	if c.GetJobId() != string(j.ID) || c.GetAttempt() != 2 {
		t.Fatalf("the other replica got %v, want attempt 2 of %s", c, j.ID)
	}
	gone, lost, again := r.await(t, seq, "engine disconnected"), r.await(t, seq, "lease lost"), r.await(t, seq, "job dispatched")
	if lost.Cause != gone.Seq || again.Cause != lost.Seq {
		t.Errorf("causes: lost by %d want %d, dispatched by %d want %d", lost.Cause, gone.Seq, again.Cause, lost.Seq)
	}
	got := r.job(t, j.ID)
	if len(got.Attempts) != 2 || got.Attempts[0].Outcome != "lost" || got.Attempts[1].Outcome != "" {
		t.Errorf("attempts are %+v", got.Attempts)
	}
}

func TestResultsOfAnOlderAttemptAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	a, b := r.connect(t, key, "finance", "finance-0"), r.connect(t, key, "finance", "finance-1")
	a.give(t, 1)
	j := r.submit(t, profile)
	old := a.command(t)
	r.advance(t, heartbeat)
	a.heartbeat(t) // alive, but does not name the job
	a.barrier(t)
	b.barrier(t)
	r.advance(t, lease-heartbeat)
	a.report(t, succeeded(old))
	if got := a.receipt(t); got.GetAccepted() || !strings.Contains(got.GetReason(), "lost its lease") {
		t.Errorf("receipt while the job waits: %v", got)
	}
	b.give(t, 1)
	c := b.command(t)
	a.report(t, succeeded(old))
	if got := a.receipt(t); got.GetAccepted() || !strings.Contains(got.GetReason(), "superseded by attempt 2") {
		t.Errorf("receipt while another runs it: %v", got)
	}
	a.report(t, succeeded(c))
	if got := a.receipt(t); got.GetAccepted() || !strings.Contains(got.GetReason(), "belongs to replica finance-1") {
		t.Errorf("receipt for another's attempt: %v", got)
	}
	if got := r.job(t, j.ID); got.State != dpm.Submitted {
		t.Fatalf("job is %s, want SUBMITTED", got.State)
	}
	b.report(t, succeeded(c))
	if got := b.receipt(t); !got.GetAccepted() {
		t.Errorf("receipt of the current attempt: %v", got)
	}
	if got := r.job(t, j.ID); !strings.HasSuffix(got.Result.Key, "/2.json") {
		t.Errorf("result is %v, want that of attempt 2", got.Result)
	}
}

func TestHeartbeatsKeepLeasesAndEngines(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.connect(t, r.authorize(t, "finance"), "finance", "finance-0")
	a.give(t, 1)
	j := r.submit(t, profile)
	c := a.command(t)
	for range 10 {
		r.advance(t, heartbeat)
		a.heartbeat(t, c.GetJobId())
		a.barrier(t)
	}
	if got := r.job(t, j.ID); got.State != dpm.Submitted || got.Attempt != 1 {
		t.Errorf("job is %s, attempt %d; want SUBMITTED, 1", got.State, got.Attempt)
	}
	if n := len(r.server.Engines()); n != 1 {
		t.Errorf("%d engines, want 1", n)
	}
}

func TestASilentEngineIsGoneAfterThreeHeartbeats(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.connect(t, r.authorize(t, "finance"), "finance", "finance-0")
	r.advance(t, 3*heartbeat-time.Millisecond)
	if n := len(r.server.Engines()); n != 1 {
		t.Fatalf("%d engines before, want 1", n)
	}
	r.advance(t, time.Millisecond)
	if n := len(r.server.Engines()); n != 0 {
		t.Errorf("%d engines after, want 0", n)
	}
	if _, err := a.end(t); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no heartbeat for 15s") {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestAJobFailsAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	j := r.submit(t, profile)
	for range dpm.MaxAttempts {
		e := r.connect(t, key, "finance", "finance-0")
		e.give(t, 1)
		e.command(t)
		r.vanish(t, e)
	}
	got := r.job(t, j.ID)
	if got.State != dpm.Failure || got.Attempt != dpm.MaxAttempts || !strings.Contains(got.Reason, "given up after 5 attempts; the last: the engine is gone") {
		t.Errorf("job is %s at attempt %d for %q", got.State, got.Attempt, got.Reason)
	}
	if n := r.count("lease lost", j.ID); n != dpm.MaxAttempts {
		t.Errorf("%d leases lost, want %d", n, dpm.MaxAttempts)
	}
}

func TestADrainingEngineFinishesWhatItRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	a := r.connect(t, key, "finance", "finance-0")
	a.give(t, 5)
	first := r.submit(t, profile)
	c := a.command(t)
	a.stop(t)
	a.barrier(t)
	second := r.submit(t, profile)
	if got := a.barrier(t); len(got) != 0 {
		t.Errorf("a draining engine got %v", got)
	}
	if e := r.server.Engines(); !e[0].Draining || e[0].Running != 1 {
		t.Errorf("engine is %+v, want draining with 1 running", e[0])
	}
	a.report(t, succeeded(c))
	if got := a.receipt(t); !got.GetAccepted() {
		t.Errorf("receipt: %v", got)
	}
	_ = a.stream.CloseSend()
	if _, err := a.end(t); err == nil || err.Error() != "EOF" {
		t.Errorf("the stream ended with %v, want OK", err)
	}
	if got := r.job(t, first.ID); got.State != dpm.Success {
		t.Errorf("first job is %s", got.State)
	}
	if got := r.job(t, second.ID); got.State != dpm.Enqueued {
		t.Errorf("second job is %s", got.State)
	}
}

func TestADrainThatIsCutShortKeepsItsLeasesUntilTheyRunOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	a := r.connect(t, key, "finance", "finance-0")
	a.give(t, 1)
	j := r.submit(t, profile)
	a.command(t)
	a.stop(t)
	a.barrier(t)
	r.vanish(t, a)
	if got := r.job(t, j.ID); got.State != dpm.Submitted {
		t.Fatalf("job is %s, want SUBMITTED until its lease runs out", got.State)
	}
	r.advance(t, lease)
	if got := r.job(t, j.ID); got.State != dpm.Enqueued {
		t.Errorf("job is %s, want ENQUEUED", got.State)
	}
}

func TestARestartKeepsJobsWithTheirEnginesForOneLease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	a, b := r.connect(t, key, "finance", "finance-0"), r.connect(t, key, "finance", "finance-1")
	a.give(t, 1)
	kept := r.submit(t, profile)
	atA := a.command(t)
	a.report(t, running(atA))
	a.barrier(t)
	b.give(t, 1)
	lost := r.submit(t, profile)
	b.command(t)
	waiting := r.submit(t, profile)
	r.close(t)
	if m, err := a.end(t); status.Code(err) != codes.Unavailable || len(m) != 1 || m[0].GetGoodbye().GetReason() != dpmv1.GoodbyeReason_GOODBYE_REASON_RESTART {
		t.Errorf("the stream ended with %v, %v; want goodbye RESTART, Unavailable", m, err)
	}
	r.start(t)
	for id, want := range map[dpm.State]dpm.State{r.job(t, kept.ID).State: dpm.Running, r.job(t, lost.ID).State: dpm.Submitted, r.job(t, waiting.ID).State: dpm.Enqueued} {
		if id != want {
			t.Errorf("after the restart: %s, want %s", id, want)
		}
	}
	a = r.connect(t, key, "finance", "finance-0")
	a.report(t, succeeded(atA))
	if got := a.receipt(t); !got.GetAccepted() {
		t.Errorf("result that outlived the restart: %v", got)
	}
	r.advance(t, lease)
	if got := r.job(t, lost.ID); got.State != dpm.Enqueued || got.Attempts[0].Outcome != "lost" {
		t.Errorf("job of the engine that stayed away: %s, %+v", got.State, got.Attempts)
	}
	if next := r.submit(t, profile); next.ID == kept.ID || next.ID == lost.ID || next.ID == waiting.ID {
		t.Errorf("id %s was given twice", next.ID)
	}
}

func TestFaultsBreakDispatchAndEventsButLoseNoJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	j := r.submit(t, profile)
	for _, p := range []fault.Point{dpm.FaultDispatch, dpm.FaultEvent} {
		if err := r.faults.Arm(fault.Fault{Name: string(p), Point: p, Times: 1, Err: errors.New("cable cut")}); err != nil {
			t.Fatal(err)
		}
	}
	e := r.connect(t, key, "finance", "finance-0")
	e.give(t, 1)
	if _, err := e.end(t); status.Code(err) != codes.Internal {
		t.Errorf("dispatch fault: the stream ended with %v", err)
	}
	e = r.connect(t, key, "finance", "finance-1")
	e.give(t, 1)
	e.report(t, succeeded(e.command(t)))
	if _, err := e.end(t); status.Code(err) != codes.Internal {
		t.Errorf("event fault: the stream ended with %v", err)
	}
	e = r.connect(t, key, "finance", "finance-2")
	e.give(t, 1)
	c := e.command(t)
	e.report(t, succeeded(c))
	if got := e.receipt(t); !got.GetAccepted() || c.GetAttempt() != 3 {
		t.Errorf("attempt %d: %v", c.GetAttempt(), got)
	}
	if got := r.job(t, j.ID); got.State != dpm.Success {
		t.Errorf("job is %s", got.State)
	}
}

func TestWhatCouldNotBeStoredWasToldToNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	e := r.connect(t, key, "finance", "finance-0")
	e.give(t, 2)
	held := r.submit(t, profile)
	c := e.command(t)
	db, err := sql.Open("sqlite", r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(r.ctx, `CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	seq := r.bus.Last()
	if _, err := r.server.Submit(r.ctx, profile); err == nil || sim.KindOf(err) != sim.Internal {
		t.Fatalf("Submit: %v, want Internal", err)
	}
	if m, err := e.end(t); status.Code(err) != codes.Unavailable || len(m) != 0 {
		t.Errorf("the stream ended with %v, %v; want Unavailable and no command", m, err)
	}
	for _, ev := range r.bus.Since(seq) {
		if strings.HasPrefix(ev.What, "job ") {
			t.Errorf("the bus was told %+v", ev)
		}
	}
	if _, err := db.ExecContext(r.ctx, `DROP TRIGGER full`); err != nil {
		t.Fatal(err)
	}
	e = r.connect(t, key, "finance", "finance-0")
	e.report(t, succeeded(c))
	if got := e.receipt(t); !got.GetAccepted() {
		t.Errorf("the result of the job that was stored: %v", got)
	}
	next := r.submit(t, profile)
	jobs, err := r.server.Jobs(r.ctx, dpm.JobFilter{})
	if err != nil || len(jobs) != 2 || jobs[0].ID != held.ID || jobs[1].ID != next.ID {
		t.Errorf("jobs are %+v, %v; want %s and %s", jobs, err, held.ID, next.ID)
	}
}

func TestACommandThatCrossedADrainGoesToAnotherAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	a, b := r.connect(t, key, "finance", "finance-0"), r.connect(t, key, "finance", "finance-1")
	a.give(t, 1)
	j := r.submit(t, profile)
	a.command(t)
	a.stop(t)
	b.give(t, 1)
	b.barrier(t)
	_ = a.stream.CloseSend()
	if c := b.command(t); c.GetJobId() != string(j.ID) || c.GetAttempt() != 2 {
		t.Errorf("the other replica got %v, want attempt 2 of %s", c, j.ID)
	}
}
