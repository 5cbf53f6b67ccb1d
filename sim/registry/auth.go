package registry

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dpesim/dpesim/sim"
)

// caller is who sends a request, and what the request may do.
type caller struct {
	Token
	bearer bool
	scopes []scope // of a bearer token
}

// may tells whether the request may do something: the bearer token has it, and the access token that it was given for.
func (c caller) may(repository string, a Action) bool {
	return c.Token.may(repository, a) && (!c.bearer || slices.ContainsFunc(c.scopes, func(s scope) bool {
		return s.Name == repository && slices.Contains(s.Actions, a)
	}))
}

// errAuthentication is what a client is told that brings nothing, or nothing that is valid.
var errAuthentication = &problem{http.StatusUnauthorized, codeUnauthorized, "authentication required: log in with the access token that the portal shows for the DPE"}

// authenticate finds out who sends a request: by a bearer token, or by user and access token directly.
func (r *Registry) authenticate(req *http.Request) (caller, error) {
	if user, secret, ok := req.BasicAuth(); ok {
		t, err := r.login(req, user, sim.Secret(secret))
		return caller{Token: t}, err
	}
	kind, text, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "bearer") {
		return caller{}, errAuthentication
	}
	return r.verify(text)
}

// login checks a user and an access token, and tells of a refusal.
func (r *Registry) login(req *http.Request, user string, secret sim.Secret) (Token, error) {
	t, ok := r.check(user, secret)
	switch {
	case !ok:
		r.tellRefused(req, user, "")
		return Token{}, errAuthentication
	case t.expired(r.opt.Clock.Now()):
		r.tellRefused(req, user, "expired token")
		return Token{}, &problem{
			http.StatusUnauthorized, codeUnauthorized,
			"authentication required: the access token expired at " + t.Expires.UTC().Format(time.RFC3339) + ": rotate it in the portal",
		}
	}
	return t, nil
}

// authorise returns a problem if a request lacks a scope. What the caller may never do is denied; for what its bearer
// token was not made for it is asked to come with another one.
func authorise(c caller, need []scope) error {
	for _, s := range need {
		for _, a := range s.Actions {
			if !c.Token.may(s.Name, a) {
				return &problem{http.StatusForbidden, codeDenied, "requested access to the resource is denied"}
			}
		}
	}
	for _, s := range need {
		for _, a := range s.Actions {
			if !c.may(s.Name, a) {
				return errScope
			}
		}
	}
	return nil
}

// errScope is the answer to a valid bearer token that lacks a scope.
var errScope = &problem{http.StatusUnauthorized, codeUnauthorized, "authentication required: the token is not for this access"}

