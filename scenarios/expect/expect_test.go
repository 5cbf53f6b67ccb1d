package expect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/scenarios/expect"
)

func object(tb testing.TB, text string) any {
	tb.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

const dpe = `{"label":"edge-eu","replicas":2,"drivers":["postgresql","s3"],"none":null,"on":true,"tiers":[{"name":"S"}],
	"status":{"state":"connected","message":"DPE is connected successfully","differences":[]}}`

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		text, is string
		holds    bool
	}{
		{"label=edge-eu", "edge-eu", true},
		{".label=edge-eu", "edge-eu", true},
		{"label!=edge-eu", "edge-eu", false},
		{"label=edge", "edge-eu", false},
		{"replicas=2", "2", true},
		{"replicas=2.0", "2", true},
		{"replicas>=2", "2", true},
		{"replicas>2", "2", false},
		{"replicas<3", "2", true},
		{"replicas<=1", "2", false},
		{"label>1", "edge-eu (no number)", false},
		{"on=true", "true", true},
		{`tiers|map(select(.name == "S"))|length>=1`, "1", true},
		{`status["state"]=connected`, "connected", true},
		{"drivers=postgresql,s3", "postgresql,s3", true},
		{`drivers=["postgresql","s3"]`, "postgresql,s3", true},
		{"drivers=s3", "postgresql,s3", false},
		{"drivers[1]=s3", "s3", true},
		{"drivers|length=2", "2", true},
		{`tiers=[{"name":"S"}]`, `[{"name":"S"}]`, true},
		{"status.differences=[]", "", true},
		{"status.differences=", "", true},
		{"status.message~^DPE is (not )?connected", "DPE is connected successfully", true},
		{"status.message!~orange", "DPE is connected successfully", true},
		{"status.state=not=this", "connected", false},
		{"none=null", "nothing", true},
		{"nosuch=null", "nothing", true},
		{"nosuch!=1", "nothing", true},
		{"nosuch>=0", "nothing", false},
		{"nosuch~.*", "nothing", false},
		{"nosuch!~x", "nothing", true},
	} {
		c, err := expect.Parse(x.text)
		if err != nil {
			t.Errorf("%s: %v", x.text, err)
			continue
		}
		is, holds, err := c.Holds(t.Context(), object(t, dpe))
		if err != nil || is != x.is || holds != x.holds {
			t.Errorf("%s: is %q, holds %v, %v", x.text, is, holds, err)
		}
	}
	c, err := expect.Parse("label.name=x")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Holds(t.Context(), object(t, dpe)); err == nil || !strings.Contains(err.Error(), "looking at label.name") {
		t.Errorf("a field of a word: %v", err)
	}
}

func TestWhatIsNoCondition(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"": "is no condition", "state": "is no condition", "=x": "is no condition", "a..b=x": "is no path", "a[=x": "is no condition", "a|nosuch=1": "is no path",
		"a~(": "missing closing", "a>=many": `"many" is no number`, "$x=1": "is no path",
	} {
		if _, err := expect.Parse(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSubset(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		want string
		told []string
	}{
		{`{}`, nil},
		{`{"label":"edge-eu","status":{"state":"connected"}}`, nil},
		{`{"none":null,"nosuch":null}`, nil},
		{`{"drivers":["s3"],"tiers":[{}]}`, nil},
		{`{"drivers":["s3","postgresql"]}`, []string{`.drivers[1]: wanted "postgresql", is "s3"`}},
		{`{"drivers":["postgresql","s3","x"]}`, []string{`.drivers[2]: wanted "x", is nothing: the list has 2 entries`}},
		{`{"replicas":3,"status":{"state":"orange","x-y":1}}`, []string{".replicas: wanted 3, is 2", `.status.state: wanted "orange", is "connected"`, `.status."x-y": wanted 1, is nothing`}},
		{`{"tiers":[{"name":"M"}]}`, []string{`.tiers[0].name: wanted "M", is "S"`}},
		{`[]`, nil},
		{`{"label":{}}`, []string{`.label: wanted {}, is "edge-eu"`}},
	} {
		var told []string
		for _, d := range expect.Subset(object(t, x.want), object(t, dpe)) {
			told = append(told, d.String())
		}
		if x.want == "[]" { // of the whole object
			if len(told) != 1 || !strings.HasPrefix(told[0], ".: wanted [], is {") {
				t.Errorf("%s: %q", x.want, told)
			}
			continue
		}
		if diff := cmp.Diff(x.told, told); diff != "" {
			t.Errorf("%s: -want +got\n%s", x.want, diff)
		}
	}
}

// Every object contains itself, and what is left of it when keys and entries are taken away.
func TestWhatIsLeftOfAnObjectIsItsSubset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		whole := value(3).Draw(t, "whole")
		if d := expect.Subset(whole, whole); d != nil {
			t.Fatalf("it does not contain itself: %v", d)
		}
		if d := expect.Subset(less(t, whole), whole); d != nil {
			t.Fatalf("less of it is not contained: %v", d)
		}
	})
}

func value(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Bool().AsAny(), rapid.StringN(0, 3, 6).AsAny(), rapid.Map(rapid.IntRange(-3, 3), func(i int) any { return float64(i) }),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Map(rapid.SliceOfN(value(depth-1), 0, 3), func(s []any) any { return s }),
			rapid.Map(rapid.MapOfN(rapid.StringN(0, 2, 4), value(depth-1), 0, 3), func(m map[string]any) any { return m }))
	}
	return rapid.OneOf(kinds...)
}

func less(t *rapid.T, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if rapid.Bool().Draw(t, "keep") {
				out[k] = less(t, x)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			if rapid.Bool().Draw(t, "keep") {
				out = append(out, x)
			}
		}
		return out
	}
	return v
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a=b", "a.b[0]>=1", "a|length<2", "a!~^x$", "..=", "a|halt=1", `a|error("x")=1`, "a|input=1"} {
		f.Add(seed)
	}
	o := object(f, dpe)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := expect.Parse(text)
		if err != nil || strings.ContainsAny(c.Field, "|([;{") { // a filter may run for ever
			return
		}
		_, _, _ = c.Holds(t.Context(), o) // does not panic
	})
}
