package stack

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/survey"
	"github.com/dpesim/dpesim/sim/life"
	"github.com/dpesim/dpesim/sim/residue"
	"github.com/dpesim/dpesim/sim/why"
)

// bookkeeper keeps the ledger of what installations leave. It begins when the cluster is ready, so that nobody waits for
// it, and looks again whenever something happens.
type bookkeeper struct {
	stack  *Stack
	survey *survey.Survey
	opened chan struct{} // closed once there is a ledger

	mu     sync.Mutex // over looking and writing, so that what is written later was seen later
	ledger *residue.Ledger
}

// recordEvery is how long the ledger is left alone after a look, in product time: a roll of many pods is one look or two.
const recordEvery = 500 * time.Millisecond

func (s *Stack) openBookkeeper(context.Context) error {
	var namespaces []string
	if t := s.config.Target; t != nil {
		namespaces = t.Namespaces
	}
	s.books = &bookkeeper{stack: s, survey: survey.New(s.cluster.RESTConfig(), namespaces, s.log(sim.PartSim)), opened: make(chan struct{})}
	return s.group.Add(life.Service{Name: "residue ledger", Serve: s.books.serve, Close: s.books.close})
}

func (k *bookkeeper) serve(ctx context.Context) error {
	select {
	case <-k.stack.cluster.Ready():
	case <-ctx.Done():
		return nil
	}
	ledger, err := residue.Open(ctx, k.stack.dir.join("residue.db"), k.stack.config.Clock)
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the simulator stops
		}
		return err
	}
	k.mu.Lock()
	k.ledger = ledger
	k.mu.Unlock()
	close(k.opened)
	var group life.Group
	for _, s := range []life.Service{
		{Name: "survey", Serve: k.survey.Serve},
		{Name: "record", Serve: k.record},
	} {
		if err := group.Add(s); err != nil {
			return err
		}
	}
	return group.Serve(ctx)
}

// record looks whenever something may have changed, until ctx is done.
func (k *bookkeeper) record(ctx context.Context) error {
	told := make(chan struct{}, 1)
	var reader sync.WaitGroup
	defer reader.Wait()
	reader.Go(func() {
		for sub := k.stack.bus.Subscribe(0); ctx.Err() == nil; {
			if e, err := sub.Next(ctx); err == nil && e.Part == sim.PartCluster { // the survey sees that for itself
				continue
			}
			select {
			case told <- struct{}{}:
			default: // a look is due already
			}
		}
	})
	for {
		select {
		case <-told:
		case <-k.survey.Changed():
		case <-ctx.Done():
			return nil
		}
		if _, err := k.look(ctx); err != nil && ctx.Err() == nil {
			k.stack.log(sim.PartSim).WarnContext(ctx, "the residue ledger is not up to date", "err", err)
		}
		if k.stack.config.Clock.Sleep(ctx, recordEvery) != nil {
			return nil
		}
	}
}

// look gathers what there is and writes what differs from the last time.
func (k *bookkeeper) look(ctx context.Context) ([]residue.Thing, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	present, err := k.cloud(ctx)
	if err != nil {
		return nil, err
	}
	sides := []residue.Side{residue.SidePortal, residue.SideDPM, residue.SideStorage, residue.SideRegistry}
	objects, brief := k.survey.Take()
	there, gone := clusterThings(objects), clusterThings(brief)
	k.credit(there)
	k.credit(gone)
	present = append(present, there...)
	select {
	case <-k.survey.Synced():
		sides = append(sides, residue.SideCluster)
	default:
	}
	var unseen []string
	for _, u := range k.survey.Unseen() {
		unseen = append(unseen, u.What)
	}
	return present, k.ledger.Record(ctx, sides, unseen, present, gone)
}

// credit names of what a person made in the cluster in this run who did, instead of the field manager.
func (k *bookkeeper) credit(things []residue.Thing) {
	events := k.stack.bus.Since(0)
	for i, t := range things {
		seq := k.stack.cluster.Made(t.ID)
		at, ok := slices.BinarySearchFunc(events, seq, func(e sim.Event, seq uint64) int { return cmp.Compare(e.Seq, seq) })
		if !ok {
			continue
		}
		if words, ok := why.Act(events[at]); ok {
			things[i].By, things[i].Cause = words, seq
		}
	}
}

func (k *bookkeeper) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ledger == nil {
		return nil
	}
	return k.ledger.Close()
}

