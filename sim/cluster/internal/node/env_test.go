package node

import (
	"strings"
	"testing"
)

func TestExpandFollowsKubernetesRules(t *testing.T) {
	t.Parallel()
	env := map[string]string{"A": "1", "EMPTY": ""}
	for in, want := range map[string]string{
		"":                 "",
		"$(A)":             "1",
		"x$(A)y$(A)":       "x1y1",
		"$(EMPTY)|":        "|",
		"$(NONE)":          "$(NONE)",
		"$$(A)":            "$(A)",
		"$$$(A)":           "$1",
		"$":                "$",
		"$A ${A} $(A":      "$A ${A} $(A",
		"price: 5$ + $(A)": "price: 5$ + 1",
	} {
		if got := expand(in, env); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$(A)", "$$(A)", "$(", "$()", ")$("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := expand(s, nil)
		if !strings.Contains(s, "$") && got != s || len(got) > len(s) {
			t.Errorf("expand(%q) = %q", s, got)
		}
	})
}
