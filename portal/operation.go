package portal

import (
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/openapi"
	"github.com/dpesim/dpesim/sim"
)

// operation is what a route of the API says of itself. The document is made of it, and tests send what it says.
type operation struct {
	openapi.Operation
	secret bool // the answer holds one
}

// op describes a route. The id is the name of the client's method.
func op(id, summary string) operation {
	return operation{Operation: openapi.Operation{ID: id, Summary: summary}}
}

// takes says what the JSON body is: a value of its type.
func (o operation) takes(body any) operation {
	o.Body = body
	return o
}

// gives says what is answered as JSON: a value of its type; nil: no body.
func (o operation) gives(status int, body any) operation {
	o.Answers = append(o.Answers, openapi.Answer{Status: status, Body: body})
	return o
}

// givesText says that 200 is answered, with a body of that media type.
func (o operation) givesText(mediaType string) operation {
	o.Answers = append(o.Answers, openapi.Answer{Status: http.StatusOK, Media: mediaType})
	return o
}

// query says that a query parameter is read, and what a value of it looks like.
func (o operation) query(name, description string, value any) operation {
	o.Params = append(o.Params, openapi.Param{In: openapi.InQuery, Name: name, Description: description, Value: value})
	return o
}

// header says that a header of the request is read.
func (o operation) header(name, description string) operation {
	o.Params = append(o.Params, openapi.Param{In: openapi.InHeader, Name: name, Description: description, Value: ""})
	return o
}

// sends says that the answers have a header.
func (o operation) sends(name, description string) operation {
	for i := range o.Answers {
		o.Answers[i].Headers = append(o.Answers[i].Headers, openapi.Header{Name: name, Description: description})
	}
	return o
}

// asked says that who has the answer may ask whether it is still so.
func (o operation) asked() operation {
	return o.gives(http.StatusNotModified, nil).sends("ETag", "For If-None-Match").header("If-None-Match", "The ETag that one has: 304 if it is still so")
}

// tagged says that the answers have an entity tag.
func (o operation) tagged() operation {
	return o.sends("ETag", "Revision of what is answered, for If-Match")
}

// ifMatched says that If-Match is heeded.
func (o operation) ifMatched() operation {
	return o.header("If-Match", "Act only on this revision, as an ETag told it; otherwise 409")
}

// located says that the answer has the address of what was made.
func (o operation) located() operation { return o.sends("Location", "Address of what was made") }

// paged says that the list comes in pages, of how many rows unless less or more is asked for.
func (o operation) paged(rows int) operation {
	o = o.query("limit", fmt.Sprintf("How many at most: %d unless given, and never more than %d", rows, pageMost), 1)
	o.Answers[0].Headers = append(o.Answers[0].Headers, openapi.Header{Name: "Link", Description: `If there is more: <address of the next page>; rel="next" (RFC 8288)`, Optional: true})
	return o
}

// secretly says that the answer holds a secret, so that it is not kept for who repeats the request.
func (o operation) secretly() operation {
	o.secret = true
	return o
}

// words tells who may, for the document.
func (n need) words() string {
	switch n {
	case needNothing:
		return ""
	case needUser:
		return "somebody who is signed in"
	case needSecrets:
		return "an organisation admin or the environment's owner, and the scope secrets"
	case needManage:
		return "an organisation admin or the environment's owner"
	case needCreate:
		return "an organisation admin or a user who may own environments"
	case needAdmin:
		return "an organisation admin"
	case needTrainer:
		return "the trainer, who runs the simulator"
	}
	return ""
}

// pathParam finds the parameters in a route's path.
var pathParam = regexp.MustCompile(`:([a-z]+)`)

// pathTypes is what parameters in paths are.
func pathTypes() map[string]any {
	return map[string]any{"env": sim.EnvironmentID(""), "label": sim.Label(""), "job": sim.JobID("")}
}

