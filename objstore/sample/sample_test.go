package sample_test

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/objstore/sample"
)

func TestEveryTableIsWhatItsEntrySays(t *testing.T) {
	t.Parallel()
	if len(sample.Files()) == 0 {
		t.Fatal("there are no tables")
	}
	for _, f := range sample.Files() {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		n, err := io.Copy(h, r)
		if err != nil || r.Close() != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != f.SHA256 || n != f.Size {
			t.Errorf("%s: %d bytes with digest %s", f.Name, n, got)
		}
		about, err := f.About()
		if err != nil || !strings.Contains(about, f.SHA256) || !strings.Contains(about, "Licence") || f.Licence == "" || f.Description == "" {
			t.Errorf("%s is not described: %q, %v", f.Name, about, err)
		}
	}
}

// What the pages say is dirty is what a profile of the tables should find.
func TestTheFlawsAreReallyThere(t *testing.T) {
	t.Parallel()
	rows := map[string][][]string{}
	for _, f := range sample.Files() {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		all, err := csv.NewReader(r).ReadAll()
		if err != nil || r.Close() != nil {
			t.Fatal(f.Name, err)
		}
		rows[f.Name] = all
	}
	count := func(file, column, value string) (n int) {
		for i, name := range rows[file][0] {
			for _, row := range rows[file][1:] {
				if name == column && row[i] == value {
					n++
				}
			}
		}
		return n
	}
	for _, x := range []struct {
		file, column, value string
		want                int
	}{
		{"birdstrikes.csv", "Speed IAS in knots", "", 2836},
		{"birdstrikes.csv", "Cost Total $", "0", 9791},
		{"birdstrikes.csv", "Effect Amount of damage", "None", 8939},
		{"airports.csv", "city", "NA", 12},
		{"airports.csv", "state", "NA", 12},
		{"airports.csv", "country", "USA", 3372},
	} {
		if got := count(x.file, x.column, x.value); got != x.want {
			t.Errorf("%s: %q is %q in %d rows, want %d", x.file, x.column, x.value, got, x.want)
		}
	}
	if b, a := len(rows["birdstrikes.csv"]), len(rows["airports.csv"]); b != 10_001 || a != 3_377 {
		t.Errorf("got %d and %d lines", b, a)
	}
	seen, repeated := map[string]bool{}, 0
	for _, r := range rows["birdstrikes.csv"][1:] {
		if k := strings.Join(r, "\x00"); seen[k] {
			repeated++
		} else {
			seen[k] = true
		}
	}
	if repeated != 24 {
		t.Errorf("%d rows repeat others, want 24", repeated)
	}
}
