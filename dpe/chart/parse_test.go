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
