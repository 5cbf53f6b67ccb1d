package store_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

var epoch = time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)

func open(tb testing.TB, path string) *store.DB {
	tb.Helper()
	db, err := store.Open(tb.Context(), path, clock.NewFrozen(epoch))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func environment(id sim.EnvironmentID) store.Environment {
	return store.Environment{
		ID: id, Name: string(id), Organisation: "acme", Owner: "ada", Offering: api.OfferingEnterprise, Location: api.Locations()[0], Release: "15.1.0", Tier: sim.TierS, AccessKey: "OPER1", SecretKey: "s",
	}
}

// dpe gives a DPE whose secrets are numbered, so that no two share one.
func dpe(env sim.EnvironmentID, label string, replicas, n int) store.DPE {
	return store.DPE{
		Environment: env, Label: sim.Label(label), Name: label, Inputs: store.Inputs{Drivers: []sim.Driver{"s3"}, Replicas: replicas},
		Secrets: store.Secrets{
			Key: sim.Secret(fmt.Sprint("key", n)), KeyID: sim.KeyID(fmt.Sprint("id", n)), AccessKey: fmt.Sprint("access", n),
			SecretKey: sim.Secret(fmt.Sprint("secret", n)), RegistryUser: string(env) + "." + label, RegistryToken: sim.Secret(fmt.Sprint("token", n)),
		},
	}
}

func settle(tb testing.TB, db *store.DB) {
	tb.Helper()
	wanted, err := db.Wanted(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, w := range wanted {
		if _, err := db.Settle(tb.Context(), w.Environment.ID, w.Environment.Generation); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestWhatIsWantedSurvivesACrash ends the process, as far as the database can tell, after each step and before anything was
// settled: what is wanted is the same afterwards.
func TestWhatIsWantedSurvivesACrash(t *testing.T) { //nolint:tparallel // the steps follow one another
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "portal.db")
	var db *store.DB
	steps := []struct {
		name string
		do   func() error
	}{
		{"create", func() error { _, err := db.CreateEnvironment(ctx, environment("prod")); return err }},
		{"ready", func() error { settle(t, db); return nil }},
		{"add", func() error { _, err := db.AddDPE(ctx, dpe("prod", "finance", 2, 1)); return err }},
		{"remove", func() error { _, err := db.RemoveDPE(ctx, "prod", "finance", 0); return err }},
		{"add again", func() error { _, err := db.AddDPE(ctx, dpe("prod", "finance", 2, 2)); return err }},
		{"upgrade", func() error { _, _, err := db.UpgradeEnvironment(ctx, "prod", "15.3.0", 0); return err }},
		{"delete", func() error { _, _, err := db.DeleteEnvironment(ctx, "prod", 0); return err }},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			db = open(t, path)
			if err := s.do(); err != nil {
				t.Fatal(err)
			}
			before, err := db.Wanted(ctx)
			if err != nil {
				t.Fatal(err)
			}
			again := open(t, path) // while db is not closed, as after a kill: what was committed is there
			after, err := again.Wanted(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(before, after, cmp.Comparer(func(a, b sim.Secret) bool { return a.Equal(b) })); d != "" {
				t.Error(d)
			}
		})
	}
	db = open(t, path)
	wanted, err := db.Wanted(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w := wanted[0]
	if w.Environment.Phase != api.PhaseDeleting || len(w.DPEs) != 0 || len(w.Removed) != 2 {
		t.Fatalf("wanted is %+v", w)
	}
	for _, d := range w.Removed {
		if d.Key != "" || d.SecretKey != "" || d.RegistryToken != "" || d.KeyID == "" {
			t.Errorf("a removed DPE keeps its secrets, or has lost what is to be revoked: %q", d.KeyID)
		}
	}
	settle(t, db)
	if all, err := db.Environments(ctx, ""); err != nil || len(all) != 0 {
		t.Errorf("after the deletion: %v, %v", all, err)
	}
}

func TestGenerationIsNotUsedAgainByANewEnvironmentOfTheSameID(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), open(t, filepath.Join(t.TempDir(), "portal.db"))
	first, err := db.CreateEnvironment(ctx, environment("prod"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.DeleteEnvironment(ctx, "prod", 0); err != nil {
		t.Fatal(err)
	}
	settle(t, db)
	second, err := db.CreateEnvironment(ctx, environment("prod"))
	if err != nil {
		t.Fatal(err)
	}
	if was, err := db.Settle(ctx, "prod", first.Generation); err != nil || was != "" || second.Generation <= first.Generation {
		t.Errorf("the first environment's intent settled the second: %q, %v", was, err)
	}
}

// model is what the portal's rows should be.
type model struct {
	release sim.Release
	managed int // replicas of the Ataccama-managed DPEs
	dpes    map[sim.Label]store.DPE
	used    map[sim.KeyID]bool

	revision int64 // of the environment
	changed  bool  // since that revision
}

// replicas counts what the licence limits: all replicas, self-managed and Ataccama-managed, but those of one DPE.
func (m model) replicas(except sim.Label) int {
	n := m.managed
	for l, d := range m.dpes {
		if l != except {
			n += d.Replicas
		}
	}
	return n
}

// checks is how many sequences of acts are tried unless -rapid.checks says otherwise: each act is a real transaction, and
// SQLite is slow under the race detector.
const checks = "30"

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", checks); err != nil { // the default; the command line, parsed later, overrides it
		panic(err)
	}
	m.Run()
}

func TestRulesHoldWhateverIsDone(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "portal.db"))
	runs, made := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.WithoutCancel(t.Context())
		runs++
		env := sim.EnvironmentID(fmt.Sprint("run-", runs))
		e, err := db.CreateEnvironment(ctx, environment(env))
		if err != nil {
			rt.Fatal(err)
		}
		settleAll := func() {
			wanted, err := db.Wanted(ctx)
			if err != nil {
				rt.Fatal(err)
			}
			for _, w := range wanted {
				if _, err := db.Settle(ctx, w.Environment.ID, w.Environment.Generation); err != nil {
					rt.Fatal(err)
				}
			}
		}
		settleAll()
		defer func() { // so that the next run does not pay for this one
			if _, _, err := db.DeleteEnvironment(ctx, env, 0); err != nil {
				rt.Error(err)
			}
			settleAll()
		}()
		m := model{release: "15.1.0", dpes: map[sim.Label]store.DPE{}, used: map[sim.KeyID]bool{}, revision: e.Revision}
		labels := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"})
		counts := rapid.IntRange(1, 7)
		// seen draws the revision of the environment that somebody has read, and tells whether it is still that.
		seen := func(rt *rapid.T) (revision int64, current bool) {
			revision = rapid.SampledFrom([]int64{0, m.revision, m.revision - 1}).Draw(rt, "revision")
			return revision, revision == 0 || revision == m.revision
		}
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				made++
				x := dpe(env, labels.Draw(rt, "label"), counts.Draw(rt, "replicas"), made)
				_, there := m.dpes[x.Label]
				got, err := db.AddDPE(ctx, x)
				switch {
				case there:
					wantKind(rt, err, sim.Conflict)
				case len(m.dpes) == 5, m.replicas("")+x.Replicas > 10:
					wantKind(rt, err, sim.Exhausted)
				case err != nil || got.Revision != 1 || got.Release != m.release:
					rt.Fatalf("add: %+v, %v", got, err)
				default:
					if m.used[got.KeyID] {
						rt.Fatalf("key %s was used before", got.KeyID)
					}
					m.used[got.KeyID] = true
					m.dpes[x.Label], m.changed = got, true
				}
			},
			"edit": func(rt *rapid.T) {
				l, n := sim.Label(labels.Draw(rt, "label")), counts.Draw(rt, "replicas")
				revision := int64(rapid.IntRange(0, 3).Draw(rt, "revision"))
				before, there := m.dpes[l]
				_, after, err := db.EditDPE(ctx, env, l, store.Edit{Replicas: n}, revision)
				switch {
				case !there:
					wantKind(rt, err, sim.NotFound)
				case revision != 0 && revision != before.Revision:
					wantKind(rt, err, sim.Conflict)
				case n > before.Replicas && m.replicas(l)+n > 10:
					wantKind(rt, err, sim.Exhausted)
				case err != nil || after.Replicas != n:
					rt.Fatalf("edit: %+v, %v", after, err)
				default:
					want := before.Revision
					if n != before.Replicas {
						want++
						m.changed = true
					}
					if after.Revision != want {
						rt.Fatalf("revision %d after %d", after.Revision, before.Revision)
					}
					m.dpes[l] = after
				}
			},
			"remove": func(rt *rapid.T) {
				l := sim.Label(labels.Draw(rt, "label"))
				_, there := m.dpes[l]
				_, err := db.RemoveDPE(ctx, env, l, 0)
				if !there {
					wantKind(rt, err, sim.NotFound)
					return
				}
				if err != nil {
					rt.Fatal(err)
				}
				delete(m.dpes, l)
				m.changed = true
			},
			"scale managed": func(rt *rapid.T) {
				n := rapid.IntRange(0, 7).Draw(rt, "managed")
				revision, current := seen(rt)
				made++
				secrets := store.Managed{Key: sim.Secret(fmt.Sprint("key", made)), KeyID: sim.KeyID(fmt.Sprint("id", made)), AccessKey: fmt.Sprint("access", made), SecretKey: "s"}
				before, after, err := db.ScaleManaged(ctx, env, n, secrets, revision)
				switch {
				case !current:
					wantKind(rt, err, sim.Conflict)
				case n > m.managed && m.replicas("")-m.managed+n > 10:
					wantKind(rt, err, sim.Exhausted)
				case err != nil || after.Managed.Replicas != n || before.Managed.KeyID != "" && after.Managed.KeyID != before.Managed.KeyID:
					rt.Fatalf("scale: %+v, %v", after.Managed, err)
				default:
					m.managed, m.changed = n, n != m.managed
				}
			},
			"upgrade": func(rt *rapid.T) {
				revision, current := seen(rt)
				_, _, err := db.UpgradeEnvironment(ctx, env, "15.3.0", revision)
				switch {
				case !current:
					wantKind(rt, err, sim.Conflict)
					return
				case m.release == "15.3.0":
					wantKind(rt, err, sim.Invalid)
					return
				case err != nil:
					rt.Fatal(err)
				}
				m.release, m.changed = "15.3.0", true
				for l, d := range m.dpes {
					d.Revision++
					d.Release = m.release
					m.dpes[l] = d
				}
			},
			"settle": func(*rapid.T) { settleAll() },
			"": func(rt *rapid.T) {
				e, rows, err := db.DPEs(ctx, env)
				if err != nil {
					rt.Fatal(err)
				}
				if e.Usage.Managed != m.managed || e.Usage.Engines != len(m.dpes) || e.Usage.Replicas != m.replicas("") || e.Usage.Engines > 5 || e.Usage.Replicas > 10 || e.Release != m.release {
					rt.Fatalf("usage %+v, release %s; the model has %d DPEs", e.Usage, e.Release, len(m.dpes))
				}
				if (e.Revision > m.revision) != m.changed || e.Revision < m.revision {
					rt.Fatalf("revision %d after %d, changed: %v", e.Revision, m.revision, m.changed)
				}
				m.revision, m.changed = e.Revision, false
				if !slices.IsSortedFunc(rows, func(a, b store.DPE) int { return strings.Compare(string(a.Label), string(b.Label)) }) {
					rt.Fatal("rows are not sorted")
				}
				for _, d := range rows {
					if diff := cmp.Diff(m.dpes[d.Label], d, cmp.Comparer(func(a, b sim.Secret) bool { return a.Equal(b) })); diff != "" {
						rt.Fatal(diff)
					}
				}
			},
		})
	})
}

func wantKind(t *rapid.T, err error, k sim.Kind) {
	t.Helper()
	if err == nil || sim.KindOf(err) != k {
		t.Fatalf("error is %v, want kind %v", err, k)
	}
}
