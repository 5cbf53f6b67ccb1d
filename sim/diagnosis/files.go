package diagnosis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"path"
	"slices"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/residue"
)

// maxJobs is of how many jobs of an environment a bundle tells.
const maxJobs = 500

// files gathers what a bundle holds of the simulator: its events, its state as the portal and the cluster show it, and logs. What
// cannot be read is told in its place.
func (d *diagnosis) files(ctx context.Context) []engine.File {
	f := &files{}
	var lines bytes.Buffer
	to := json.NewEncoder(&lines)
	for _, e := range d.all {
		if err := to.Encode(e); err != nil {
			break // it has no values that JSON cannot hold
		}
	}
	f.add("events.jsonl", lines.Bytes(), nil)
	f.json("run.json", map[string]any{"program": d.o.About, "endpoints": d.o.Stack.Endpoints()}, nil)
	if d.o.Log != nil {
		f.add("logs/simulator.log", d.o.Log.Bytes(), nil)
	}
	d.portal(ctx, f)
	d.cluster(ctx, f)
	return f.list
}

// portal adds what the portal's API tells. Its types hold no secret, or hide it.
func (d *diagnosis) portal(ctx context.Context, x *files) {
	c := d.o.Stack.Client()
	ask := func(name string, f func() (any, error)) { v, err := f(); x.json(path.Join("state", name), v, err) }
	ask("clock.json", func() (any, error) { return c.Clock(ctx) })
	ask("faults.json", func() (any, error) { return c.Faults(ctx) })
	ask("connections.json", func() (any, error) { return c.Connections(ctx) })
	ask("users.json", func() (any, error) { return c.Users(ctx) })
	ask("residue.json", func() (any, error) { return c.Residue(ctx, residue.Filter{}) })
	all, err := c.Environments(ctx)
	x.json("state/environments.json", all, err)
	for _, e := range all {
		of := func(name string, f func() (any, error)) { ask(path.Join(string(e.ID), name), f) }
		of("dpes.json", func() (any, error) { return c.DPEs(ctx, e.ID) })
		of("managed.json", func() (any, error) { return c.Managed(ctx, e.ID) })
		of("engines.json", func() (any, error) { return c.Engines(ctx, e.ID) })
		of("credentials.json", func() (any, error) { return c.Credentials(ctx, e.ID) })
		of("allowlist.json", func() (any, error) { return c.Allowlist(ctx, e.ID) })
		of("health.json", func() (any, error) { return c.Health(ctx, e.ID) })
		of("jobs.json", func() (any, error) { return first(c.AllJobs(ctx, e.ID, api.JobFilter{}), maxJobs) })
	}
}

// cluster adds the cluster's objects and the logs of its pods.
func (d *diagnosis) cluster(ctx context.Context, f *files) {
	objects, err := d.o.Stack.Objects(ctx)
	for _, resource := range slices.Sorted(maps.Keys(objects)) {
		f.add("cluster/"+resource+".yaml", objects[resource], nil)
	}
	if err != nil {
		f.add("cluster/missing.txt", nil, err)
	}
	view, err := d.o.Stack.Operator().Read(ctx)
	if err != nil {
		f.add("logs/missing.txt", nil, err)
	}
	for _, p := range view.Pods {
		name := path.Join("logs", p.Namespace, p.Name)
		text, err := d.o.Stack.Operator().Log(ctx, p.Namespace, p.Name, false)
		f.add(name+".log", []byte(text), err)
		if before, err := d.o.Stack.Operator().Log(ctx, p.Namespace, p.Name, true); err == nil {
			f.add(name+".previous.log", []byte(before), nil)
		}
	}
}

// files is a growing list.
type files struct{ list []engine.File }

// add adds a file, if there is anything in it, or why it is not there.
func (f *files) add(name string, data []byte, err error) {
	if err != nil {
		data = []byte(sim.Report(err))
	}
	if len(data) == 0 {
		return
	}
	f.list = append(f.list, engine.File{Name: name, Data: data})
}

func (f *files) json(name string, v any, err error) {
	text, wrong := json.MarshalIndent(v, "", "  ")
	f.add(name, append(text, '\n'), errors.Join(err, wrong))
}

// first gives the first of many, at most so many.
func first[T any](rows iter.Seq2[T, error], most int) ([]T, error) {
	out := []T{}
	for x, err := range rows {
		if err != nil {
			return out, err
		}
		if out = append(out, x); len(out) == most {
			break
		}
	}
	return out, nil
}
