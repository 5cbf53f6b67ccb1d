package profile_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/dpe/profile"
	"github.com/dpesim/dpesim/sim"
)

func run(tb testing.TB, text string, o profile.Options) *profile.Result {
	tb.Helper()
	r, err := profile.Profile(tb.Context(), strings.NewReader(text), o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestTypesAreInferred(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values   string
		want     profile.Type
		min, max string
		share    float64
	}{
		{"1 -2 +30", profile.Integer, "-2", "30", 1},
		{"1 2.5 1e3", profile.Decimal, "1", "1000", 1},
		{"0 0.5 -.25", profile.Decimal, "-0.25", "0.5", 1},
		{"00123 04567", profile.String, "00123", "04567", 1},
		{"true No YES", profile.Boolean, "No", "true", 1},
		{"2024-02-29 2023-12-31", profile.Date, "2023-12-31", "2024-02-29", 1},
		{"2024-02-30 2023-13-31", profile.String, "2023-13-31", "2024-02-30", 1},
		{"3/9/2024 12/31/2023", profile.Date, "2023-12-31", "2024-03-09", 1},
		{"2024-01-01 2024-01-01T10:00:00Z", profile.DateTime, "2024-01-01T00:00:00Z", "2024-01-01T10:00:00Z", 1},
		{"1 2 3 4 5 6 7 8 9 x", profile.Integer, "1", "9", 0.9},
		{"1 2 3 4 x", profile.String, "1", "x", 1},
		{"0x10 Inf 1e999", profile.String, "0x10", "Inf", 1},
		{"NULL NA n/a", profile.String, "", "", 0},
	} {
		col := run(t, "v\n"+strings.ReplaceAll(c.values, " ", "\n")+"\n", profile.Options{}).Columns[0]
		if col.Type != c.want || col.Min != c.min || col.Max != c.max || col.Conforming != c.share {
			t.Errorf("%s: %s from %q to %q, %v conform; want %s from %q to %q, %v", c.values, col.Type, col.Min, col.Max, col.Conforming, c.want, c.min, c.max, c.share)
		}
	}
}

func TestFormsOfCSV(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, delimiter string
		rows, ragged    int64
		columns         string
		top             string // most frequent value of the last column
	}{
		"plain":            {"a,b\n1,x\n2,x\n", ",", 2, 0, "a|b", "x"},
		"byte order mark":  {"\xef\xbb\xbfa;b\n1;x\n", ";", 1, 0, "a|b", "x"},
		"tab":              {"a\tb\n1\tx,y\n", "\t", 1, 0, "a|b", "x,y"},
		"bar":              {"a|b\n1|x\n", "|", 1, 0, "a|b", "x"},
		"quotes":           {"a,b\r\n1,\"x \"\"y\"\"\nz, w\"\r\n", ",", 1, 0, "a|b", "x \"y\"\nz, w"},
		"commas in quotes": {"a;b\n\"1,2,3\";x\n\"4,5,6\";x\n", ";", 2, 0, "a|b", "x"},
		"ragged":           {"a,b\n1\n2,x,y\n3,x\n", ",", 3, 2, "a|b", "x"},
		"no last newline":  {"a,b\n1,x", ",", 1, 0, "a|b", "x"},
		"one column":       {"a\nx\ny\n", ",", 2, 0, "a", "x"},
		"header only":      {"a,,c\n", ",", 0, 0, "a|column_2|c", ""},
		"stray quote":      {"a,b\n1,x\"y\n", ",", 1, 0, "a|b", "x\"y"},
	} {
		r := run(t, c.text, profile.Options{})
		var names []string
		for _, col := range r.Columns {
			names = append(names, col.Name)
		}
		top := ""
		if last := r.Columns[len(r.Columns)-1].Top; len(last) > 0 {
			top = last[0].Value
		}
		if r.Delimiter != c.delimiter || r.Rows != c.rows || r.Ragged != c.ragged || strings.Join(names, "|") != c.columns || top != c.top || !r.Complete {
			t.Errorf("%s: got %+v, top %q", name, r, top)
		}
	}
}

func TestSampleStopsAtMaxRecords(t *testing.T) {
	t.Parallel()
	text := "a\n1\n2\n3\n"
	if r := run(t, text, profile.Options{MaxRecords: 2}); r.Rows != 2 || r.Complete {
		t.Errorf("2 of 3: %d rows, complete %v", r.Rows, r.Complete)
	}
	if r := run(t, text, profile.Options{MaxRecords: 3}); r.Rows != 3 || !r.Complete {
		t.Errorf("3 of 3: %d rows, complete %v", r.Rows, r.Complete)
	}
}

func TestWhatIsNoTableIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":           "",
		"only a mark":     "\xef\xbb\xbf",
		"UTF-16":          "\xff\xfea\x00,\x00",
		"long line":       "a\n" + strings.Repeat("x", 400<<10) + "\n",
		"long in lines":   "a\n\"" + strings.Repeat("x\n", 200<<10),
		"too many fields": strings.Repeat(",", profile.MaxColumns) + "\n",
	} {
		_, err := profile.Profile(t.Context(), strings.NewReader(text), profile.Options{MaxRecordBytes: 100 << 10})
		if sim.KindOf(err) != sim.Invalid {
			t.Errorf("%s: %v", name, err)
		} else if _, help := sim.Explain(err); help == "" {
			t.Errorf("%s: no help in %v", name, err)
		}
	}
}

func TestReadErrorsAndCancellationEndTheRun(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	if _, err := profile.Profile(t.Context(), io.MultiReader(strings.NewReader("a\n1\n"), iotest.ErrReader(broken)), profile.Options{}); !errors.Is(err, broken) {
		t.Errorf("broken: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := profile.Profile(ctx, strings.NewReader("a\n1\n"), profile.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestPatternsMaskLettersAndDigits(t *testing.T) {
	t.Parallel()
	col := run(t, "v\nAB-12\nÄb-7x\nAB-12\nCD-99\n", profile.Options{}).Columns[0]
	want := []profile.Count{{Value: "AA-99", Count: 3}, {Value: "Aa-9a", Count: 1}}
	if d := cmp.Diff(want, col.Patterns); d != "" {
		t.Error(d)
	}
}

// naive is what is known of a column when all its values are kept.
type naive struct {
	empty, nulls int64
	values       []string
	numbers      []float64
	counts       map[string]int64
}

func (n *naive) add(s string) {
	trimmed := strings.TrimSpace(s)
	switch strings.ToLower(trimmed) {
	case "":
		n.empty++
		return
	case "null", "na", "n/a", "nan", "none", "nil", `\n`:
		n.nulls++
		return
	}
	n.values = append(n.values, s)
	n.counts[s]++
	if v, err := strconv.ParseFloat(trimmed, 64); err == nil {
		n.numbers = append(n.numbers, v)
	}
}

func TestProfileAgreesWithANaiveOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.OneOf(
			rapid.SampledFrom([]string{"", " ", "NULL", "n/a", "nan", "x", "Y,z", "a\nb", `say "hi"`, "ünï"}),
			rapid.Map(rapid.IntRange(-1000, 1000), strconv.Itoa),
			rapid.Map(rapid.Float64Range(-1e6, 1e6), func(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }),
		)
		if rapid.Bool().Draw(t, "numeric") {
			cell = rapid.Map(rapid.IntRange(-5, 3000), strconv.Itoa)
		}
		width := rapid.IntRange(1, 4).Draw(t, "width")
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, width, width), 1, 800).Draw(t, "rows")
		var buf bytes.Buffer
		w := csv.NewWriter(&buf)
		header := make([]string, width)
		want := make([]naive, width)
		for i := range header {
			header[i], want[i].counts = fmt.Sprintf("c%d", i), map[string]int64{}
		}
		_ = w.Write(header)
		kept := int64(0)
		for _, r := range rows {
			_ = w.Write(r)
			if width == 1 && r[0] == "" {
				continue // a blank line
			}
			kept++
			for i, v := range r {
				want[i].add(v)
			}
		}
		w.Flush()
		got, err := profile.Profile(context.Background(), bytes.NewReader(buf.Bytes()), profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Rows != kept || got.Ragged != 0 || len(got.Columns) != width {
			t.Fatalf("%d rows, %d ragged, %d columns; want %d, 0, %d (delimiter %q)", got.Rows, got.Ragged, len(got.Columns), kept, width, got.Delimiter)
		}
		for i, c := range got.Columns {
			check(t, c, &want[i])
		}
		again, err := profile.Profile(context.Background(), iotest.OneByteReader(bytes.NewReader(buf.Bytes())), profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(got, again); d != "" {
			t.Fatalf("the same bytes, another profile: %s", d)
		}
	})
}

