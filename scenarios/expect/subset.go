package expect

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Difference is a place at which an object is not as expected.
type Difference struct {
	Path     string // as jq writes it
	Want, Is string
}

// String says it in one line.
func (d Difference) String() string { return fmt.Sprintf("%s: wanted %s, is %s", d.Path, d.Want, d.Is) }

// Subset compares what is wanted with what is; both are made of what [json.Unmarshal] makes. What is may have more keys.
// The entries of a wanted list must be found in the other in this order, with any others between them. It gives nil if
// all that is wanted is there.
func Subset(want, is any) []Difference { return subset("", plain(want), plain(is)) }

func subset(path string, want, is any) []Difference {
	switch want := want.(type) {
	case map[string]any:
		there, ok := is.(map[string]any)
		if !ok {
			break
		}
		var out []Difference
		for _, k := range slices.Sorted(maps.Keys(want)) {
			at := path + key(k)
			if v, ok := there[k]; ok {
				out = append(out, subset(at, want[k], v)...)
			} else if want[k] != nil {
				out = append(out, Difference{Path: at, Want: asJSON(want[k]), Is: "nothing"})
			}
		}
		return out
	case []any:
		there, ok := is.([]any)
		if !ok {
			break
		}
		return sublist(path, want, there)
	}
	if reflect.DeepEqual(want, is) {
		return nil
	}
	if path == "" {
		path = "."
	}
	return []Difference{{Path: path, Want: asJSON(want), Is: asJSON(is)}}
}

// sublist takes for each wanted entry the first one left that contains it. Where none does, the difference is told to the
// entry at the same place, if there is one: that is most likely the one that was meant.
func sublist(path string, want, is []any) []Difference {
	next := 0
	for i, w := range want {
		found := slices.IndexFunc(is[next:], func(x any) bool { return subset("", w, x) == nil })
		if found >= 0 {
			next += found + 1
			continue
		}
		at := path + "[" + strconv.Itoa(i) + "]"
		if path == "" {
			at = "." + at
		}
		if i < len(is) {
			return subset(at, w, is[i])
		}
		return []Difference{{Path: at, Want: asJSON(w), Is: fmt.Sprintf("nothing: the list has %d entries", len(is))}}
	}
	return nil
}

// key writes the step into an object.
func key(k string) string {
	for i, r := range k {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return "." + strconv.Quote(k)
		}
	}
	if k == "" {
		return `.""`
	}
	return "." + k
}
