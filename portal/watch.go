package portal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

// maxBatch bounds how many events are gathered before statuses are computed, so that a busy bus does not starve them.
const maxBatch = 256

// watch computes the statuses of an environment's DPEs whenever something was told of it by DPM or by the portal, records
// what was seen connected, and tells of each status that changed. It returns when ctx is done.
func (p *Portal) watch(ctx context.Context) {
	sub := p.opts.Bus.Subscribe(p.opts.Bus.Last())
	w := watcher{p: p, known: map[int64]api.Status{}}
	w.all(ctx)
	for ctx.Err() == nil {
		causes, missed := w.gather(ctx, sub)
		if missed {
			w.all(ctx)
			continue
		}
		for env, cause := range causes {
			w.environment(ctx, env, cause)
		}
	}
}

// gather waits for an event that may change a status and takes along what else is there. It gives the last such event of
// each environment, or that all are to be looked at: events were missed, or time has passed that changes a status.
func (w *watcher) gather(ctx context.Context, sub *event.Subscription) (causes map[sim.EnvironmentID]uint64, missed bool) {
	bus := w.p.opts.Bus
	wait, cancel := ctx, context.CancelFunc(func() {})
	if !w.due.IsZero() {
		wait, cancel = w.p.opts.Clock.WithTimeout(ctx, w.due.Sub(w.p.opts.Clock.Now()))
	}
	defer cancel()
	causes = map[sim.EnvironmentID]uint64{}
	for n := 0; len(causes) == 0 || n < maxBatch; n++ {
		e, err := sub.Next(wait)
		if _, ok := errors.AsType[*event.MissedError](err); ok {
			return nil, true
		}
		if err != nil {
			return nil, wait.Err() != nil && ctx.Err() == nil
		}
		w.p.failures.observe(e)
		if matters(e) {
			causes[e.Environment] = e.Seq
		}
		if e.Seq == bus.Last() && len(causes) > 0 {
			break
		}
	}
	return causes, false
}

// matters tells whether e may change a status.
func matters(e sim.Event) bool {
	return e.Environment != "" && (e.Part == sim.PartDPM || e.Part == sim.PartEdge || e.Part == sim.PartPortal && e.What != dpeStatusChanged && e.What != complianceChanged)
}

// watcher is the state of [Portal.watch].
type watcher struct {
	p     *Portal
	known map[int64]api.Status // by row of the DPE; rows are never used again
	due   time.Time            // when a status changes by itself; zero: none does
}

// all looks at every environment.
func (w *watcher) all(ctx context.Context) {
	w.due = time.Time{}
	rows, err := w.p.store.Environments(ctx, "")
	if err != nil {
		w.failed(ctx, fmt.Errorf("list environments: %w", err))
		return
	}
	for _, e := range rows {
		w.environment(ctx, e.ID, 0)
	}
}

// environment looks at the DPEs of one environment, because of the event with Seq cause.
func (w *watcher) environment(ctx context.Context, env sim.EnvironmentID, cause uint64) {
	e, rows, err := w.p.store.DPEs(ctx, env)
	if sim.KindOf(err) == sim.NotFound && err != nil {
		return // deleted meanwhile
	}
	if err != nil {
		w.failed(ctx, fmt.Errorf("list DPEs of environment %s: %w", env, err))
		return
	}
	engines, err := w.p.engines(ctx, env)
	if err != nil {
		w.failed(ctx, err)
		return
	}
	for _, x := range w.p.opts.Bus.Since(cause) { // what is connected may be the effect of a later one
		if x.Environment == env && matters(x) {
			cause = x.Seq
		}
	}
	if err := w.compliance(ctx, env, len(engines), cause); err != nil {
		w.failed(ctx, fmt.Errorf("record the compliance of environment %s: %w", env, err))
	}
	for _, d := range rows {
		if err := w.dpe(ctx, e, d, engines, cause); err != nil {
			w.failed(ctx, err)
		}
	}
}

