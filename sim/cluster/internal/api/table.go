package api

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/dpesim/dpesim/sim/clock"
)

// columns are what `kubectl get` shows of a kind, beyond the name.
type columns []column

// column is one of them. A cell is a string, an int64 or a bool.
type column struct {
	name string
	wide bool // shown with -o wide only
	cell func(o runtime.Object, now time.Time) any
}

// tabler renders objects for kubectl.
type tabler struct {
	columns columns
	clock   *clock.Clock
	// preferred names the object of a list that the cluster takes unless told otherwise; nil: there is no such thing.
	preferred func(list runtime.Object) string
}

var _ rest.TableConvertor = tabler{}

// ConvertToTable renders an object or a list.
func (t tabler) ConvertToTable(_ context.Context, o, opts runtime.Object) (*metav1.Table, error) {
	out := &metav1.Table{}
	if to, ok := opts.(*metav1.TableOptions); !ok || to == nil || !to.NoHeaders {
		out.ColumnDefinitions = t.header()
	}
	now, chosen := t.clock.Now(), ""
	if t.preferred != nil && meta.IsListType(o) {
		chosen = t.preferred(o)
	}
	add := func(o runtime.Object) error {
		m, err := meta.Accessor(o)
		if err != nil {
			return err
		}
		cells := make([]any, 0, len(t.columns)+1)
		if !t.named() {
			name := m.GetName()
			if name == chosen && chosen != "" {
				name += " (default)"
			}
			cells = append(cells, name)
		}
		for _, c := range t.columns {
			cells = append(cells, c.cell(o, now))
		}
		out.Rows = append(out.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: o}})
		return nil
	}
	if meta.IsListType(o) {
		l, err := meta.ListAccessor(o)
		if err != nil {
			return nil, err
		}
		out.ResourceVersion, out.Continue, out.RemainingItemCount = l.GetResourceVersion(), l.GetContinue(), l.GetRemainingItemCount()
		return out, meta.EachListItem(o, add)
	}
	if m, err := meta.CommonAccessor(o); err == nil {
		out.ResourceVersion = m.GetResourceVersion()
	}
	return out, add(o)
}

// named tells whether the columns have one for the name of their own.
func (t tabler) named() bool {
	for _, c := range t.columns {
		if c.name == "Name" {
			return true
		}
	}
	return false
}

func (t tabler) header() []metav1.TableColumnDefinition {
	var out []metav1.TableColumnDefinition
	if !t.named() {
		out = append(out, metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name"})
	}
	for _, c := range t.columns {
		d := metav1.TableColumnDefinition{Name: c.name, Type: "string"}
		if c.name == "Name" {
			d.Format = "name"
		}
		if c.wide {
			d.Priority = 1
		}
		out = append(out, d)
	}
	return out
}

// show is a column of objects of type O.
func show[O any](name string, cell func(o *O) any) column {
	return column{name: name, cell: func(o runtime.Object, _ time.Time) any { return on(cell)(o) }}
}

// wide is show for -o wide.
func wide[O any](name string, cell func(o *O) any) column {
	c := show(name, cell)
	c.wide = true
	return c
}

// ageColumn is how long ago the object was created.
func ageColumn() column {
	return column{name: "Age", cell: func(o runtime.Object, now time.Time) any {
		m, err := meta.Accessor(o)
		if err != nil {
			return unknown
		}
		return since(m.GetCreationTimestamp(), now)
	}}
}

// createdColumn is when the object was created: what kinds without columns of their own show.
func createdColumn() column {
	return column{name: "Created At", cell: func(o runtime.Object, _ time.Time) any {
		m, err := meta.Accessor(o)
		if err != nil {
			return unknown
		}
		return m.GetCreationTimestamp().UTC().Format(time.RFC3339)
	}}
}

// What stands in a cell without a value.
const (
	unknown = "<unknown>"
	none    = "<none>"
	unset   = "<unset>"
)

// since is the time from t to now as kubectl writes it.
func since(t metav1.Time, now time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

// or gives s, or what stands for nothing.
func or(s, nothing string) string {
	if s == "" {
		return nothing
	}
	return s
}
