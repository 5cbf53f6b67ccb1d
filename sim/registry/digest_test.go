package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A published chart is the same in every run: who pins its digest still finds it after a restart.
func TestAnArchiveHasTheSameManifestInEveryRun(t *testing.T) {
	t.Parallel()
	chart := archive(t, "15.1.0", "x")
	var manifests []map[string]any
	for range 2 {
		f := start(t)
		if err := f.PutToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := f.PublishChart(repository, "15.1.0", chart); err != nil {
			t.Fatal(err)
		}
		m := manifest(t, f.http, "https://"+f.host)
		created, ok := m["annotations"].(map[string]any)["org.opencontainers.image.created"]
		if ok && created != "1970-01-01T00:00:00Z" { // of the archive's entries
			t.Errorf("created %v is the push's, not the archive's", created)
		}
		manifests = append(manifests, m)
	}
	if d := cmp.Diff(manifests[0], manifests[1]); d != "" {
		t.Error(d)
	}
}
