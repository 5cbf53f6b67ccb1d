package api

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim/clock"
)

// everything selects all.
func everything() storage.SelectionPredicate {
	r := newResources()[4] // config maps
	return storage.SelectionPredicate{Label: labels.Everything(), Field: fields.Everything(), GetAttrs: r.attributes}
}

// openStore gives a store of config maps with its journal in dir; shut closes both.
func openStore(ctx context.Context, dir string) (s *store, shut func() error, err error) {
	stopped, stop := context.WithCancel(ctx)
	l := newLedger(stopped)
	o := Options{Clock: clock.NewFrozen(time.Unix(1e9, 0))}
	rows, err := openJournal(ctx, filepath.Join(dir, "cluster.db"), l, o)
	if err != nil {
		stop()
		return nil, nil, err
	}
	s = newStore(l, "configmaps", true, func() runtime.Object { return &corev1.ConfigMap{} }, o.Clock)
	for _, r := range rows {
		if err := s.load(r); err != nil {
			stop()
			return nil, nil, err
		}
	}
	return s, func() error { stop(); return l.close() }, nil
}

// model is what the store should be: values by key, and all states there were by revision.
type model struct {
	now    map[string]string
	states map[uint64]map[string]string
	newest uint64
}

// The store answers as a map would, at any revision it remembers, and a watch's events rebuild the same map; a restart
// changes nothing.
func TestStoreIsAMapWithHistory(t *testing.T) {
	t.Parallel()
	root, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		runs++
		dir := filepath.Join(root, strconv.Itoa(runs))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s, shut, err := openStore(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := shut(); err != nil {
				t.Error(err)
			}
		}()
		m := &model{now: map[string]string{}, states: map[uint64]map[string]string{}}
		w := openMirror(t, s)
		defer func() { w.Stop() }()
		keys := rapid.SampledFrom([]string{"/configmaps/default/a", "/configmaps/default/b", "/configmaps/other/a"})
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				k, v := keys.Draw(t, "key"), value(t)
				out := &corev1.ConfigMap{}
				err := s.Create(ctx, k, cmWith(k, v), out, 0)
				if _, taken := m.now[k]; taken != storage.IsExist(err) || !taken && err != nil {
					t.Fatalf("create %s: %v", k, err)
				}
				if err == nil {
					m.now[k] = v
					m.note(t, out)
				}
			},
			"update": func(t *rapid.T) {
				k, v := keys.Draw(t, "key"), value(t)
				out := &corev1.ConfigMap{}
				err := s.GuaranteedUpdate(ctx, k, out, false, nil, storage.SimpleUpdate(func(o runtime.Object) (runtime.Object, error) {
					cm, is := o.(*corev1.ConfigMap)
					if !is {
						return nil, fmt.Errorf("a %T", o)
					}
					cm.Data["v"] = v
					return cm, nil
				}), nil)
				was, there := m.now[k]
				if there == storage.IsNotFound(err) || there && err != nil {
					t.Fatalf("update %s: %v", k, err)
				}
				if err == nil && was != v {
					m.now[k] = v
					m.note(t, out)
				}
			},
			"delete": func(t *rapid.T) {
				k := keys.Draw(t, "key")
				out := &corev1.ConfigMap{}
				err := s.Delete(ctx, k, out, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
				if _, there := m.now[k]; there == storage.IsNotFound(err) || there && err != nil {
					t.Fatalf("delete %s: %v", k, err)
				}
				if err == nil {
					delete(m.now, k)
					m.note(t, out)
				}
			},
			"past": func(t *rapid.T) {
				if len(m.states) == 0 {
					t.Skip("no past yet")
				}
				rev := rapid.SampledFrom(slices.Sorted(maps.Keys(m.states))).Draw(t, "revision")
				if got := list(t, s, strconv.FormatUint(rev, 10)); !maps.Equal(got, m.states[rev]) {
					t.Fatalf("at %d: %s", rev, cmp.Diff(m.states[rev], got))
				}
			},
			"restart": func(t *rapid.T) {
				if rapid.IntRange(0, 7).Draw(t, "rarely") > 0 {
					t.Skip("a restart takes as long as a hundred writes")
				}
				w.Stop()
				if err := shut(); err != nil {
					t.Fatal(err)
				}
				was := s.rev
				if s, shut, err = openStore(ctx, dir); err != nil {
					t.Fatal(err)
				}
				if s.rev < was {
					t.Fatalf("revision %d after %d", s.rev, was)
				}
				m.states = map[uint64]map[string]string{}
				w = openMirror(t, s)
			},
			"": func(t *rapid.T) {
				if got := list(t, s, ""); !maps.Equal(got, m.now) {
					t.Fatalf("list: %s", cmp.Diff(m.now, got))
				}
				w.follow(t, m)
			},
		})
	})
}