func check(t *rapid.T, c profile.Column, n *naive) {
	if c.Empty != n.empty || c.NullTokens != n.nulls || c.Values != int64(len(n.values)) {
		t.Fatalf("%s: %d values, %d empty, %d null; want %d, %d, %d", c.Name, c.Values, c.Empty, c.NullTokens, len(n.values), n.empty, n.nulls)
	}
	if exact := uint64(len(n.counts)); c.DistinctExact && c.Distinct != exact || math.Abs(float64(c.Distinct)-float64(exact)) > 2+0.05*float64(exact) {
		t.Fatalf("%s: %d distinct (exact %v), want %d", c.Name, c.Distinct, c.DistinctExact, exact)
	}
	for _, top := range c.Top {
		if real := n.counts[top.Value]; real > top.Count || real < top.Count-top.Error || c.TopExact && real != top.Count {
			t.Fatalf("%s: %q counted %d, error %d; want %d", c.Name, top.Value, top.Count, top.Error, real)
		}
	}
	if c.Numbers == nil {
		return
	}
	slices.Sort(n.numbers)
	size := float64(len(n.numbers))
	mean, square := 0.0, 0.0
	for _, v := range n.numbers {
		mean += v / size
	}
	for _, v := range n.numbers {
		square += (v - mean) * (v - mean) / size
	}
	near(t, c.Name+" mean", c.Numbers.Mean, mean, 1e-6)
	near(t, c.Name+" deviation", c.Numbers.StdDev, math.Sqrt(square), 1e-6)
	for _, q := range c.Numbers.Quantiles {
		// What matters is the rank: the share of numbers below the estimate.
		lo, _ := slices.BinarySearch(n.numbers, q.Value-1e-9)
		hi, _ := slices.BinarySearch(n.numbers, q.Value+1e-9)
		slack := 0.03*size + 1
		if float64(lo) > q.Q*size+slack || float64(hi) < q.Q*size-slack {
			t.Fatalf("%s: quantile %v is %v, of rank %d to %d of %v", c.Name, q.Q, q.Value, lo, hi, size)
		}
	}
}

func near(t *rapid.T, what string, got, want, tolerance float64) {
	if math.Abs(got-want) > tolerance*(1+math.Abs(want)) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func FuzzProfile(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\xef\xbb\xbfa;b\n\"x\ny\";2\n", "a\n1e308\n-1e308\n", "a|b\n\"", "\xff", "d\n2024-02-29\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := profile.Profile(t.Context(), bytes.NewReader(b), profile.Options{MaxRecordBytes: 1 << 16})
		if err != nil {
			return
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Columns {
			if c.Values+c.Empty+c.NullTokens != r.Rows || c.MinLength > c.MaxLength || c.Conforming < 0 || c.Conforming > 1 {
				t.Fatalf("%d rows, %+v", r.Rows, c)
			}
		}
	})
}

// table is some 4 MB: an id, an amount, a category, a date, a text.
func table() []byte {
	var b bytes.Buffer
	b.WriteString("id,amount,category,day,text\n")
	for i := range 80_000 {
		fmt.Fprintf(&b, "%d,%d.%02d,cat-%d,2024-%02d-%02d,customer number %d\n", i, i%977, i%100, i%13, i%12+1, i%28+1, i*7919%10007)
	}
	return b.Bytes()
}

func BenchmarkProfile(b *testing.B) {
	data := table()
	b.Run("profile", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := profile.Profile(b.Context(), bytes.NewReader(data), profile.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-csv-alone", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			r := csv.NewReader(bytes.NewReader(data))
			r.ReuseRecord = true
			for {
				if _, err := r.Read(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func TestEstimatesOfManyValuesAreNear(t *testing.T) {
	t.Parallel()
	r := run(t, string(table()), profile.Options{})
	id, category := r.Columns[0], r.Columns[2]
	if id.DistinctExact || math.Abs(float64(id.Distinct)-80_000) > 0.03*80_000 {
		t.Errorf("ids: %d distinct, exact %v", id.Distinct, id.DistinctExact)
	}
	if id.TopExact || id.Top[0].Count-id.Top[0].Error > 1 {
		t.Errorf("ids: top %+v, exact %v; each stands once", id.Top[0], id.TopExact)
	}
	for _, q := range id.Numbers.Quantiles {
		if math.Abs(q.Value-q.Q*80_000) > 0.01*80_000 {
			t.Errorf("ids: quantile %v is %v", q.Q, q.Value)
		}
	}
	if !category.DistinctExact || category.Distinct != 13 || category.Top[0] != (profile.Count{Value: "cat-0", Count: 6154}) {
		t.Errorf("category: %+v", category)
	}
}