// compliance records how many replicas are connected, and tells when that came to be more than is licensed, or no more so.
func (w *watcher) compliance(ctx context.Context, env sim.EnvironmentID, connected int, cause uint64) error {
	now, was, err := w.p.store.Sample(ctx, env, connected)
	if err != nil || now.Compliant == was.Compliant {
		return err
	}
	w.p.publish(ctx, cause, sim.Event{Environment: env, What: complianceChanged, Detail: map[string]string{
		"licensed": strconv.Itoa(now.Licensed), "connected": strconv.Itoa(now.Connected), "compliant": strconv.FormatBool(now.Compliant),
	}})
	return nil
}

// dpe looks at one DPE.
func (w *watcher) dpe(ctx context.Context, e store.Environment, d store.DPE, engines []api.Engine, cause uint64) error {
	x, err := w.p.withStatus(ctx, e, d, engines)
	if err != nil {
		return err
	}
	was, known := w.known[d.ID]
	if !known { // new, or from before dpesim was started: with nothing connected
		before, err := w.p.withStatus(ctx, e, d, nil)
		if err != nil {
			return err
		}
		was = before.Status
	}
	w.known[d.ID] = x.Status
	own := slices.DeleteFunc(slices.Clone(engines), func(x api.Engine) bool { return x.Label != d.Label })
	if _, until := surplus(d, own, w.p.opts.Clock.Now()); !until.IsZero() && (w.due.IsZero() || until.Before(w.due)) {
		w.due = until
	}
	if err := w.remember(ctx, d, engines); err != nil {
		return fmt.Errorf("record what is connected of DPE %s: %w", d.Label, err)
	}
	if sameStatus(was, x.Status) {
		return nil
	}
	w.p.publish(ctx, cause, sim.Event{Environment: d.Environment, DPE: d.Label, What: dpeStatusChanged, Detail: map[string]string{
		"from": string(was.State), "to": string(x.Status.State), "message": x.Status.Message, "replicas": x.Status.Detail,
		"redeploy_needed": strconv.FormatBool(x.Status.RedeployNeeded), "outdated": strconv.FormatBool(x.Status.Outdated),
		"upgrade_required": strconv.FormatBool(x.Status.UpgradeRequired), "non_compliant": strconv.FormatBool(x.Status.NonCompliant),
		"failure": failureOf(x.Status),
	}})
	return nil
}

// sameStatus tells whether people see no difference.
func sameStatus(a, b api.Status) bool {
	return a.State == b.State && a.Detail == b.Detail && a.RedeployNeeded == b.RedeployNeeded && a.Outdated == b.Outdated &&
		a.UpgradeRequired == b.UpgradeRequired && a.NonCompliant == b.NonCompliant && failureOf(a) == failureOf(b)
}

// failureOf gives the sentence of the last failure; empty: none.
func failureOf(s api.Status) string {
	if s.LastFailure == nil {
		return ""
	}
	return s.LastFailure.Sentence
}

// remember records what is connected of d now, if that is not what is recorded.
func (w *watcher) remember(ctx context.Context, d store.DPE, engines []api.Engine) error {
	var own []api.Engine
	for _, x := range engines {
		if x.Label == d.Label {
			own = append(own, x)
		}
	}
	now := running(d.Seen, own)
	switch {
	case len(own) > 0:
		if now.Revision == d.Seen.Revision && joined(now.Releases) == joined(d.Seen.Releases) && d.Seen.Disconnected.IsZero() {
			return nil
		}
	case len(d.Seen.Releases) == 0 || !d.Seen.Disconnected.IsZero():
		return nil // never connected, or known to be gone
	default:
		now.Disconnected = w.p.opts.Clock.Now()
	}
	return w.p.store.SetSeen(ctx, d.ID, now)
}

// failed logs what kept statuses from being computed; the next event tries again.
func (w *watcher) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		w.p.opts.Log.Warn("statuses not computed", "err", err)
	}
}