func value(t *rapid.T) string { return rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "value") }

func cmWith(key, v string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: key}, Data: map[string]string{"v": v}}
}

// note remembers the present state under out's revision, which must be newer than any before.
func (m *model) note(t *rapid.T, out *corev1.ConfigMap) {
	rev, err := strconv.ParseUint(out.ResourceVersion, 10, 64)
	if err != nil || rev <= m.newest {
		t.Fatalf("revision %q after %d: %v", out.ResourceVersion, m.newest, err)
	}
	m.newest = rev
	m.states[rev] = maps.Clone(m.now)
}

func list(t *rapid.T, s *store, at string) map[string]string {
	opts := storage.ListOptions{Recursive: true, Predicate: everything(), ResourceVersion: at}
	if at != "" {
		opts.ResourceVersionMatch = metav1.ResourceVersionMatchExact
	}
	var l corev1.ConfigMapList
	if err := s.GetList(context.Background(), "/configmaps", opts, &l); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, i := range l.Items {
		out[i.Name] = i.Data["v"]
	}
	return out
}

// mirror rebuilds the store's state from a watch.
type mirror struct {
	watch.Interface
	state map[string]string
}

func openMirror(t *rapid.T, s *store) *mirror {
	w, err := s.Watch(context.Background(), "/configmaps", storage.ListOptions{Recursive: true, Predicate: everything()})
	if err != nil {
		t.Fatal(err)
	}
	return &mirror{w, map[string]string{}}
}

// follow takes events until the mirror is as the model.
func (w *mirror) follow(t *rapid.T, m *model) {
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for !maps.Equal(w.state, m.now) {
		select {
		case e := <-w.ResultChan():
			cm, is := e.Object.(*corev1.ConfigMap)
			if !is {
				t.Fatalf("event %v %T", e.Type, e.Object)
			}
			if e.Type == watch.Deleted {
				delete(w.state, cm.Name)
			} else {
				w.state[cm.Name] = cm.Data["v"]
			}
		case <-deadline.C:
			t.Fatalf("the watch does not get there: %s", cmp.Diff(m.now, w.state))
		}
	}
}

func TestAFailedWriteStopsTheStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, shut, err := openStore(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shut() }()
	if err := s.journal.db.Close(); err != nil { // as a disk that is gone
		t.Fatal(err)
	}
	if err := s.Create(ctx, "/configmaps/default/a", cmWith("a", "1"), nil, 0); err == nil {
		t.Fatal("the write was acknowledged")
	}
	if err := s.Get(ctx, "/configmaps/default/a", storage.GetOptions{}, &corev1.ConfigMap{}); err == nil {
		t.Error("what is not on disk was shown")
	}
	if err := s.Create(ctx, "/configmaps/default/b", cmWith("b", "1"), nil, 0); err == nil {
		t.Error("a later write was acknowledged")
	}
	<-s.journal.failed
	if s.ReadinessCheck() == nil {
		t.Error("the store says that it is ready")
	}
}
