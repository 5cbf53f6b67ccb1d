package sqlite_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Databases hold keys and passwords, and a data directory of the user's own may be open to others.
func TestOnlyTheOwnerReadsADatabase(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("files have no such mode there")
	}
	path := filepath.Join(t.TempDir(), "a.db")
	open(t, path, migrations())
	files, err := filepath.Glob(path + "*") // with the log and the index beside it
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(f), info.Mode())
		}
	}
}
