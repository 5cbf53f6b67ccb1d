package residue

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/sqlite"
)

//go:embed migration/*.sql
var migrations embed.FS

// maxGone is how many things that are gone are remembered, the latest: those of some hundred installations.
const maxGone = 10_000

// Ledger remembers what was there. It is safe for concurrent use.
type Ledger struct {
	db *sqlite.DB

	mu   sync.Mutex
	here map[key]Thing // that are there, as written
	past []Entry       // that are gone, the oldest first
}

// Open opens or makes the ledger at path, with what earlier runs wrote.
func Open(ctx context.Context, path string, c *clock.Clock) (*Ledger, error) {
	dir, err := fs.Sub(migrations, "migration")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	db, err := sqlite.Open(ctx, path, dir, c)
	if err != nil {
		return nil, err
	}
	l := &Ledger{db: db, here: map[key]Thing{}}
	if err := l.load(ctx); err != nil {
		_ = db.Close() // err has what matters
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return l, nil
}

// Close closes the database.
func (l *Ledger) Close() error { return l.db.Close() }

func (l *Ledger) load(ctx context.Context) error {
	return l.db.View(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT side, kind, name, id, environment, dpe, namespace, created_ms, made_by, gone_ms FROM thing ORDER BY gone_ms, rowid`)
		all, err := sqlite.Collect(rows, err, func(r *sql.Rows) (e Entry, err error) {
			var created, gone int64
			err = r.Scan(&e.Side, &e.Kind, &e.Name, &e.ID, &e.Environment, &e.DPE, &e.Namespace, &created, &e.By, &gone)
			e.Created = sqlite.FromMillis(created)
			if gone != 0 {
				e.Class, e.Reason, e.Gone = Gone, wasThere, new(sqlite.FromMillis(gone))
			}
			return e, err
		})
		for _, e := range all {
			if e.Gone == nil {
				l.here[e.key()] = e.Thing
			} else {
				l.past = append(l.past, e)
			}
		}
		return err
	})
}

const wasThere = "it is no more"

// Record takes what is there now, all of it, and what was there for a moment since the last time. It writes what differs
// from the last time. What is missing of a side that is not among sides, or of one of the cluster's kinds that are unseen, is left
// as it was: it could not be asked for.
func (l *Ledger) Record(ctx context.Context, sides []Side, unseen []string, present, brief []Thing) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := make(map[key]Thing, len(present))
	for _, t := range present {
		now[t.key()] = l.remembered(t)
	}
	var came, went []Thing
	for k, t := range now {
		if old, ok := l.here[k]; !ok || old.Owner != t.Owner {
			came = append(came, t)
		}
	}
	for k, t := range l.here {
		if _, ok := now[k]; !ok && slices.Contains(sides, t.Side) && (t.Side != SideCluster || !slices.Contains(unseen, t.Kind)) {
			went = append(went, t)
		}
	}
	for _, t := range brief {
		_, was := l.here[t.key()]
		if _, is := now[t.key()]; !is && !was {
			went = append(went, t)
		}
	}
	if len(came)+len(went) == 0 {
		return nil
	}
	var at time.Time
	err := l.db.Update(ctx, func(tx *sqlite.Tx) error {
		at = tx.Now
		for i, t := range came {
			if t.Created.IsZero() { // nobody knows better
				came[i].Created = stored(at)
				t.Created = at
			}
			if err := write(ctx, tx, t, 0); err != nil {
				return err
			}
		}
		for _, t := range went {
			if err := write(ctx, tx, t, sqlite.Millis(at)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM thing WHERE gone_ms <> 0 AND rowid NOT IN
			(SELECT rowid FROM thing WHERE gone_ms <> 0 ORDER BY gone_ms DESC, rowid DESC LIMIT ?)`, maxGone)
		return err
	})
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	for _, t := range came {
		l.here[t.key()] = t
	}
	for _, t := range went {
		delete(l.here, t.key())
		l.past = append(l.past, Entry{Thing: t, Class: Gone, Reason: wasThere, Gone: &at})
	}
	if n := len(l.past) - maxGone; n > 0 {
		l.past = slices.Delete(l.past, 0, n)
	}
	return nil
}

// remembered completes t by what was written of it, with l.mu held: who made it and when, if that is not told any more, and
// whose it is. A volume whose claim went first is still the installation's that wanted it.
func (l *Ledger) remembered(t Thing) Thing {
	was := l.here[t.key()]
	if t.Created = stored(t.Created); t.Created.IsZero() {
		t.Created = was.Created
	}
	if t.Side != SideCluster {
		t.By = cmp.Or(t.By, was.By)
		return t
	}
	t.By = cmp.Or(was.By, t.By) // it is the very same object: who made it was known best when it was new
	if t.DPE == "" {
		t.DPE, t.Namespace = was.DPE, cmp.Or(t.Namespace, was.Namespace)
	}
	return t
}

// stored gives a time as it is read after it was written.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return sqlite.FromMillis(sqlite.Millis(t))
}

func write(ctx context.Context, tx *sqlite.Tx, t Thing, gone int64) error {
	created := int64(0)
	if !t.Created.IsZero() {
		created = sqlite.Millis(t.Created)
	}
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO thing (side, kind, name, id, environment, dpe, namespace, created_ms, made_by, gone_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, t.Side, t.Kind, t.Name, t.ID, t.Environment, t.DPE, t.Namespace, created, t.By, gone)
	return err
}

// Entries classes what is there and adds what is gone, as the filter wants it. What is not told of a thing any more (who
// made it, when) is taken from what was written of it.
func (l *Ledger) Entries(present []Thing, f Filter) []Entry {
	l.mu.Lock()
	past := slices.Clone(l.past)
	present = slices.Clone(present)
	for i, t := range present {
		present[i] = l.remembered(t)
	}
	l.mu.Unlock()
	things := make([]Thing, len(past))
	for i, e := range past {
		things[i] = e.Thing
	}
	all := Classify(present, things)
	w := newWorld(present, things)
	for _, e := range past {
		if e.Side == SideCluster && e.Environment == "" {
			e.Environment = w.environmentOf(e.DPE)
		}
		if _, ours := w.places[e.Namespace]; e.Side != SideCluster || e.DPE != "" && len(w.known[e.DPE]) > 0 || ours {
			all = append(all, e)
		}
	}
	order(all)
	out := []Entry{}
	for _, e := range all {
		if f.match(e) {
			out = append(out, e)
		}
	}
	return out
}
