package portal_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func TestProblemsNameTheFieldThatIsToBlame(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.environment(t, api.EnvironmentSpec{Name: "Prod", ReplicasAllowed: 2})
	must(s.AddDPE(t.Context(), "prod", api.DPESpec{Name: "Finance"}))(t)
	const env = "/api/v1/environments/prod"
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/api/v1/environments", `{"name":" "}`, "name"},
		{"POST", "/api/v1/environments", `{"name":"?"}`, "name"},
		{"POST", "/api/v1/environments", `{"name":"Prod"}`, "name"},
		{"POST", "/api/v1/environments", `{"name":"a","release":"1.2"}`, "release"},
		{"POST", "/api/v1/environments", `{"name":"a","release":"1.2.3"}`, "release"},
		{"POST", "/api/v1/environments", `{"name":"a","tier":"XL"}`, "tier"},
		{"POST", "/api/v1/environments", `{"name":"a","region":"moon"}`, "region"},
		{"POST", "/api/v1/environments", `{"name":"a","offering":"free"}`, "offering"},
		{"POST", "/api/v1/environments", `{"name":"a","engines_allowed":-1}`, "engines_allowed"},
		{"POST", "/api/v1/environments", `{"name":"a","organisation":"nobody"}`, "organisation"},
		{"POST", "/api/v1/environments", `{"name":7}`, "name"},
		{"POST", "/api/v1/environments", `{"name":"a","colour":"red"}`, "colour"},
		{"POST", env + "/dpes", `{"name":"Finance"}`, "name"},
		{"POST", env + "/dpes", `{"name":"a","drivers":["fax"]}`, "drivers"},
		{"POST", env + "/dpes", `{"name":"a","replicas":2}`, "replicas"},
		{"PATCH", env + "/dpes/finance", `{"replicas":0}`, "replicas"},
		{"PATCH", env + "/dpes/finance", `{"replicas":3}`, "replicas"},
		{"POST", env + "/jobs", `{"key":"k"}`, "bucket"},
		{"POST", env + "/jobs", `{"bucket":"b"}`, "key"},
		{"POST", env + "/jobs", `{"bucket":"b","key":"k","label":"nobody"}`, "label"},
		{"POST", env + "/upgrade", `{"release":"x"}`, "release"},
		{"POST", "/api/v1/users", `{"id":"ada","name":"A","password":"long enough"}`, "id"},
		{"POST", "/api/v1/users", `{"id":"X","name":"A","password":"long enough"}`, "id"},
		{"POST", "/api/v1/users", `{"id":"bob","name":"A","password":"short"}`, "password"},
		{"POST", "/api/v1/users", `{"id":"bob","name":"A","password":"long enough","role":"king"}`, "role"},
		{"POST", "/api/v1/tokens", `{"name":"a","scopes":["all"]}`, "scopes"},
		{"POST", "/api/v1/tokens", `{"name":"a","scopes":["read"],"expires":"2020-01-01T00:00:00Z"}`, "expires"},
		{"GET", "/api/v1/audit?limit=x", ``, "limit"},
		{"GET", "/api/v1/events?after=x", ``, "after"},
		{"GET", env + "/jobs?state=x", ``, "state"},
		{"GET", "/api/v1/residue?all=x", ``, "all"},
		{"GET", env + "/dpes/finance/values?release=1", ``, "release"},
	} {
		got := s.send(t, c.method, c.path, c.body, js)
		var p api.Problem
		if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.code < 400 || got.code >= 500 {
			t.Errorf("%s %s: %d %s", c.path, c.body, got.code, got.body)
		}
		if len(p.Errors) != 1 || p.Errors[0].Field != c.field || p.Errors[0].Detail == "" || p.Help == "" {
			t.Errorf("%s %s: errors %+v, want field %s", c.path, c.body, p.Errors, c.field)
		}
	}
	_, err := s.AddUser(t.Context(), api.UserSpec{ID: "bob", Name: "Bob", Password: "short"})
	if f, ok := errors.AsType[*api.FieldError](err); !ok || f.Field != "password" || sim.KindOf(err) != sim.Invalid {
		t.Errorf("the client tells %v", err)
	}
}

func TestEveryProblemSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	s := start(t)
	for path, code := range map[string]int{
		"/api/v1/environments/nowhere": 404, "/api/v1/nothing": 404, "/api/v1/why?subject=x": 400, "/api/v1/environments/nowhere/dpes": 404,
	} {
		got := s.send(t, http.MethodGet, path, "")
		var p api.Problem
		if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.code != code || p.Help == "" {
			t.Errorf("%s: %d %s", path, got.code, got.body)
		}
	}
}
