package compare

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed known.yaml
var published []byte

// Known is a published difference.
type Known struct {
	What      string  `yaml:"what"`      // differs, in a sentence
	Why       string  `yaml:"why"`       // in a sentence or two
	Sometimes bool    `yaml:"sometimes"` // a run of all scenarios may not show it
	Lines     []Shown `yaml:"lines"`
}

// Shown matches lines that only one of two clusters shows.
type Shown struct {
	Kind      Kind    `yaml:"kind"`
	Object    pattern `yaml:"object"` // matches every one if it is left out
	InProcess pattern `yaml:"inprocess"`
	Real      pattern `yaml:"real"`
}

// pattern is a regular expression in YAML; nil matches nothing.
type pattern struct{ *regexp.Regexp }

// UnmarshalYAML compiles it.
func (p *pattern) UnmarshalYAML(n *yaml.Node) (err error) {
	p.Regexp, err = regexp.Compile(n.Value)
	return err
}

func (p pattern) matches(text string) bool { return p.Regexp != nil && p.MatchString(text) }

// Table is what is published, in its order. It is safe for concurrent use.
type Table []Known

// Published gives the table that is built in.
func Published() (Table, error) {
	var t Table
	d := yaml.NewDecoder(strings.NewReader(string(published)))
	d.KnownFields(true)
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("read the published differences: %w", err)
	}
	return t, nil
}

// Judge notes at each difference of r under which number of the table it is published, counted from 1.
func (t Table) Judge(r *Result) {
	for i := range r.Differences {
		d := &r.Differences[i]
		d.Published = 1 + slices.IndexFunc(t, func(k Known) bool {
			return slices.ContainsFunc(k.Lines, func(s Shown) bool { return s.matches(r, d) })
		})
		if d.Published > 0 {
			d.Why = t[d.Published-1].Why
		}
	}
}

func (s Shown) matches(r *Result, d *Difference) bool {
	side := s.InProcess
	if d.Cluster == r.Clusters[1] {
		side = s.Real
	}
	return s.Kind == d.Kind && (s.Object.Regexp == nil || s.Object.matches(d.Object)) && side.matches(d.Text)
}

// Stale gives the published differences that none of the results shows, of those that always are to be seen.
func (t Table) Stale(results []*Result) []Known {
	var out []Known
	for i, k := range t {
		shown := slices.ContainsFunc(results, func(r *Result) bool { return slices.Contains(r.published(), i+1) })
		if !k.Sometimes && !shown {
			out = append(out, k)
		}
	}
	return out
}

// published gives the numbers under which differences of r are published, in order.
func (r *Result) published() []int {
	var out []int
	for _, d := range r.Differences {
		if d.Published > 0 {
			out = append(out, d.Published)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
