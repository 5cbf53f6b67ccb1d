// Package profile profiles tabular text: one pass over a stream, memory that does not grow with its length, and the same
// result for the same bytes each time.
//
// What is counted is exact; what would need all values in memory is estimated and says so: distinct values (HyperLogLog),
// quantiles (t-digest), frequent values and patterns (space-saving).
package profile

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

const (
	// DefaultMaxRecordBytes bounds a record where Options does not, in bytes.
	DefaultMaxRecordBytes = 1 << 20
	// MaxColumns bounds the width of a table: each column needs some 100 KiB at worst.
	MaxColumns = 2048
	// TopValues is how many frequent values and patterns are reported.
	TopValues = 10

	sniffBytes = 64 << 10
	// memoryEvery is how many records pass until the memory is told again.
	memoryEvery = 1024
)

// Options bound a run.
type Options struct {
	MaxRecords     int64 // sample profiling: stop after so many records; 0: full profiling
	MaxRecordBytes int   // refuse longer records; 0: DefaultMaxRecordBytes

	// Memory, if given, is told now and then how many bytes the run holds, estimated.
	Memory func(bytes int64)
}

// Result is the profile of a table.
type Result struct {
	Delimiter string   `json:"delimiter"`
	Rows      int64    `json:"rows"`        // records without the header
	Ragged    int64    `json:"ragged_rows"` // records with more or fewer fields than the header
	Complete  bool     `json:"complete"`    // false: MaxRecords ended the run
	Columns   []Column `json:"columns"`
}

// Column is the profile of a column. Where a record has too few fields, the missing ones count as empty; fields beyond
// the header are not looked at.
type Column struct {
	Name          string  `json:"name"`
	Type          Type    `json:"type"`
	Conforming    float64 `json:"conforming"` // share of the values that are of the type; 0 if there are none
	Values        int64   `json:"values"`     // neither empty nor a null token
	Empty         int64   `json:"empty"`
	NullTokens    int64   `json:"null_tokens"` // NULL, NA, N/A, NaN, None, nil, \N in any case
	Distinct      uint64  `json:"distinct"`
	DistinctExact bool    `json:"distinct_exact"` // false: estimated

	Min       string   `json:"min,omitempty"` // in the order of the type, among the values that conform
	Max       string   `json:"max,omitempty"`
	Numbers   *Numbers `json:"numbers,omitempty"` // for integer and decimal, over the values that conform
	MinLength int      `json:"min_length"`        // characters
	MaxLength int      `json:"max_length"`

	Top           []Count `json:"top"`
	TopExact      bool    `json:"top_exact"`
	Patterns      []Count `json:"patterns"` // A upper case, a lower case, 9 digit, the rest as it is
	PatternsExact bool    `json:"patterns_exact"`
	Shortened     bool    `json:"shortened,omitempty"` // values too long to keep were counted by their beginning
}

// Numbers describes numeric values.
type Numbers struct {
	Mean      float64    `json:"mean"`
	StdDev    float64    `json:"std_dev"` // of the population
	Quantiles []Quantile `json:"quantiles"`
}

// Quantile is an estimate: a share Q of the values is at most Value.
type Quantile struct {
	Q     float64 `json:"q"`
	Value float64 `json:"value"`
}

// Count is a value with its frequency, which is at most Count and at least Count - Error.
type Count struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
	Error int64  `json:"error,omitempty"`
}

