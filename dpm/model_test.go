package dpm_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/dpm"
	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/pki"
)

// TestJobsLiveByTheRules drives a real server over real streams with random acts, beside a model that knows the rules:
// what was accepted is never lost, each job has one end, no result of an old attempt counts, no engine gets more commands
// than it gave credits for. Stops and crashes of the DPM are among the acts.
func TestJobsLiveByTheRules(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*patience)
	defer cancel()
	dir := t.TempDir()
	c := clock.NewFrozen(time.Now())
	ca, err := pki.Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &model{dir: filepath.Join(dir, strconv.Itoa(runs)), jobs: map[sim.JobID]*modelJob{}}
		if err := os.Mkdir(m.dir, 0o700); err != nil {
			rt.Fatalf("%v", err)
		}
		m.r = rigAt(ctx, c, ca, filepath.Join(m.dir, "dpm.db"))
		m.r.start(rt)
		defer func() { m.r.close(rt); m.r.hangUp() }()
		m.key = m.r.authorize(rt, "finance")
		rt.Repeat(map[string]func(*rapid.T){
			"submit": m.submit, "connect": m.connect, "credit": m.credit, "begin": m.begin, "end": m.end, "stale": m.stale,
			"vanish": m.vanish, "drain": m.drain, "advance": m.advance, "restart": m.restart, "": m.check,
		})
		m.finish(rt)
	})
}

type model struct {
	r        *rig
	dir      string
	key      *ecdsa.PrivateKey
	engines  []*modelEngine
	jobs     map[sim.JobID]*modelJob
	order    []sim.JobID
	old      []*dpmv1.Command // superseded or ended attempts
	restarts int
	replicas int
}

type modelEngine struct {
	*engine
	credits  int // given and not used
	draining bool
}

// modelJob: an attempt holds while command is set.
type modelJob struct {
	command *dpmv1.Command // nil: waits, or has ended
	holder  sim.ReplicaID
	lease   time.Time
	tries   int
	state   dpm.State // when final
}

// sync lets every engine catch up, reads the commands that came, and drops leases that have run out.
func (m *model) sync(t *rapid.T) {
	t.Helper()
	for _, e := range m.engines {
		for _, msg := range e.barrier(t) {
			for _, c := range msg.GetCommands().GetCommands() {
				m.got(t, e, c)
			}
		}
	}
	for _, id := range m.order {
		if j := m.jobs[id]; j.command != nil && !j.lease.After(m.r.clock.Now()) {
			m.lose(j)
		}
	}
}

func (m *model) got(t *rapid.T, e *modelEngine, c *dpmv1.Command) {
	t.Helper()
	j := m.jobs[sim.JobID(c.GetJobId())]
	if j == nil || j.state != "" {
		t.Fatalf("command %v for a job that is not there or has ended: %+v", c, j)
	}
	if e.credits--; e.credits < 0 || e.draining {
		t.Fatalf("%s got %v with %d credits, draining %t", e.replica, c, e.credits, e.draining)
	}
	if j.command != nil {
		m.old = append(m.old, j.command)
	}
	if j.tries++; int(c.GetAttempt()) != j.tries {
		t.Fatalf("attempt %d, want %d", c.GetAttempt(), j.tries)
	}
	j.command, j.holder, j.lease = c, e.replica, c.GetLeaseExpires().AsTime()
}

func (m *model) lose(j *modelJob) {
	m.old = append(m.old, j.command)
	j.command = nil
	if j.tries == dpm.MaxAttempts {
		j.state = dpm.Failure
	}
}

func (m *model) pick(t *rapid.T) *modelEngine {
	if len(m.engines) == 0 {
		t.Skip("no engine")
	}
	return m.engines[rapid.IntRange(0, len(m.engines)-1).Draw(t, "engine")]
}

// own gives what an engine holds by the model.
func (m *model) own(e *modelEngine) []*modelJob {
	var out []*modelJob
	for _, id := range m.order {
		if j := m.jobs[id]; j.command != nil && j.holder == e.replica {
			out = append(out, j)
		}
	}
	return out
}