// challenge tells a client where to get a token. Source: distribution, "Token authentication specification".
func (r *Registry) challenge(w http.ResponseWriter, req *http.Request, need []scope, err error) {
	text := `Bearer realm="` + r.realm(req) + `",service="` + r.opt.Service + `"`
	if len(need) > 0 {
		words := make([]string, len(need))
		for i, s := range need {
			words[i] = s.String()
		}
		text += `,scope="` + strings.Join(words, " ") + `"`
	}
	switch {
	case errors.Is(err, errScope):
		text += `,error="insufficient_scope"`
	case errors.Is(err, errBearer):
		text += `,error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", text)
}

// hostPattern is what a Host header may hold to be repeated to the client.
var hostPattern = regexp.MustCompile(`^[a-zA-Z0-9.-]+(:[0-9]+)?$|^\[[a-fA-F0-9:]+\](:[0-9]+)?$`)

// realm is the address of the token endpoint under the name by which the client found the registry.
func (r *Registry) realm(req *http.Request) string {
	host := req.Host
	if !hostPattern.MatchString(host) {
		host = r.opt.Listener.Addr().String()
	}
	if r.opt.TLS == nil {
		return "http://" + host + tokenPath
	}
	return "https://" + host + tokenPath
}

// Bearer tokens.
const (
	tokenPath   = "/token"
	bearerLife  = 5 * time.Minute // product time; as in Docker's registry
	bearerIssue = "dpesim registry"
)

// claims are those of the distribution registry's tokens. Source: distribution, "Token authentication implementation".
type claims struct {
	jwt.RegisteredClaims
	Access []scope `json:"access"`
	Serial uint64  `json:"serial"` // ours: of the access token that it was given for; another one ends it at once
}

// sign makes a bearer token.
func (r *Registry) sign(t Token, access []scope) (string, error) {
	now := r.opt.Clock.Now()
	return jwt.NewWithClaims(jwt.SigningMethodES256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: bearerIssue, Subject: t.User, Audience: jwt.ClaimStrings{r.opt.Service},
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(bearerLife)),
		},
		Access: access, Serial: t.serial,
	}).SignedString(r.key)
}

// errBearer is the answer to a bearer token that is none, or no longer: the client gets another one.
var errBearer = &problem{http.StatusUnauthorized, codeUnauthorized, "authentication required: the token is not valid, or no longer"}

// verify reads a bearer token. It is valid as long as the access token that it was given for.
func (r *Registry) verify(text string) (caller, error) {
	var c claims
	_, err := jwt.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return &r.key.PublicKey, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithTimeFunc(r.opt.Clock.Now),
		jwt.WithIssuer(bearerIssue), jwt.WithAudience(r.opt.Service), jwt.WithExpirationRequired())
	if err != nil {
		return caller{}, errBearer
	}
	r.mu.Lock()
	t, ok := r.tokens[c.Subject]
	r.mu.Unlock()
	if !ok || t.serial != c.Serial || t.expired(r.opt.Clock.Now()) {
		return caller{}, errBearer
	}
	return caller{Token: t, bearer: true, scopes: c.Access}, nil
}

// maxForm bounds a POST of the token endpoint, in bytes.
const maxForm = 64 << 10

// serveToken gives a bearer token for what a client may do of what it asks for: GET with basic authentication, or an
// OAuth 2 form with grant_type=password as containerd sends it. There are no refresh tokens: clients keep the access
// token. Source: distribution, "Token authentication specification" and "OAuth2 token authentication".
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) error {
	var user, secret string
	query := req.URL.Query()
	switch req.Method {
	case http.MethodGet:
		var ok bool
		if user, secret, ok = req.BasicAuth(); !ok {
			return errAuthentication
		}
	case http.MethodPost:
		req.Body = http.MaxBytesReader(w, req.Body, maxForm)
		if err := req.ParseForm(); err != nil {
			return &problem{http.StatusBadRequest, codeUnsupported, "the form cannot be read"}
		}
		query = req.PostForm
		if g := query.Get("grant_type"); g != "password" {
			return &problem{http.StatusBadRequest, codeUnsupported, "the registry takes grant_type=password only"}
		}
		user, secret = query.Get("username"), query.Get("password")
	default:
		return errMethod
	}
	t, err := r.login(req, user, sim.Secret(secret))
	if err != nil {
		return err
	}
	asked, err := parseScopes(query["scope"])
	if err != nil {
		return err
	}
	granted := []scope{}
	for _, s := range asked {
		s.Actions = slices.DeleteFunc(s.Actions, func(a Action) bool { return !t.may(s.Name, a) })
		if len(s.Actions) > 0 {
			granted = append(granted, s)
		}
	}
	text, err := r.sign(t, granted)
	if err != nil {
		return err
	}
	words := make([]string, len(granted))
	for i, s := range granted {
		words[i] = s.String()
	}
	w.Header().Set("Cache-Control", "no-store")
	return answer(w, "application/json", map[string]any{
		"token": text, "access_token": text, "expires_in": int(bearerLife.Seconds()),
		"issued_at": r.opt.Clock.Now().UTC().Format(time.RFC3339), "scope": strings.Join(words, " "),
	})
}
