package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// Figure is one figure of a sizing, with the least and the most that it can be. The bounds are our choice: what an engine
// needs to start at all, and more than a node of AKS or EKS has.
type Figure struct {
	Name, Words string // in JSON, and for people
	Example     string
	Of          func(*sim.Sizing) *string // where it is

	least, most string
	unit        string // that Kubernetes counts in
}

// Figures lists the figures of a sizing in the order of the Service sizing table.
func Figures() []Figure {
	return []Figure{
		{"cpu_request", "CPU request", "600m or 2", func(s *sim.Sizing) *string { return &s.CPURequest }, "1m", "256", "1m"},
		{"cpu_limit", "CPU limit", "1600m or 4", func(s *sim.Sizing) *string { return &s.CPULimit }, "1m", "256", "1m"},
		{"memory_request", "RAM request", "2000Mi or 8Gi", func(s *sim.Sizing) *string { return &s.MemoryRequest }, "64Mi", "4Ti", "1"},
		{"memory_limit", "RAM limit", "2000Mi or 8Gi", func(s *sim.Sizing) *string { return &s.MemoryLimit }, "64Mi", "4Ti", "1"},
		{"disk", "disk space", "100Gi", func(s *sim.Sizing) *string { return &s.Disk }, "1Gi", "64Ti", "1"},
	}
}

// SizingWords lists the figures of an exceptional sizing for a person; empty: there is none.
func SizingWords(s sim.Sizing) string {
	var out []string
	for _, f := range Figures() {
		if v := *f.Of(&s); v != "" {
			out = append(out, f.Words+" "+v)
		}
	}
	return strings.Join(out, ", ")
}

// exceptional gives the sizing that a DPE of e shall have in place of the tier's as it is kept: canonical quantities, none
// that is the tier's anyway. It returns Forbidden if the contract allows none, and Invalid for what no pod could have.
// "Under some conditions [...] an exceptional sizing can be set (if allowed by Ataccama) as value override to the default
// values" (seed, "Sizing and resource requirements")
func exceptional(e Environment, s sim.Sizing) (sim.Sizing, error) {
	base, err := e.Tier.Sizing()
	if err != nil {
		return s, err
	}
	for _, f := range Figures() {
		v := f.Of(&s)
		if *v = strings.TrimSpace(*v); *v == "" {
			continue
		}
		q, err := f.parse(*v)
		if err != nil {
			return s, api.InField("exceptional_sizing."+f.Name, err)
		}
		*v = q.String()
		if quantity(*f.Of(&base)).Cmp(q) == 0 {
			*v = ""
		}
	}
	if s != (sim.Sizing{}) && !e.Contract.ExceptionalSizing {
		return s, api.InField("exceptional_sizing", sim.Errorf(sim.Forbidden, "the contract of environment %s does not allow an exceptional sizing: its DPEs have the sizing of tier %s", e.ID, e.Tier).
			WithHelp("leave the sizing out, or use an environment whose contract allows it; that is agreed with Ataccama when the environment is created"))
	}
	return s, fits(s.Or(base))
}

// parse reads a quantity. It returns Invalid for what is none, or is out of bounds.
func (f Figure) parse(s string) (chart.Quantity, error) {
	q, ok := chart.ParseQuantity(s)
	switch {
	case !ok:
		return q, sim.Errorf(sim.Invalid, "the %s %.40q is no quantity", f.Words, s).WithHelp("give it as Kubernetes does, for example %s", f.Example)
	case q.Cmp(quantity(f.least)) < 0:
		return q, sim.Errorf(sim.Invalid, "the %s %s is less than %s", f.Words, s, f.least).WithHelp("give at least %s; m is a thousandth, Mi and Gi are mebibytes and gibibytes", f.least)
	case q.Cmp(quantity(f.most)) > 0:
		return q, sim.Errorf(sim.Invalid, "the %s %s is more than %s", f.Words, s, f.most).WithHelp("give at most %s: no node has more", f.most)
	case !q.Of(quantity(f.unit)):
		return q, sim.Errorf(sim.Invalid, "the %s %s is too finely divided", f.Words, s).WithHelp("CPUs have thousandths, memory and disks whole bytes: for example %s", f.Example)
	}
	return q, nil
}

// quantity reads one that was checked, or is our own.
func quantity(s string) chart.Quantity {
	q, _ := chart.ParseQuantity(s)
	return q
}

// fits returns Invalid for requests above their limits, which Kubernetes refuses.
func fits(s sim.Sizing) error {
	for _, c := range []struct{ field, words, request, limit string }{
		{"cpu_request", "CPU", s.CPURequest, s.CPULimit},
		{"memory_request", "RAM", s.MemoryRequest, s.MemoryLimit},
	} {
		if quantity(c.request).Cmp(quantity(c.limit)) > 0 {
			return api.InField("exceptional_sizing."+c.field, sim.Errorf(sim.Invalid, "the %s request %s is more than the %s limit %s", c.words, c.request, c.words, c.limit).
				WithHelp("a figure that is left out is the tier's: lower the request, or give a limit of at least %s", c.request))
		}
	}
	return nil
}

// sizing is a sizing in a column of JSON.
type sizing sim.Sizing

// Scan reads the column.
func (s *sizing) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("a JSON column holds %T", v)
	}
	return json.Unmarshal([]byte(text), (*sim.Sizing)(s))
}

// Value writes the column.
func (s sizing) Value() (driver.Value, error) {
	b, err := json.Marshal(sim.Sizing(s))
	return string(b), err
}
