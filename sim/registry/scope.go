package registry

import (
	"net/http"
	"slices"
	"strings"
)

// Action is what may be done with a repository. The names are the distribution token specification's.
type Action string

// The actions.
const (
	ActionPull   Action = "pull"
	ActionPush   Action = "push"
	ActionDelete Action = "delete"
)

// Grant lets a token do something with repositories.
type Grant struct {
	Repositories string // a name, or the begin of names followed by "*": "charts/*"
	Actions      []Action
}

// VendorPull are the grants of a DPE's access token: it pulls what the vendor publishes, and nothing else.
func VendorPull() []Grant {
	var out []Grant
	for _, p := range vendorPrefixes {
		out = append(out, Grant{Repositories: p + "*", Actions: []Action{ActionPull}})
	}
	return out
}

// covers tells whether the grant names a repository.
func (g Grant) covers(repository string) bool {
	if prefix, ok := strings.CutSuffix(g.Repositories, "*"); ok {
		return strings.HasPrefix(repository, prefix)
	}
	return repository == g.Repositories
}

// may tells whether the token's grants allow an action. Nobody changes what is the vendor's.
func (t Token) may(repository string, a Action) bool {
	if isVendor(repository) && a != ActionPull {
		return false
	}
	return slices.ContainsFunc(t.Grants, func(g Grant) bool { return g.covers(repository) && slices.Contains(g.Actions, a) })
}

// scope is access to one repository, as a client asks for it and as a bearer token carries it.
type scope struct {
	Type    string   `json:"type"` // "repository"
	Name    string   `json:"name"`
	Actions []Action `json:"actions"`
}

// String gives the scope as it is written in a challenge.
func (s scope) String() string {
	actions := make([]string, len(s.Actions))
	for i, a := range s.Actions {
		actions[i] = string(a)
	}
	return s.Type + ":" + s.Name + ":" + strings.Join(actions, ",")
}

// Limits of what a token is asked for: clients choose it.
const (
	maxScopes   = 32
	repositoryT = "repository"
)

// parseScopes reads the scopes that a client asks for: each value holds some, with spaces between. Types other than
// repository and actions that are none are left out, as the specification wants: a token without them is the answer. It
// returns a problem for what has not the form.
//
// Source: distribution, "Token scope documentation": type:name:action,action; a type may have a class in parentheses;
// a name may hold colons (of a port).
func parseScopes(values []string) ([]scope, error) {
	var out []scope
	for _, v := range values {
		for text := range strings.FieldsSeq(v) {
			kind, rest, ok := strings.Cut(text, ":")
			i := strings.LastIndexByte(rest, ':')
			if !ok || i <= 0 {
				return nil, &problem{http.StatusBadRequest, codeUnsupported, "invalid scope: it is TYPE:NAME:ACTION,ACTION"}
			}
			kind, _, _ = strings.Cut(kind, "(")
			s := scope{Type: kind, Name: rest[:i]}
			if kind != repositoryT || len(s.Name) > maxRepository || !repositoryPattern.MatchString(s.Name) {
				continue
			}
			for a := range strings.SplitSeq(rest[i+1:], ",") {
				switch a := Action(a); a {
				case ActionPull, ActionPush, ActionDelete:
					s.add(a)
				case "*":
					s.add(ActionPull, ActionPush, ActionDelete)
				}
			}
			if out = append(out, s); len(out) > maxScopes {
				return nil, &problem{http.StatusBadRequest, codeUnsupported, "too many scopes"}
			}
		}
	}
	return out, nil
}

func (s *scope) add(actions ...Action) {
	for _, a := range actions {
		if !slices.Contains(s.Actions, a) {
			s.Actions = append(s.Actions, a)
		}
	}
}

// needs are the scopes that a request must have.
func needs(req *http.Request, rt route) []scope {
	need := func(actions ...Action) []scope { return []scope{{repositoryT, rt.repository, actions}} }
	switch {
	case rt.resource == resourcePing:
		return nil
	case rt.resource == resourceUploads, rt.resource == resourceUpload:
		out := need(ActionPull, ActionPush)
		if from := req.URL.Query().Get("from"); from != "" && rt.resource == resourceUploads && repositoryPattern.MatchString(from) {
			out = append(out, scope{repositoryT, from, []Action{ActionPull}})
		}
		return out
	case req.Method == http.MethodGet, req.Method == http.MethodHead:
		return need(ActionPull)
	case req.Method == http.MethodDelete:
		return need(ActionDelete)
	default:
		return need(ActionPull, ActionPush)
	}
}
