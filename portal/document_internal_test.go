package portal

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
)

func TestEachRouteOfTheAPIIsInTheDocumentAndTheReverse(t *testing.T) {
	t.Parallel()
	r := newRouter(&Portal{})
	var routes, documented []string
	for _, x := range r.e.Routes() {
		if strings.HasPrefix(x.Path, api.Prefix) {
			routes = append(routes, x.Method+" "+pathParam.ReplaceAllString(x.Path, "{$1}"))
		}
	}
	b, err := document(r.operations)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	for path, methods := range d.Paths {
		for m := range methods {
			documented = append(documented, strings.ToUpper(m)+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(documented)
	if len(routes) == 0 || !slices.Equal(routes, documented) {
		t.Errorf("the routes are\n%s\nthe document has\n%s", strings.Join(routes, "\n"), strings.Join(documented, "\n"))
	}
}