// Profile reads CSV from r, in UTF-8, with a header, until its end. The delimiter (comma, semicolon, tab or bar) is found
// by looking at the beginning. Blank lines are skipped and stray quotes are taken literally. It returns Invalid for what
// is no such table: empty, UTF-16, too many columns, a record that is too long. It returns ctx's error if ctx ends.
func Profile(ctx context.Context, r io.Reader, o Options) (*Result, error) {
	if o.MaxRecordBytes <= 0 {
		o.MaxRecordBytes = DefaultMaxRecordBytes
	}
	g := &guard{ctx: ctx, r: r, limit: int64(o.MaxRecordBytes) + sniffBytes}
	in := bufio.NewReaderSize(g, sniffBytes)
	head, err := skipBOM(in)
	if err != nil {
		return nil, err
	}
	records := csv.NewReader(in)
	records.Comma, records.FieldsPerRecord, records.LazyQuotes, records.ReuseRecord = sniff(head), -1, true, true
	next := func() ([]string, error) {
		rec, err := records.Read()
		if err == nil {
			if n := records.InputOffset() - g.record; n > int64(o.MaxRecordBytes) {
				err = tooLong(int64(o.MaxRecordBytes))
			}
			g.record = records.InputOffset()
		}
		return rec, err
	}

	header, err := next()
	if errors.Is(err, io.EOF) {
		return nil, sim.Errorf(sim.Invalid, "the data is empty: not even a header is there").WithHelp("check that the object is the right one")
	}
	if err != nil {
		return nil, readError(err)
	}
	if len(header) > MaxColumns {
		return nil, sim.Errorf(sim.Invalid, "the header has %d columns, more than %d", len(header), MaxColumns).WithHelp("split the table, or check its delimiter")
	}
	columns := make([]*column, len(header))
	for i, name := range header {
		if columns[i], err = newColumn(name, i); err != nil {
			return nil, err
		}
	}
	res := &Result{Delimiter: string(records.Comma)}
	for {
		if o.Memory != nil && res.Rows%memoryEvery == 0 {
			o.Memory(size(columns))
		}
		rec, err := next()
		if errors.Is(err, io.EOF) {
			res.Complete = true
			break
		}
		if err != nil {
			return nil, readError(err)
		}
		if o.MaxRecords > 0 && res.Rows == o.MaxRecords {
			break
		}
		res.Rows++
		if len(rec) != len(columns) {
			res.Ragged++
		}
		for i, c := range columns {
			if i < len(rec) {
				err = c.add(rec[i])
			} else {
				err = c.add("")
			}
			if err != nil {
				return nil, err
			}
		}
	}
	res.Columns = make([]Column, len(columns))
	for i, c := range columns {
		res.Columns[i] = c.result()
	}
	return res, nil
}

// size estimates what a run over columns holds, in bytes.
func size(columns []*column) int64 {
	n := int64(2 * sniffBytes) // of the readers
	for _, c := range columns {
		n += c.size()
	}
	return n
}

// guard bounds how far the CSV reader runs ahead of the record that it gave last, and ends with ctx.
type guard struct {
	ctx    context.Context // of the one run, as in http.Request
	r      io.Reader
	limit  int64
	read   int64 // bytes
	record int64 // where the last record ended
}

// Read implements io.Reader.
func (g *guard) Read(p []byte) (int, error) {
	if err := g.ctx.Err(); err != nil {
		return 0, err
	}
	if g.read-g.record > g.limit {
		return 0, tooLong(g.limit - sniffBytes)
	}
	n, err := g.r.Read(p)
	g.read += int64(n)
	return n, err
}

func tooLong(limit int64) error {
	return sim.Errorf(sim.Invalid, "a record is longer than %d bytes", limit).WithHelp("check the data for a quote that is never closed")
}

func readError(err error) error { return fmt.Errorf("read the records: %w", err) }

// skipBOM drops a byte order mark and gives a look at what follows.
func skipBOM(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(sniffBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, readError(err)
	}
	switch {
	case strings.HasPrefix(string(head[:min(3, len(head))]), "\xef\xbb\xbf"):
		_, err := in.Discard(3) // buffered: cannot fail
		return head[3:], err
	case len(head) >= 2 && (head[0] == 0xff && head[1] == 0xfe || head[0] == 0xfe && head[1] == 0xff):
		return nil, sim.Errorf(sim.Invalid, "the data is UTF-16, only UTF-8 can be read").WithHelp("convert it, for example with iconv -f UTF-16 -t UTF-8")
	}
	return head, nil
}

// sniff finds the delimiter: the candidate that stands equally often in most of the first lines; among equals the one
// that makes more columns, then the one that is named first. Without any it is a comma: a table of one column.
func sniff(head []byte) rune {
	best, bestSame, bestWidth := ',', 0, 0
	for _, d := range ",;\t|" {
		widths := countDelimiters(head, byte(d))
		if len(widths) == 0 || widths[0] == 0 {
			continue
		}
		same := 0
		for _, w := range widths {
			if w == widths[0] {
				same++
			}
		}
		same = same * 1000 / len(widths)
		if same > bestSame || same == bestSame && widths[0] > bestWidth {
			best, bestSame, bestWidth = d, same, widths[0]
		}
	}
	return best
}

// countDelimiters counts d outside quotes in each of the first lines. The last one is left out if head may cut it.
func countDelimiters(head []byte, d byte) []int {
	const lines = 50
	var widths []int
	n, quoted, any := 0, false, false
	for _, b := range head {
		switch {
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == d:
			n++
		case b == '\n':
			if any {
				widths = append(widths, n)
			}
			if n, any = 0, false; len(widths) == lines {
				return widths
			}
			continue
		}
		any = any || b != '\r'
	}
	if any && (len(head) < sniffBytes-3 || len(widths) == 0) {
		widths = append(widths, n)
	}
	return widths
}