func (m *model) submit(t *rapid.T) {
	j := m.r.submit(t, profile)
	m.jobs[j.ID] = &modelJob{}
	m.order = append(m.order, j.ID)
	m.sync(t)
}

func (m *model) connect(t *rapid.T) {
	if len(m.engines) >= 3 {
		t.Skip("enough engines")
	}
	m.join(t, sim.ReplicaID(fmt.Sprintf("finance-%d", m.replicas)))
	m.replicas++
	m.sync(t)
}

func (m *model) join(t *rapid.T, replica sim.ReplicaID) *modelEngine {
	e := &modelEngine{engine: m.r.connect(t, m.key, "finance", replica)}
	m.engines = append(m.engines, e)
	return e
}

func (m *model) credit(t *rapid.T) {
	e := m.pick(t)
	n := rapid.IntRange(1, 3).Draw(t, "n")
	e.credits += n
	e.give(t, uint32(n))
	m.sync(t)
}

func (m *model) job(t *rapid.T, e *modelEngine) *modelJob {
	own := m.own(e)
	if len(own) == 0 {
		t.Skip("nothing to run")
	}
	return rapid.SampledFrom(own).Draw(t, "job")
}

func (m *model) begin(t *rapid.T) {
	e := m.pick(t)
	j := m.job(t, e)
	e.report(t, running(j.command))
	j.lease = m.r.clock.Now().Add(lease)
	m.sync(t)
}

func (m *model) end(t *rapid.T) {
	e := m.pick(t)
	j := m.job(t, e)
	ev := succeeded(j.command)
	ev.Payload = fmt.Appendf(nil, `{"attempt":%d}`, j.tries)
	j.state = dpm.Success
	if rapid.Bool().Draw(t, "fails") {
		ev = failed(j.command, "bad data")
		j.state = dpm.Failure
	}
	e.report(t, ev)
	if got := e.receipt(t); !got.GetAccepted() {
		t.Fatalf("the current attempt was refused: %v", got)
	}
	m.old = append(m.old, j.command)
	j.command = nil
	m.sync(t)
}

// stale reports an attempt that does not count, or counted already.
func (m *model) stale(t *rapid.T) {
	if len(m.old) == 0 {
		t.Skip("nothing is old")
	}
	e := m.pick(t)
	c := rapid.SampledFrom(m.old).Draw(t, "command")
	ev := succeeded(c)
	ev.Payload = []byte(`{"attempt":-1}`)
	e.report(t, ev)
	got := e.receipt(t)
	stored := m.r.job(t, sim.JobID(c.GetJobId()))
	repeated := stored.State == dpm.Success && stored.Attempt == int(c.GetAttempt()) && stored.Replica == e.replica
	if got.GetAccepted() != repeated {
		t.Fatalf("an old result: %v, want accepted %t", got, repeated)
	}
	m.sync(t)
}

func (m *model) vanish(t *rapid.T) {
	e := m.pick(t)
	for _, j := range m.own(e) {
		if !e.draining {
			m.lose(j)
		}
	}
	m.engines = slices.DeleteFunc(m.engines, func(x *modelEngine) bool { return x == e })
	m.r.vanish(t, e.engine)
	m.sync(t)
}

func (m *model) drain(t *rapid.T) {
	e := m.pick(t)
	e.draining = true
	e.stop(t)
	m.sync(t)
}

func (m *model) advance(t *rapid.T) {
	for _, e := range m.engines {
		for _, j := range m.own(e) {
			if rapid.Bool().Draw(t, "renew") {
				e.heartbeat(t, j.command.GetJobId())
				j.lease = m.r.clock.Now().Add(lease)
			}
		}
	}
	m.sync(t)
	m.r.advance(t, time.Duration(rapid.IntRange(1, 14).Draw(t, "seconds"))*time.Second) // engines are silent after 15
	m.sync(t)
}

