package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/dpesim/dpesim/sim"
)

// format is how a listing is printed.
type format string

// The formats. JSON is the contract; the table is for people and may change.
const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

// String, Set and Type make format a flag value that refuses anything else.
func (f *format) String() string { return string(*f) }

// Set takes one of the formats.
func (f *format) Set(s string) error {
	switch format(s) {
	case formatTable, formatJSON, formatYAML:
		*f = format(s)
		return nil
	}
	return sim.Errorf(sim.Invalid, "unknown format %q: use table, json or yaml", s)
}

// Type names the flag's argument in help.
func (*format) Type() string { return "table|json|yaml" }

// outputFlag adds -o to cmd and gives the value it will have.
func outputFlag(cmd *cobra.Command) *format {
	f := formatTable
	cmd.Flags().VarP(&f, "output", "o", "how to print the result")
	return &f
}

// print writes v as JSON or YAML, or calls table for people.
func (f format) print(w io.Writer, v any, table func(*tabwriter.Writer)) error {
	switch f {
	case formatJSON:
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case formatYAML:
		b, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	case formatTable:
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(tw)
	return tw.Flush()
}

// stream writes one of many values: JSON on one line, YAML as a document of its own, or a line of a table.
func (f format) stream(w io.Writer, v any, table func(*tabwriter.Writer)) error {
	switch f {
	case formatJSON:
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case formatYAML:
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
	case formatTable:
	}
	return f.print(w, v, table)
}

// pageRows is how many rows of a long list are asked for at once: the most that the portal gives.
const pageRows = 1000

// limitFlag adds --limit to a command that prints a long list.
func limitFlag(cmd *cobra.Command, most *int) {
	cmd.Flags().IntVar(most, "limit", 0, "print at most so many (default: all)")
}

// firstOf gives the first rows of a list, at most so many; 0: all. It never gives nil, which would be no list in JSON.
func firstOf[T any](rows iter.Seq2[T, error], most int) ([]T, error) {
	if most < 0 {
		return nil, usage(sim.Errorf(sim.Invalid, "--limit cannot be %d", most).WithHelp("give a positive number, or leave it out for all"))
	}
	out := []T{}
	for x, err := range rows {
		if err != nil {
			return nil, err
		}
		if out = append(out, x); len(out) == most {
			break
		}
	}
	return out, nil
}

// row writes one line of a table; the cells are printed with %v.
func row(w io.Writer, cells ...any) {
	s := make([]string, len(cells))
	for i, c := range cells {
		s[i] = fmt.Sprint(c)
		if s[i] == "" {
			s[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(s, "\t"))
}