// complete adds what follows from the route itself.
func (o operation) complete(method, path string, n need) openapi.Operation {
	if method == http.MethodPost {
		o = o.header(api.IdempotencyHeader, keyWords(o.secret))
	}
	out := o.Operation
	out.Method, out.Path, out.Tag = method, api.Prefix+pathParam.ReplaceAllString(path, "{$1}"), tagOf(path)
	changes := method != http.MethodGet
	if out.Needs = n.words(); out.Needs != "" && changes {
		out.Needs += ", and the scope write"
	}
	var params []openapi.Param
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		value, known := pathTypes()[m[1]]
		if !known {
			value = ""
		}
		params = append(params, openapi.Param{In: openapi.InPath, Name: m[1], Value: value})
	}
	out.Params = append(params, out.Params...)
	for code, answers := range map[int]bool{
		http.StatusBadRequest: true, http.StatusUnauthorized: true, http.StatusForbidden: true,
		http.StatusNotFound: true, // also: the user to act for is not there
		http.StatusConflict: changes, http.StatusUnprocessableEntity: changes, http.StatusRequestEntityTooLarge: o.Body != nil || method == http.MethodPost,
		http.StatusInternalServerError: true, http.StatusServiceUnavailable: true,
	} {
		if answers {
			out.Problems = append(out.Problems, code)
		}
	}
	return out
}

// keyWords says what an idempotency key does.
func keyWords(secret bool) string {
	s := "Do this once: for a day of the simulator's time, the same user's same request with the same key gets the first answer again, with " + api.ReplayedHeader
	if secret {
		s = "Do this once: for a day of the simulator's time, the same user's same request with the same key is told that it was done, by a 409. Its answer held a secret and is not kept"
	}
	return s + ". With the same key, another request is refused with 400, and with 409 one that is repeated while the first is under way."
}

// tagOf groups routes: by the first word of the path, and what is below an environment by the collection.
func tagOf(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) > 2 && (parts[2] == "dpes" || parts[2] == "jobs") {
		return parts[2]
	}
	return parts[0]
}

// OpenAPI gives the document of the API: OpenAPI 3.1, JSON.
func OpenAPI() ([]byte, error) {
	r := newRouter(&Portal{})
	return document(r.operations)
}

func document(operations []openapi.Operation) ([]byte, error) {
	return openapi.Document(openapi.API{
		Title: "dpesim portal", Version: strings.TrimPrefix(api.Prefix, "/api/"),
		Description: "The portal of a simulated cloud, in which self-managed DPEs are added, edited and removed. " +
			"An error is answered with problem details (RFC 9457); their help says what to do next. Times are the simulator's.",
		Operations: operations, Words: vocabulary(), Problem: api.Problem{}, ProblemType: api.ProblemType,
	})
}

// vocabulary is what the types of the API do not say of themselves.
func vocabulary() openapi.Words {
	dns := `^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$` // as [sim.Label.Valid]
	return openapi.Words{
		Secret: reflect.TypeFor[sim.Secret](), Fields: fieldWords(),
		Patterns: map[reflect.Type]string{
			reflect.TypeFor[sim.EnvironmentID](): dns, reflect.TypeFor[sim.Label](): dns, reflect.TypeFor[sim.KeyID](): `^[-_A-Za-z0-9]{43}$`,
			reflect.TypeFor[sim.Release](): `^(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})$`, // as [sim.ParseRelease]
		},
		Enums: map[reflect.Type][]string{
			reflect.TypeFor[sim.Tier]():           names(sim.Tiers()),
			reflect.TypeFor[sim.Driver]():         names(sim.Drivers()),
			reflect.TypeFor[api.Role]():           names(api.Roles()),
			reflect.TypeFor[api.Scope]():          names(api.Scopes()),
			reflect.TypeFor[api.Offering]():       names(api.Offerings()),
			reflect.TypeFor[api.Phase]():          names(api.Phases()),
			reflect.TypeFor[api.ValueFate]():      names(api.ValueFates()),
			reflect.TypeFor[api.StepState]():      names(api.StepStates()),
			reflect.TypeFor[api.State]():          names(api.States()),
			reflect.TypeFor[api.Colour]():         names(api.Colours()),
			reflect.TypeFor[api.Variant]():        names(api.Variants()),
			reflect.TypeFor[api.Task]():           names(api.Tasks()),
			reflect.TypeFor[api.RunState]():       names(api.RunStates()),
			reflect.TypeFor[api.JobKind]():        names(api.JobKinds()),
			reflect.TypeFor[api.JobState]():       names(api.JobStates()),
			reflect.TypeFor[api.CredentialKind](): names(api.CredentialKinds()),
		},
	}
}

func names[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, x := range all {
		out[i] = string(x)
	}
	return out
}
