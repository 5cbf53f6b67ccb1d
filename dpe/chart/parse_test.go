package chart_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/sim"
)

func text(tb testing.TB, v chart.Values) []byte {
	tb.Helper()
	b, err := v.YAML()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestAnOutdatedFileIsComparedWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	old, current := testValues("15.1.0"), testValues("15.3.0")
	current.Revision, current.Replicas, current.SecretKey = 4, 3, "rotated"
	have := append(text(t, old), "mine: hunter2\n"...)
	got, err := chart.CompareValues(have, text(t, current))
	if err != nil {
		t.Fatal(err)
	}
	want := []chart.Difference{
		{Key: "dpe.revision", Have: "3", Want: "4"},
		{Key: "dpm.endpoint", Want: current.DPMURL},
		{Key: "dpm.url", Have: chart.Hidden},
		{Key: "mine", Have: chart.Hidden},
		{Key: "objectStorage.region", Want: "us-east-1"},
		{Key: "objectStorage.secretKey", Have: chart.Hidden, Want: chart.Hidden},
		{Key: "replicaCount", Have: "2", Want: "3"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, err := chart.CompareValues(have, have); err != nil || len(got) != 0 {
		t.Errorf("a file differs from itself: %v, %v", got, err)
	}
}

// TestRenamesAreTrue: what a release renamed is there under one name before it, under the other since.
func TestRenamesAreTrue(t *testing.T) {
	t.Parallel()
	for i, r := range chart.Releases()[1:] {
		older := chart.Releases()[i]
		differences, err := chart.CompareValues(text(t, testValues(older)), text(t, testValues(r)))
		if err != nil {
			t.Fatal(err)
		}
		come, gone := map[string]bool{}, map[string]bool{}
		for _, d := range differences {
			come[d.Key], gone[d.Key] = d.Have == "", d.Want == ""
		}
		renamed := chart.Renamed(older, r)
		for now, was := range renamed {
			if !come[now] || !gone[was] {
				t.Errorf("%s to %s: %s is not renamed to %s: %+v", older, r, was, now, differences)
			}
			delete(gone, was)
		}
		for k, g := range gone {
			if g {
				t.Errorf("%s to %s: %s is gone, which no release's notes say: is it renamed?", older, r, k)
			}
		}
	}
	if got := chart.Renamed("14.5.0", "15.3.0"); got["dpm.endpoint"] != "dpm.url" || len(got) != 1 {
		t.Errorf("over two releases: %v", got)
	}
	if got := chart.Renamed("15.3.0", "15.3.0"); len(got) != 0 {
		t.Errorf("from a release to itself: %v", got)
	}
}

func TestWhatThePortalDidNotWriteIsNotParsed(t *testing.T) {
	t.Parallel()
	file := string(text(t, testValues("15.3.0")))
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":   {"replicaCount: 2", "replicaCount: 2\nreplicas: 3", "keys that the portal does not write"},
		"not YAML":      {"replicaCount: 2", "replicaCount: [", "its YAML is malformed"},
		"twice":         {"replicaCount: 2", "replicaCount: 2\nreplicaCount: 3", "its YAML is malformed"},
		"other slots":   {"slots: 4", "slots: 5", "its sizing is of no tier"},
		"no disk":       {`size: "350Gi"`, `size: ""`, "its sizing is of no tier"},
		"no quantity":   {`cpu: "1000m"`, `cpu: "a lot"`, "missing or malformed"},
		"both names":    {"  endpoint:", "  url: https://a\n  endpoint:", "no release has these keys"},
		"no region":     {"  region: \"us-east-1\"\n", "", "no release has these keys"},
		"no label":      {`label: "finance"`, `label: ""`, "missing or malformed"},
		"far too long":  {"# Helm values", strings.Repeat("#", 1<<20) + "\n# Helm values", "longer than a mebibyte"},
		"another thing": {file, "- 1\n- 2\n", "its YAML is malformed"},
	} {
		changed := strings.Replace(file, c.old, c.new, 1)
		if changed == file {
			t.Fatalf("%s: nothing changed", name)
		}
		_, err := chart.ParseValues([]byte(changed))
		if msg, help := sim.Explain(err); sim.KindOf(err) != sim.Invalid || !strings.Contains(msg, c.want) || help == "" {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
}

func FuzzParseValues(f *testing.F) {
	for _, r := range chart.Releases() {
		f.Add(text(f, testValues(r)))
	}
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := chart.ParseValues(b)
		if err != nil {
			if sim.KindOf(err) != sim.Invalid || strings.Contains(err.Error(), "tok\"en\\") {
				t.Fatal(err)
			}
		} else {
			again, err := v.YAML() // what is parsed can be written, and means the same
			if err != nil {
				t.Fatal(err)
			}
			if back, err := chart.ParseValues(again); err != nil || back.Release != v.Release || back.Label != v.Label || back.Licence.Organisation != v.Licence.Organisation {
				t.Fatalf("%+v, %v", back, err)
			}
		}
		if d, err := chart.CompareValues(b, b); err == nil && len(d) != 0 {
			t.Fatal(d)
		}
	})
}