// restart stops the DPM, or goes on from what a crash would have left on disk. Some engines come back under their names.
func (m *model) restart(t *rapid.T) {
	if m.restarts++; m.restarts > 3 {
		t.Skip("restarted often enough")
	}
	if rapid.Bool().Draw(t, "crash") {
		crashed := filepath.Join(m.dir, fmt.Sprintf("crash-%d.db", m.restarts))
		for _, suffix := range []string{"", "-wal"} {
			copyFile(t, m.r.path+suffix, crashed+suffix)
		}
		m.r.close(t)
		m.r.path = crashed
	} else {
		m.r.close(t)
	}
	m.r.start(t)
	for _, id := range m.order {
		m.jobs[id].lease = m.r.clock.Now().Add(lease)
	}
	before := m.engines
	m.engines = nil
	for _, e := range before {
		if _, err := e.end(t); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("the stream ended with %v", err)
		}
		if rapid.Bool().Draw(t, "comes back") {
			m.join(t, e.replica)
		}
	}
	m.sync(t)
}

func copyFile(t *rapid.T, from, to string) {
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatalf("copy the database: %v", err)
	}
}

// check compares the server with the model after every act.
func (m *model) check(t *rapid.T) {
	jobs, err := m.r.server.Jobs(m.r.ctx, dpm.JobFilter{})
	if err != nil {
		t.Fatalf("jobs: %v", err)
	}
	if len(jobs) != len(m.order) {
		t.Fatalf("%d jobs, want %d", len(jobs), len(m.order))
	}
	for i, got := range jobs {
		want := m.jobs[m.order[i]]
		switch {
		case got.ID != m.order[i]:
			t.Fatalf("job %d is %s, want %s", i, got.ID, m.order[i])
		case want.state != "" && got.State != want.state,
			want.state == "" && got.State.Final(),
			want.command != nil && (got.State == dpm.Enqueued || got.Replica != want.holder),
			want.command == nil && want.state == "" && got.State != dpm.Enqueued,
			got.Attempt != want.tries:
			t.Fatalf("job is %+v, the model has %+v", got, want)
		case got.State == dpm.Success && string(got.Summary) != fmt.Sprintf(`{"attempt":%d}`, want.tries):
			t.Fatalf("the summary %s is not of attempt %d", got.Summary, want.tries)
		case got.State == dpm.Success && !strings.HasSuffix(got.Result.Key, fmt.Sprintf("/%d.json", want.tries)):
			t.Fatalf("the result %v is not of attempt %d", got.Result, want.tries)
		}
		ends := m.r.count("job succeeded", got.ID) + m.r.count("job failed", got.ID)
		if final := got.State.Final(); final && ends != 1 || !final && ends != 0 {
			t.Fatalf("the end of %s job %s was told %d times", got.State, got.ID, ends)
		}
	}
	held := map[sim.ReplicaID]int{}
	for _, e := range m.engines {
		held[e.replica] = len(m.own(e))
	}
	got := map[sim.ReplicaID]int{}
	for _, e := range m.r.server.Engines() {
		got[e.Replica] = e.Running
	}
	if !maps.Equal(got, held) {
		t.Fatalf("engines hold %v, want %v", got, held)
	}
}

// finish brings every job to its end with one engine that works.
func (m *model) finish(t *rapid.T) {
	for len(m.engines) > 0 {
		e := m.engines[0]
		for _, j := range m.own(e) {
			if !e.draining {
				m.lose(j)
			}
		}
		m.engines = m.engines[1:]
		m.r.vanish(t, e.engine)
		m.sync(t)
	}
	m.r.advance(t, lease)
	m.sync(t)
	worker := m.join(t, "last")
	worker.credits = len(m.order) + 1
	worker.give(t, uint32(worker.credits))
	m.sync(t)
	for _, j := range m.own(worker) {
		ev := succeeded(j.command)
		ev.Payload = fmt.Appendf(nil, `{"attempt":%d}`, j.tries)
		worker.report(t, ev)
		if got := worker.receipt(t); !got.GetAccepted() {
			t.Fatalf("refused: %v", got)
		}
		j.state, j.command = dpm.Success, nil
	}
	m.check(t)
	for id, j := range m.jobs {
		if j.state == "" {
			t.Fatalf("job %s never ended", id)
		}
	}
}
