package portal

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/runs"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// startRun starts a task of a DPE's commands, as they are printed, on the simulator's own cluster.
func (p *Portal) startRun(ctx context.Context, env sim.EnvironmentID, l sim.Label, task api.Task) (*runs.Run, error) {
	e, d, err := p.store.DPE(ctx, env, l)
	if err != nil {
		return nil, fmt.Errorf("run the commands of DPE %s: %w", l, err)
	}
	at := p.opts.Cloud.Endpoints(env)
	direct, err := commands(d, at).Variant(api.VariantDirect)
	if err != nil {
		return nil, err
	}
	todo, err := direct.Task(task)
	if err != nil {
		return nil, err
	}
	if e.Phase != api.PhaseReady {
		return nil, sim.Errorf(sim.Conflict, "environment %s is not ready but %s", env, e.Phase).WithHelp("see 'dpesim environment get %s'", env)
	}
	values, err := p.write(ctx, e, d, d.Revision, d.Inputs)
	if err != nil {
		return nil, err
	}
	w := runs.Work{Files: map[string]sim.Secret{valuesFile: sim.Secret(values), tokenFile: d.RegistryToken, caFile: sim.Secret(at.CA)}}
	for _, c := range todo {
		w.Commands = append(w.Commands, c.Command)
	}
	by := identityOf(ctx).ID
	later := context.WithoutCancel(ctx) // who started it may leave; it stays who acts
	return p.runs.Start(ctx, runs.Order{
		DPE: d.ID, Work: w, Secrets: []sim.Secret{d.RegistryToken, d.SecretKey, d.Key},
		Is: api.Run{Environment: env, DPE: l, Task: task, Release: d.Release, Revision: d.Revision, By: by},
		Begun: func(r api.Run) (uint64, error) {
			if err := p.store.Record(ctx, runAct(commandsStarted, r)); err != nil {
				return 0, fmt.Errorf("run the commands of DPE %s: %w", l, err)
			}
			detail := runDetail(r)
			detail["by"] = by
			return p.publish(ctx, 0, sim.Event{Environment: env, DPE: l, What: commandsStarted, Detail: detail}).Seq, nil
		},
		Ended: func(r api.Run, cause uint64, err error) {
			if err != nil {
				p.opts.Log.Error("the commands of a DPE could not be run", "run", r.ID, "dpe", l, "err", err)
			}
			if err := p.store.Record(later, runAct(commandsEnded, r)); err != nil && sim.KindOf(err) != sim.NotFound { // its environment may be gone
				p.opts.Log.Error("the end of a run is not in the audit log", "run", r.ID, "err", err)
			}
			p.publish(later, cause, sim.Event{Environment: env, DPE: l, What: commandsEnded, Detail: runDetail(r)})
		},
	})
}

func runAct(action string, r api.Run) store.Act {
	return store.Act{Action: action, Environment: r.Environment, DPE: r.DPE, Detail: runDetail(r)}
}

// runDetail is what events and the audit log tell of a run.
func runDetail(r api.Run) map[string]string {
	d := map[string]string{"run": r.ID, "task": string(r.Task), "revision": strconv.FormatInt(r.Revision, 10)}
	if r.Ended == nil {
		return d
	}
	d["state"], d["ms"] = string(r.State), strconv.FormatInt(r.ElapsedMS, 10)
	if r.ExitCode != nil {
		d["exit_code"] = strconv.Itoa(*r.ExitCode)
	}
	if r.Reason != "" {
		d["reason"] = r.Reason
	}
	return d
}

// run finds a run of a DPE, or gives NotFound.
func (p *Portal) run(ctx context.Context, env sim.EnvironmentID, l sim.Label, id string) (*runs.Run, error) {
	_, d, err := p.store.DPE(ctx, env, l)
	if err != nil {
		return nil, fmt.Errorf("find the run of DPE %s: %w", l, err)
	}
	for _, r := range p.runs.Of(d.ID) {
		if r.View().ID == id {
			return r, nil
		}
	}
	return nil, sim.Errorf(sim.NotFound, "there is no run %.20q of DPE %s", id, l).WithHelp("the last %d of a DPE are remembered, until the simulator stops", runs.OfOne)
}

// cancelRun has a run end soon.
func (p *Portal) cancelRun(ctx context.Context, env sim.EnvironmentID, l sim.Label, id string) (*runs.Run, error) {
	r, err := p.run(ctx, env, l, id)
	if err != nil {
		return nil, err
	}
	r.Cancel(errors.New(identityOf(ctx).ID + " cancelled it"))
	return r, nil
}

// endRuns has the runs of a removed DPE end that cannot succeed any more: all but what takes it from the cluster.
func (p *Portal) endRuns(dpe int64) {
	for _, r := range p.runs.Of(dpe) {
		if r.View().Task != api.TaskUninstall {
			r.Cancel(errors.New("the DPE was removed"))
		}
	}
}