// Residue lists what installations have left, once the cluster has been read.
func (c cloud) Residue(ctx context.Context, f residue.Filter) ([]residue.Entry, error) {
	select {
	case <-c.books.opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := c.books.survey.Wait(ctx); err != nil {
		return nil, err
	}
	present, err := c.books.look(ctx)
	if err != nil {
		return nil, err
	}
	entries := c.books.ledger.Entries(present, f)
	for _, u := range c.books.survey.Unseen() {
		entries = append(entries, residue.Entry{Thing: residue.Thing{Side: residue.SideCluster, Kind: u.What, Name: "*"}, Class: residue.Unknown, Reason: u.Reason})
	}
	return entries, nil
}

// clusterThings makes things of objects, and a thing of each Helm release that has records.
func clusterThings(objects []survey.Object) []residue.Thing {
	type place struct{ namespace, release string }
	latest := map[place]survey.Object{}
	first := map[place]survey.Object{}
	for _, o := range objects {
		if at := (place{o.Namespace, o.Release}); o.Record {
			if x, ok := latest[at]; !ok || o.Created.After(x.Created) || o.Created.Equal(x.Created) && o.Name > x.Name {
				latest[at] = o
			}
			if x, ok := first[at]; !ok || o.Created.Before(x.Created) {
				first[at] = o
			}
		}
	}
	ended := func(at place) bool { return latest[at].Status == "uninstalled" }
	var out []residue.Thing
	for _, o := range objects {
		at := place{o.Namespace, o.Release}
		t := residue.Thing{
			Side: residue.SideCluster, Kind: o.Kind, Name: o.Name, ID: o.UID, Owner: residue.Owner{DPE: labelOf(o.Release)},
			Created: o.Created, By: o.Manager, Namespace: o.Namespace, Going: o.Deleting, Holds: o.Holds, Simulator: o.Simulator,
		}
		if o.Namespace != "" {
			t.Name = o.Namespace + "/" + o.Name
		} else {
			t.Namespace = o.ReleaseNamespace // it has none of its own
		}
		switch {
		case o.System:
			t.Policy = "Kubernetes keeps it in every namespace"
		case o.Hook:
			t.Policy = "Helm leaves what its hooks made"
		case o.Keep:
			t.Policy = "it is annotated helm.sh/resource-policy: keep"
		case o.Bundled:
			t.Policy = "Helm never deletes a definition that a chart brings in its folder crds/"
		case o.Record && ended(at):
			t.Policy = keptHistory
		}
		out = append(out, t)
	}
	for at, o := range first {
		t := residue.Thing{
			Side: residue.SideCluster, Kind: residue.KindRelease, Name: at.namespace + "/" + at.release, ID: o.UID,
			Owner: residue.Owner{DPE: labelOf(at.release)}, Created: o.Created, By: o.Manager, Namespace: at.namespace, Ended: ended(at),
		}
		if t.Ended {
			t.Policy = keptHistory
		}
		out = append(out, t)
	}
	return out
}

const keptHistory = "helm uninstall --keep-history keeps the release's records"

// labelOf gives the DPE whose installation is a Helm release: the portal's commands name the release after it.
func labelOf(release string) sim.Label {
	if l := sim.Label(release); l.Valid() {
		return l
	}
	return ""
}

// ownThings is what one look gathers of the cloud.
type ownThings struct {
	things []residue.Thing
	made   map[residue.Owner]sim.Event // what made an installation or an environment, in this run
}

// add adds a thing of an owner, made by what made the owner unless the thing says otherwise.
func (o *ownThings) add(t residue.Thing) {
	if e, ok := o.made[t.Owner]; ok && t.By == "" {
		t.By, t.Cause = e.What, e.Seq
	}
	o.things = append(o.things, t)
}

// cloud gathers what the services of the cloud hold.
func (k *bookkeeper) cloud(ctx context.Context) ([]residue.Thing, error) {
	o := &ownThings{made: map[residue.Owner]sim.Event{}}
	streams := map[string]sim.Event{}
	for _, e := range k.stack.bus.Since(0) {
		switch e.What {
		case "environment created", "dpe added":
			o.made[residue.Owner{Environment: e.Environment, DPE: e.DPE}] = e
		case "engine connected":
			streams[string(e.Environment)+"/"+e.Detail["replica"]] = e
		}
	}
	rows, err := k.stack.portal.Holdings(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range rows {
		owner := residue.Owner{Environment: h.Environment, DPE: h.Label}
		t := residue.Thing{Side: residue.SidePortal, Kind: residue.KindEnvironment, Name: string(h.Environment), Owner: owner, Created: h.Created}
		switch {
		case h.Revision > 0:
			t.Kind, t.Name = residue.KindRevision, h.RevisionName()
		case h.Label != "":
			t.Kind, t.Name = residue.KindDPE, string(h.Label)
		}
		o.add(t)
	}
	for _, id := range k.stack.clouds.ids() {
		e, err := k.stack.clouds.get(id)
		if err != nil {
			continue // gone meanwhile
		}
		if err := k.services(ctx, o, e, streams); err != nil {
			if sim.KindOf(err) == sim.Unavailable {
				continue // it closes
			}
			return nil, err
		}
	}
	tokens, err := k.stack.registry.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		o.add(residue.Thing{Side: residue.SideRegistry, Kind: residue.KindToken, Name: t.User, Owner: residue.Owner{Environment: t.Environment, DPE: t.Label}})
	}
	return o.things, nil
}

// services gathers what the services of one environment hold.
func (k *bookkeeper) services(ctx context.Context, o *ownThings, e *environment, streams map[string]sim.Event) error {
	of := func(l sim.Label) residue.Owner { return residue.Owner{Environment: e.id, DPE: l} }
	components, err := e.dpm.Load().Components(ctx)
	if err != nil {
		return err
	}
	for _, c := range components {
		if c.Label == api.ManagedLabel { // the cloud's own, no installation's
			continue
		}
		o.add(residue.Thing{Side: residue.SideDPM, Kind: residue.KindKey, Name: string(c.Key), Owner: of(c.Label), Created: c.AuthorizedAt})
	}
	for _, x := range e.dpm.Load().Engines() {
		if x.Label == api.ManagedLabel {
			continue
		}
		at := streams[string(e.id)+"/"+string(x.Replica)]
		o.add(residue.Thing{
			Side: residue.SideDPM, Kind: residue.KindStream, Name: string(x.Replica), ID: x.ConnectedAt.UTC().Format(time.RFC3339Nano), Owner: of(x.Label),
			Created: x.ConnectedAt, By: "engine connected", Cause: at.Seq,
		})
	}
	credentials, err := e.storage.Credentials(ctx)
	if err != nil {
		return err
	}
	for _, c := range credentials {
		if c.Label == api.ManagedLabel {
			continue
		}
		o.add(residue.Thing{Side: residue.SideStorage, Kind: residue.KindCredential, Name: c.AccessKey, Owner: of(c.Label)})
	}
	buckets, err := e.storage.Buckets(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		o.add(residue.Thing{Side: residue.SideStorage, Kind: residue.KindBucket, Name: b.Name, Owner: of(""), Created: b.Created})
	}
	return k.work(ctx, o, e)
}

// work gathers jobs and results: what is under way one by one, what is finished as one thing for each DPE.
func (k *bookkeeper) work(ctx context.Context, o *ownThings, e *environment) error {
	jobs, err := cloud{k.stack}.Jobs(ctx, e.id, api.JobFilter{})
	if err != nil {
		return err
	}
	finished, results := map[sim.Label]int{}, map[sim.Label]int{}
	keys, err := e.storage.Keys(ctx, objstore.ResultsBucket)
	if err != nil {
		return err
	}
	stored := map[string]bool{}
	for _, key := range keys {
		stored[key] = true
	}
	for _, j := range jobs {
		if j.Label == api.ManagedLabel {
			continue
		}
		owner := residue.Owner{Environment: e.id, DPE: j.Label}
		if j.State == api.JobSubmitted || j.State == api.JobRunning {
			o.add(residue.Thing{Side: residue.SideDPM, Kind: residue.KindLease, Name: string(j.ID), Owner: owner, Created: j.Created, By: "job submitted"})
			continue
		}
		finished[j.Label]++
		if j.Result != nil && stored[j.Result.Key] {
			results[j.Label]++
		}
	}
	for l, n := range finished {
		o.add(residue.Thing{Side: residue.SideDPM, Kind: residue.KindJobs, Name: "jobs of " + nobody(l), Owner: residue.Owner{Environment: e.id, DPE: l}, By: "job submitted", Count: n})
	}
	for l, n := range results {
		o.add(residue.Thing{Side: residue.SideStorage, Kind: residue.KindResults, Name: "results of " + nobody(l), Owner: residue.Owner{Environment: e.id, DPE: l}, By: "job submitted", Count: n})
	}
	return nil
}

func nobody(l sim.Label) string {
	if l == "" {
		return "no DPE yet"
	}
	return string(l)
}
