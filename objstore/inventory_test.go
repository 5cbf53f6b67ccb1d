package objstore_test

import (
	"io"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim"
)

func TestInventoryListsByPagesAndOpens(t *testing.T) {
	t.Parallel()
	f, ctx := start(t, t.TempDir()), t.Context()
	if err := f.EnsureBucket(ctx, "inventory"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"b", "a/1", "a/2", "c"} {
		if _, err := f.PutObject(ctx, "inventory", key, "text/csv", strings.NewReader("of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		page, err := f.Objects(ctx, "inventory", after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			got = append(got, o.Key)
			if o.Size != int64(len("of "+o.Key)) || o.ContentType != "text/csv" || o.Modified.IsZero() {
				t.Errorf("listed %+v", o)
			}
		}
	}
	if s := strings.Join(got, " "); s != "a/1 a/2 b c" {
		t.Errorf("the keys are %q", s)
	}
	o, r, err := f.OpenObject(ctx, "inventory", "a/2")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "of a/2" || o.Key != "a/2" {
		t.Errorf("read %q of %+v: %v", b, o, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	_, err = f.Objects(ctx, "none", "", 3)
	if sim.KindOf(err) != sim.NotFound || !strings.Contains(err.Error(), "The specified bucket does not exist: none") {
		t.Errorf("a bucket that is not there: %v", err)
	}
	if _, _, err = f.OpenObject(ctx, "inventory", "d"); sim.KindOf(err) != sim.NotFound {
		t.Errorf("a key that is not there: %v", err)
	}
}
