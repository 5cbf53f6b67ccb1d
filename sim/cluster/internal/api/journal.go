package api

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/sqlite"
)

//go:embed migration/*.sql
var migrations embed.FS

// reserve is how many revisions a run takes from the database at a time. Changes that are not kept (events, leases)
// count revisions too, and after a crash no revision may be given twice; so the database knows a bound, not the last one.
const reserve = 1 << 16

// journal writes changes to a database before anybody sees them. Changes that arrive while a transaction is under way
// share the next one, so that many writers cost few disk flushes.
//
// A writer adds its change under the ledger's lock and then waits for the batch; a reader waits for the batch of the
// newest change that its answer may show. A failed write is final: nothing more is written or answered, since what is
// in memory and what is on disk now differ.
type journal struct {
	db     *sqlite.DB
	ledger *ledger

	// The ledger's lock guards what follows.
	open     *batch // takes changes; never nil
	flight   *batch // is being written; nil if none is
	reserved uint64
	wake     chan struct{} // capacity 1: open has changes
	err      error         // the write that failed

	failed chan struct{} // closed when err is set
	quit   chan struct{}
	done   sync.WaitGroup
}

// batch is the changes of one transaction.
type batch struct {
	entries []entry
	reserve uint64        // if not 0: the new bound of revisions
	done    chan struct{} // closed when the batch is on disk, or err is set
	err     error
}

// entry is one change of one store in a batch.
type entry struct {
	store *store
	change
}

// wait returns once the batch is on disk. A nil batch is.
func (b *batch) wait() error {
	if b == nil {
		return nil
	}
	<-b.done
	return b.err
}

// row is a stored object.
type row struct {
	key      string
	revision uint64
	body     []byte
}

// openJournal opens the database at path as l's journal, sets l's revision and gives the objects in it by key.
func openJournal(ctx context.Context, path string, l *ledger, o Options) ([]row, error) {
	scripts, err := fs.Sub(migrations, "migration")
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, path, scripts, o.Clock)
	if err != nil {
		return nil, err
	}
	j := &journal{db: db, ledger: l, open: newBatch(), wake: make(chan struct{}, 1), failed: make(chan struct{}), quit: make(chan struct{})}
	var rows []row
	err = db.Update(ctx, func(tx *sqlite.Tx) (err error) {
		var bound uint64
		if err := tx.QueryRowContext(ctx, `SELECT reserved FROM revision`).Scan(&bound); err != nil {
			return err
		}
		l.rev = max(l.rev, bound)
		found, err := tx.QueryContext(ctx, `SELECT key, revision, body FROM objects ORDER BY key`)
		rows, err = sqlite.Collect(found, err, scanRow)
		if err != nil {
			return err
		}
		j.reserved = l.rev + reserve
		_, err = tx.ExecContext(ctx, `UPDATE revision SET reserved = ?`, j.reserved)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, errors.Join(err, db.Close()))
	}
	l.journal = j
	j.done.Go(j.run)
	return rows, nil
}

func scanRow(r *sql.Rows) (o row, err error) {
	return o, r.Scan(&o.key, &o.revision, &o.body)
}

// newBatch gives an empty batch.
func newBatch() *batch { return &batch{done: make(chan struct{})} }

// addLocked queues a change of s and gives the batch that it is part of.
func (j *journal) addLocked(s *store, c change) *batch {
	j.open.entries = append(j.open.entries, entry{s, c})
	j.wakeLocked()
	return j.open
}

// reserveLocked keeps the reserved revisions well ahead of rev.
func (j *journal) reserveLocked(rev uint64) {
	if rev+reserve/2 < j.reserved {
		return
	}
	j.reserved += reserve
	j.open.reserve = j.reserved
	j.wakeLocked()
}

func (j *journal) wakeLocked() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

func (j *journal) tailLocked() *batch {
	if j.err != nil || len(j.open.entries) > 0 {
		return j.open
	}
	return j.flight
}

// run writes batch after batch until close.
func (j *journal) run() {
	for {
		select {
		case <-j.wake:
			j.flush()
		case <-j.quit:
			j.flush()
			return
		}
	}
}

// flush writes what is queued and then shows it to the watches.
func (j *journal) flush() {
	l := j.ledger
	l.mu.Lock()
	b := j.open
	if j.err != nil || len(b.entries) == 0 && b.reserve == 0 {
		l.mu.Unlock()
		return
	}
	j.open, j.flight = newBatch(), b
	l.mu.Unlock()

	err := j.write(b)

	l.mu.Lock()
	defer l.mu.Unlock()
	j.flight = nil
	if err != nil {
		b.err = sim.Errorf(sim.Unavailable, "the cluster's database could not be written: nothing is accepted until a restart").
			WithHelp("look for a full disk or a data directory that is gone, then start again")
		j.err = fmt.Errorf("write the cluster's database: %w", err)
		j.open.err = b.err
		close(j.open.done)
		close(j.failed)
	} else {
		for _, e := range b.entries {
			e.store.publishLocked(e.change)
		}
	}
	close(b.done)
}

// write is one transaction.
func (j *journal) write(b *batch) error {
	ctx := context.Background() // an accepted write is finished even if its caller has left
	return j.db.Update(ctx, func(tx *sqlite.Tx) error {
		for _, e := range b.entries {
			if e.next == nil {
				if _, err := tx.ExecContext(ctx, `DELETE FROM objects WHERE key = ?`, e.key); err != nil {
					return err
				}
				continue
			}
			body, err := encode(e.next)
			if err != nil {
				return fmt.Errorf("encode %s: %w", e.key, err)
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO objects (key, revision, encoding, body) VALUES (?, ?, 'json', ?)
				ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, encoding = excluded.encoding, body = excluded.body`,
				e.key, int64(e.rev), body); err != nil {
				return err
			}
		}
		if b.reserve == 0 {
			return nil
		}
		_, err := tx.ExecContext(ctx, `UPDATE revision SET reserved = ?`, int64(b.reserve))
		return err
	})
}

// close writes what is queued and closes the database. No change may be added any more.
func (j *journal) close() error {
	close(j.quit)
	j.done.Wait()
	return j.db.Close()
}

// cause gives the error that stopped the journal.
func (j *journal) cause() error {
	j.ledger.mu.Lock()
	defer j.ledger.mu.Unlock()
	return j.err
}

func encode(o runtime.Object) ([]byte, error) { return json.Marshal(o) }

func decode(body []byte, into runtime.Object) error { return json.Unmarshal(body, into) }
