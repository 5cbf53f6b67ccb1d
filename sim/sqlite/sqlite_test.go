package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/sqlite"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const first = "-- +goose Up\nCREATE TABLE pet (name TEXT PRIMARY KEY, born_ms INTEGER NOT NULL) STRICT;\n"

func migrations(more ...string) fs.FS {
	m := fstest.MapFS{"0001_pet.sql": {Data: []byte(first)}}
	for _, s := range more {
		m["0002_more.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + s + "\n")}
	}
	return m
}

func open(t *testing.T, path string, m fs.FS) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, m, clock.NewFrozen(noon))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func insert(ctx context.Context, db *sqlite.DB, name string) error {
	return db.Update(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO pet (name, born_ms) VALUES (?, ?)", name, sqlite.Millis(tx.Now))
		return err
	})
}

func names(t *testing.T, db *sqlite.DB) []string {
	t.Helper()
	var out []string
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		rows, err := tx.QueryContext(t.Context(), "SELECT name FROM pet ORDER BY name")
		out, err = sqlite.Collect(rows, err, func(r *sql.Rows) (s string, err error) { return s, r.Scan(&s) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMigrationsRunOnceAndRowsAreKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b?c#d%41.db")
	for i, m := range []fs.FS{migrations(), migrations(), migrations("ALTER TABLE pet ADD COLUMN age INTEGER;")} {
		db := open(t, path, m)
		if err := insert(t.Context(), db, string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, open(t, path, migrations("ALTER TABLE pet ADD COLUMN age INTEGER;"))); !cmp.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%v", got)
	}
	if m, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.db")); err != nil || len(m) != 1 || m[0] != path {
		t.Errorf("files %v, %v", m, err)
	}
}

func TestANewerFormatIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	newer := migrations("CREATE TABLE other (id INTEGER) STRICT;")
	if err := open(t, path, newer).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), path, migrations(), clock.NewFrozen(noon))
	if sim.KindOf(err) != sim.Conflict {
		t.Fatalf("%v", err)
	}
	if msg, help := sim.Explain(err); msg == "" || help == "" {
		t.Errorf("%q %q", msg, help)
	}
	open(t, path, newer)
}

func TestABrokenMigrationChangesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	if _, err := sqlite.Open(t.Context(), path, migrations("CREATE TABLE ok (id INTEGER) STRICT; CREATE NONSENSE;"), clock.NewFrozen(noon)); err == nil {
		t.Fatal("opened")
	}
	open(t, path, migrations("CREATE TABLE ok (id INTEGER) STRICT;"))
}

func TestTheDatabaseSyncsFullyAndChecksForeignKeys(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), migrations())
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "5000"} {
			var got string
			if err := tx.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s = %q, want %q, %v", pragma, got, want, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestErrorsAreClassified(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), migrations("CREATE TABLE u (a TEXT UNIQUE, n INTEGER NOT NULL) STRICT;"))
	exec := func(q string) func(*sqlite.Tx) error {
		return func(tx *sqlite.Tx) error {
			_, err := tx.ExecContext(t.Context(), q)
			return err
		}
	}
	for name, tc := range map[string]struct {
		f    func(*sqlite.Tx) error
		want sim.Kind
	}{
		"primary key": {exec("INSERT INTO pet VALUES ('x', 1), ('x', 2)"), sim.Conflict},
		"unique":      {exec("INSERT INTO u VALUES ('x', 1), ('x', 2)"), sim.Conflict},
		"not null":    {exec("INSERT INTO u VALUES ('x', NULL)"), sim.Internal},
		"no rows": {func(tx *sqlite.Tx) error {
			var s string
			return tx.QueryRowContext(t.Context(), "SELECT name FROM pet WHERE name = 'nobody'").Scan(&s)
		}, sim.NotFound},
		"syntax": {exec("NONSENSE"), sim.Internal},
		"own":    {func(*sqlite.Tx) error { return sim.Errorf(sim.Exhausted, "full") }, sim.Exhausted},
	} {
		if err := db.Update(t.Context(), tc.f); sim.KindOf(err) != tc.want {
			t.Errorf("Update, %s: %v", name, err)
		}
		if err := db.View(t.Context(), tc.f); sim.KindOf(err) != tc.want {
			t.Errorf("View, %s: %v", name, err)
		}
	}
	if sqlite.Classify(nil) != nil {
		t.Error("an error of nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := insert(ctx, db, "x"); sim.KindOf(err) != sim.Unavailable {
		t.Errorf("done context: %v", err)
	}
}

func TestAFailedUpdateLeavesNothingAndTheDatabaseUsable(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), migrations())
	broken := errors.New("broken")
	half := func(end func()) func(*sqlite.Tx) error {
		return func(tx *sqlite.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "INSERT INTO pet VALUES ('half', 1)"); err != nil {
				return err
			}
			end()
			return broken
		}
	}
	if err := db.Update(t.Context(), half(func() {})); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = db.Update(t.Context(), half(func() { panic("bug") }))
	}()
	if err := db.View(t.Context(), func(tx *sqlite.Tx) error { return half(func() {})(tx) }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.ExecContext(t.Context(), "INSERT INTO pet VALUES ('viewed', 1)")
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if got := names(t, db); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestWritersQueue(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), migrations())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := insert(t.Context(), db, string(rune('a'+i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := names(t, db); len(got) != 20 {
		t.Errorf("%v", got)
	}
}

func TestTimesAreUTCMilliseconds(t *testing.T) {
	t.Parallel()
	at := noon.Add(123 * time.Millisecond)
	if got := sqlite.FromMillis(sqlite.Millis(at.In(time.FixedZone("x", 3600)))); got != at {
		t.Errorf("%v", got)
	}
	if !sqlite.FromMillis(0).IsZero() {
		t.Error("0 is not the zero time")
	}
}
