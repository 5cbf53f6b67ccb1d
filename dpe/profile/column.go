package profile

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/axiomhq/hyperloglog"
	tdigest "github.com/caio/go-tdigest/v4"
)

const (
	maxValue   = 256 // bytes of a value that are kept for counting; longer ones count by their beginning
	maxPattern = 64  // characters of a pattern
	ellipsis   = "…"
)

// reported are the quantiles of a result.
var reported = [...]float64{0.05, 0.25, 0.5, 0.75, 0.95}

// column gathers what is known of one column.
type column struct {
	name              string
	values            int64
	empty, nullTokens int64
	distinct          *hyperloglog.Sketch
	top, patterns     top
	shortened         bool
	minLen, maxLen    int
	minText, maxText  string

	integers, decimals, booleans, dates, dateTimes int64 // narrowest type of each value

	mean, m2       float64 // Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", 1962
	minNum, maxNum float64
	digest         *tdigest.TDigest

	times            timeReader
	minTime, maxTime time.Time
}

func newColumn(name string, i int) (*column, error) {
	// The digest shuffles by a generator of its own, so that the same values give the same quantiles.
	d, err := tdigest.New(tdigest.Compression(100), tdigest.LocalRandomNumberGenerator(1))
	if err != nil {
		return nil, fmt.Errorf("make a digest for quantiles: %w", err)
	}
	if name = strings.TrimSpace(name); name == "" {
		name = "column_" + strconv.Itoa(i+1)
	}
	return &column{name: cloned(name), distinct: hyperloglog.New14(), top: newTop(), patterns: newTop(), digest: d}, nil
}

// columnBytes is what a column holds beside the values that it counts: 2^14 registers for distinct values, and up to
// 1,000 centroids of 16 bytes for quantiles.
const columnBytes = 32 << 10

// size estimates what the column holds, in bytes.
func (c *column) size() int64 { return columnBytes + c.top.size + c.patterns.size }

// cloned copies s, which shares memory with its whole record.
func cloned(s string) string { return strings.Clone(s) }

// add takes the next field.
func (c *column) add(raw string) error {
	s := strings.TrimSpace(raw)
	switch {
	case s == "":
		c.empty++
		return nil
	case null(s):
		c.nullTokens++
		return nil
	}
	c.text(raw)
	c.values++
	if v, t, ok := number(s); ok {
		return c.number(v, t)
	}
	if v, t, ok := c.times.read(s); ok {
		c.time(v, t)
	} else if boolean(s) {
		c.booleans++
	}
	return nil
}

// text takes a value as it stands. It comes before the value is counted.
func (c *column) text(s string) {
	n := utf8.RuneCountInString(s)
	if c.values == 0 {
		c.minLen, c.maxLen = n, n
	} else {
		c.minLen, c.maxLen = min(c.minLen, n), max(c.maxLen, n)
	}
	c.distinct.Insert([]byte(s))
	if len(s) > maxValue {
		c.shortened = true
		s = strings.ToValidUTF8(s[:maxValue], "") + ellipsis
	}
	if c.values == 0 {
		c.minText = cloned(s)
		c.maxText = c.minText
	} else if s < c.minText {
		c.minText = cloned(s)
	} else if s > c.maxText {
		c.maxText = cloned(s)
	}
	c.top.add(s)
	c.patterns.add(pattern(s))
}

func (c *column) number(v float64, t Type) error {
	n := float64(c.integers + c.decimals)
	if n == 0 {
		c.minNum, c.maxNum = v, v
	}
	c.minNum, c.maxNum = min(c.minNum, v), max(c.maxNum, v)
	d := v - c.mean
	c.mean += d / (n + 1)
	c.m2 += d * (v - c.mean)
	if t == Integer {
		c.integers++
	} else {
		c.decimals++
	}
	if err := c.digest.Add(v); err != nil {
		return fmt.Errorf("add to the digest for quantiles: %w", err)
	}
	return nil
}

func (c *column) time(v time.Time, t Type) {
	if c.dates+c.dateTimes == 0 {
		c.minTime, c.maxTime = v, v
	}
	if v.Before(c.minTime) {
		c.minTime = v
	}
	if v.After(c.maxTime) {
		c.maxTime = v
	}
	if t == Date {
		c.dates++
	} else {
		c.dateTimes++
	}
}

// infer gives the type that most values conform to, the narrowest among equals, and their share; String if that is not enough.
func (c *column) infer() (Type, float64) {
	best, most := String, int64(0)
	for _, k := range []struct {
		t Type
		n int64
	}{
		{Integer, c.integers},
		{Decimal, c.integers + c.decimals},
		{Boolean, c.booleans},
		{Date, c.dates},
		{DateTime, c.dates + c.dateTimes},
	} {
		if k.n > most {
			best, most = k.t, k.n
		}
	}
	if c.values == 0 {
		return String, 0
	}
	if share := float64(most) / float64(c.values); share >= enough {
		return best, share
	}
	return String, 1
}

// result gives the profile of what was added.
func (c *column) result() Column {
	t, share := c.infer()
	r := Column{
		Name: c.name, Type: t, Conforming: share, Values: c.values, Empty: c.empty, NullTokens: c.nullTokens,
		Min: c.minText, Max: c.maxText, MinLength: c.minLen, MaxLength: c.maxLen,
		Top: c.top.best(TopValues), TopExact: !c.top.full && !c.shortened,
		Patterns: c.patterns.best(TopValues), PatternsExact: !c.patterns.full,
		Shortened: c.shortened,
	}
	if r.DistinctExact = r.TopExact; r.DistinctExact {
		r.Distinct = uint64(len(c.top.by))
	} else {
		r.Distinct = c.distinct.Estimate()
	}
	switch t {
	case Integer, Decimal:
		r.Min, r.Max = strconv.FormatFloat(c.minNum, 'f', -1, 64), strconv.FormatFloat(c.maxNum, 'f', -1, 64)
		r.Numbers = c.numbers()
	case Date:
		r.Min, r.Max = c.minTime.Format(time.DateOnly), c.maxTime.Format(time.DateOnly)
	case DateTime:
		r.Min, r.Max = c.minTime.Format(time.RFC3339), c.maxTime.Format(time.RFC3339)
	case Boolean, String:
	}
	return r
}

func (c *column) numbers() *Numbers {
	n := &Numbers{Mean: c.mean, StdDev: math.Sqrt(c.m2 / float64(c.integers+c.decimals))}
	for _, q := range reported {
		// The digest interpolates, beyond the extremes too.
		n.Quantiles = append(n.Quantiles, Quantile{Q: q, Value: min(max(c.digest.Quantile(q), c.minNum), c.maxNum)})
	}
	return n
}

// pattern masks a text: A for an upper-case letter, a for any other, 9 for a digit, the rest as it is.
func pattern(s string) string {
	var buf [maxPattern*utf8.UTFMax + len(ellipsis)]byte
	b := buf[:0]
	n := 0
	for _, r := range s {
		if n++; n > maxPattern {
			return string(append(b, ellipsis...))
		}
		switch {
		case unicode.IsUpper(r):
			r = 'A'
		case unicode.IsLetter(r):
			r = 'a'
		case unicode.IsDigit(r):
			r = '9'
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}
