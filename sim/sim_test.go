package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim"
)

func TestLabelsAreDerivedFromNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Finance warehouse": "finance-warehouse", "  a  ": "a", "A__B--C": "a-b-c", "2nd": "n2nd", "7": "n7",
		"Café": "caf", "é": "", "": "", "---": "", "!?": "", "日本": "", "x日y": "x-y", "acme.prod": "acme-prod",
		strings.Repeat("a", 60):              strings.Repeat("a", 40),
		strings.Repeat("a", 39) + " bcd":     strings.Repeat("a", 39),
		"1" + strings.Repeat("a", 60):        "n1" + strings.Repeat("a", 38),
		"UPPER lower \t tab\nline; DROP ../": "upper-lower-tab-line-drop",
	} {
		if got := sim.Slug(name); got != want {
			t.Errorf("Slug(%q) = %q, want %q", name, got, want)
		}
		l, err := sim.LabelFromName(name)
		id, err2 := sim.EnvironmentIDFromName(name)
		if string(l) != want || string(id) != want {
			t.Errorf("%q: label %q, environment %q", name, l, id)
		}
		wantKind := want == ""
		if (sim.KindOf(err) == sim.Invalid && err != nil) != wantKind || (err2 != nil) != wantKind {
			t.Errorf("%q: %v, %v", name, err, err2)
		}
	}
	for s, want := range map[string]bool{"a": true, "a-b": true, "a1": true, "": false, "1a": false, "-a": false, "a-": false, "A": false, "a.b": false, strings.Repeat("a", 41): false} {
		if sim.Label(s).Valid() != want || sim.EnvironmentID(s).Valid() != want {
			t.Errorf("Valid(%q) is not %v", s, want)
		}
	}
}

func FuzzSlug(f *testing.F) {
	for _, s := range []string{"Finance warehouse", "2nd", "é", strings.Repeat("a-", 60), "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s := sim.Slug(name)
		if s != "" && !sim.Label(s).Valid() {
			t.Errorf("Slug(%q) = %q, which is no label", name, s)
		}
		if again := sim.Slug(s); again != s {
			t.Errorf("Slug(%q) = %q, and of that %q", name, s, again)
		}
	})
}

func TestReleasesAreParsedStrictly(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"15.3.0": true, "0.0.0": true, "14.5.0": true, "99999.0.1": true, "": false, "15.3": false, "15.3.0.1": false, "v15.3.0": false, "15.03.0": false,
		"15.3.0-rc1": false, "15.3.0\n": false, " 15.3.0": false, "100000.0.0": false, "-1.0.0": false, "١.0.0": false,
	} {
		r, err := sim.ParseRelease(s)
		if (err == nil) != want || want && string(r) != s || err != nil && sim.KindOf(err) != sim.Invalid {
			t.Errorf("%q: %q, %v", s, r, err)
		}
	}
}

func TestReleasesAreOrderedByTheirNumbers(t *testing.T) {
	t.Parallel()
	gen := rapid.Custom(func(t *rapid.T) [3]int {
		n := rapid.IntRange(0, 12)
		return [3]int{n.Draw(t, "major"), n.Draw(t, "minor"), n.Draw(t, "patch")}
	})
	release := func(p [3]int) sim.Release { return sim.Release(fmt.Sprintf("%d.%d.%d", p[0], p[1], p[2])) }
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		want := 0
		for i := 2; i >= 0; i-- {
			switch {
			case a[i] < b[i]:
				want = -1
			case a[i] > b[i]:
				want = 1
			}
		}
		if got := release(a).Compare(release(b)); got != want {
			t.Fatalf("%v to %v: %d, want %d", a, b, got, want)
		}
		if release(b).Compare(release(a)) != -want {
			t.Fatal("not antisymmetric")
		}
		if sim.Release("latest").Compare(release(a)) >= 0 {
			t.Fatal("what is no release does not sort first")
		}
	})
}

func TestSizingAndDriversAreChecked(t *testing.T) {
	t.Parallel()
	for _, tier := range sim.Tiers() {
		if s, err := tier.Sizing(); err != nil || s.CPURequest == "" || s.MemoryRequest != s.MemoryLimit || s.Disk == "" {
			t.Errorf("%s: %+v, %v", tier, s, err)
		}
	}
	if _, err := sim.Tier("XL").Sizing(); sim.KindOf(err) != sim.Invalid {
		t.Errorf("%v", err)
	}
	if err := sim.CheckDrivers(sim.Drivers()); err != nil {
		t.Error(err)
	}
	for _, d := range [][]sim.Driver{{"nonsense"}, {"mysql", "mysql"}} {
		if err := sim.CheckDrivers(d); sim.KindOf(err) != sim.Invalid {
			t.Errorf("%v: %v", d, err)
		}
	}
}

func TestASecretIsRedactedHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	const value = "hunter2"
	s := sim.Secret(value)
	type holder struct {
		S sim.Secret            `json:"s" xml:"s"`
		P *sim.Secret           `json:"p" xml:"p"`
		M map[string]sim.Secret `json:"m" xml:"-"`
		L []sim.Secret          `json:"l" xml:"l"`
	}
	h := holder{s, &s, map[string]sim.Secret{"k": s}, []sim.Secret{s}}
	hidden := func(how, out string) {
		t.Helper()
		for _, leak := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprint([]byte(value)), "aHVudGVyMg"} {
			if strings.Contains(out, leak) {
				t.Errorf("%s leaks: %s", how, out)
			}
		}
	}
	for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "X", "d", "U", "c", "t", "b", "o", "e", "g", "10s", "-20q", "+q", "# x"} {
		for _, arg := range []any{s, &s, h, &h, []sim.Secret{s}, map[sim.Secret]int{s: 1}, fmt.Errorf("x: %w", fmt.Errorf("%v", s))} {
			hidden(fmt.Sprintf("%%%s of %T", verb, arg), fmt.Sprintf("%"+verb, arg))
		}
	}
	hidden("Sprint", fmt.Sprint(s, h))
	hidden("String", s.String())
	for _, arg := range []any{s, h} {
		b, err := json.Marshal(arg)
		if err != nil {
			t.Fatal(err)
		}
		hidden("json", string(b))
	}
	b, err := xml.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	hidden("xml", string(b))
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("x", "secret", s, "holder", h, slog.Group("g", "secret", &s))
	}
	hidden("slog", log.String())
	if s.Reveal() != value || !s.Equal(value) || s.Equal("hunter3") || s.Equal("") {
		t.Error("Reveal or Equal")
	}
}

func TestKindsHaveNamesAndComeBack(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range sim.Kinds() {
		if n := k.String(); seen[n] || strings.HasPrefix(n, "kind(") || sim.KindFromString(n) != k {
			t.Errorf("%d: %q", k, n)
		}
		seen[k.String()] = true
	}
	if next := sim.Kind(len(sim.Kinds())); !strings.HasPrefix(next.String(), "kind(") {
		t.Errorf("Kinds does not list %v", next)
	}
	if sim.KindFromString("nonsense") != sim.Internal {
		t.Error("an unknown name")
	}
}

func TestErrorsKeepTheirKindAndHideTheirCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk sda1")
	own := &sim.Error{Op: "x.Open", Kind: sim.Conflict, Msg: "it exists", Help: "use another", Err: cause}
	for _, tc := range []struct {
		err       error
		kind      sim.Kind
		msg, help string
	}{
		{own, sim.Conflict, "it exists", "use another"},
		{fmt.Errorf("open: %w", own), sim.Conflict, "it exists", "use another"},
		{errors.Join(cause, own), sim.Conflict, "it exists", "use another"},
		{&sim.Error{Kind: sim.NotFound, Help: "look"}, sim.NotFound, "not_found", "look"},
		{cause, sim.Internal, "an internal error occurred", "the cause is in dpesim's log"},
		{&sim.Error{Kind: sim.Internal, Msg: "secret path"}, sim.Internal, "an internal error occurred", "the cause is in dpesim's log"},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), sim.Unavailable, "unavailable", ""},
		{sim.Errorf(sim.Exhausted, "%d left", 0).WithHelp("buy %s", "more"), sim.Exhausted, "0 left", "buy more"},
	} {
		msg, help := sim.Explain(tc.err)
		if sim.KindOf(tc.err) != tc.kind || msg != tc.msg || help != tc.help {
			t.Errorf("%v: %v %q %q", tc.err, sim.KindOf(tc.err), msg, help)
		}
	}
	if !errors.Is(own, cause) || own.Error() != "x.Open: it exists: disk sda1" {
		t.Errorf("%v", own)
	}
}
