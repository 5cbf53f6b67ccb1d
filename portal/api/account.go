package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Role is what a user may do in the organisation. Source: seed, "Add a self-managed DPE to an existing environment": the
// environment owner and the organisation admin add DPEs.
type Role string

// The roles.
const (
	RoleAdmin  Role = "admin"  // organisation admin: everything in the organisation
	RoleOwner  Role = "owner"  // may create environments, and do everything in those that are the user's own
	RoleMember Role = "member" // sees environments and how they are; changes nothing, sees no secrets
)

// Roles lists the roles, the mightiest first.
func Roles() []Role { return []Role{RoleAdmin, RoleOwner, RoleMember} }

// User is a person with an account.
type User struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Organisation string    `json:"organisation"` // id
	Role         Role      `json:"role"`
	Trainer      bool      `json:"trainer"` // runs the simulator: sees all organisations and the control room
	Demo         bool      `json:"demo"`    // may be picked at sign-in without a password
	Created      time.Time `json:"created"`
}

// UserSpec is the body of POST /users.
type UserSpec struct {
	ID       string     `json:"id"` // what the user signs in with: a-z, 0-9 and hyphens
	Name     string     `json:"name"`
	Role     Role       `json:"role,omitempty"` // default: member
	Password sim.Secret `json:"password"`       // 8 to 72 bytes
}

// PasswordChange is the body of PUT /me/password.
type PasswordChange struct {
	Current sim.Secret `json:"current"`
	New     sim.Secret `json:"new"` // 8 to 72 bytes
}

// PasswordReset is the body of PUT /users/{user}/password.
type PasswordReset struct {
	New sim.Secret `json:"new"` // 8 to 72 bytes
}

// Scope is what an API token is good for. A token never allows more than its user may.
type Scope string

// The scopes.
const (
	ScopeRead    Scope = "read"    // everything but secrets
	ScopeWrite   Scope = "write"   // changes
	ScopeSecrets Scope = "secrets" // values.yaml, access tokens, storage credentials
)

// Scopes lists the scopes.
func Scopes() []Scope { return []Scope{ScopeRead, ScopeWrite, ScopeSecrets} }

// TokenSpec is the body of POST /tokens.
type TokenSpec struct {
	Name    string    `json:"name"`
	Scopes  []Scope   `json:"scopes"`
	Expires time.Time `json:"expires,omitzero"` // by the simulator's clock; default: in 90 days
}

// Token is an API token of the user who asks, without the token itself.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Scopes  []Scope   `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// NewToken is the answer to POST /tokens, the one time that the token itself is shown. It stays redacted in JSON; the
// portal sends [NewToken.Revealed].
type NewToken struct {
	Token
	Secret sim.Secret `json:"secret"`
}

// RevealedToken is [NewToken] in the clear, for the one answer that carries it.
type RevealedToken struct {
	Token
	Secret string `json:"secret"`
}

// Revealed gives t with its secret in the clear. The caller answers for where it goes.
func (t NewToken) Revealed() RevealedToken {
	return RevealedToken{Token: t.Token, Secret: t.Secret.Reveal()}
}

// Identity is who asks and what for: the answer to GET /me.
type Identity struct {
	User
	Via    string  `json:"via"`    // "session", "token NAME", "command line"
	Scopes []Scope `json:"scopes"` // what this way of asking allows, at most
}

// AuditEntry is one change that somebody made, or one look at a secret.
type AuditEntry struct {
	Seq         int64             `json:"seq"`
	Time        time.Time         `json:"time"`
	User        string            `json:"user"`
	Via         string            `json:"via"`     // as in [Identity]
	Source      string            `json:"source"`  // address that the request came from
	Request     string            `json:"request"` // id of the request
	Action      string            `json:"action"`  // "dpe added"; for what was only read: "values read"
	Environment sim.EnvironmentID `json:"environment,omitempty"`
	DPE         sim.Label         `json:"dpe,omitempty"`
	Detail      map[string]string `json:"detail,omitempty"` // never a secret
}

// AuditFilter says which entries to read.
type AuditFilter struct {
	Environment sim.EnvironmentID // only that one's; empty: all of the organisation
	Before      int64             // only entries with a smaller Seq; 0: from the newest
	Limit       int               // at most so many; 0: 100
}

func (f AuditFilter) query() url.Values {
	q := url.Values{}
	if f.Environment != "" {
		q.Set("environment", string(f.Environment))
	}
	if f.Before != 0 {
		q.Set("before", strconv.FormatInt(f.Before, 10))
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// Me tells who the client is to the portal.
func (c *Client) Me(ctx context.Context) (Identity, error) {
	return get[Identity](ctx, c, call{method: http.MethodGet, path: Prefix + "/me"})
}

// Users lists the organisation's users by id.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	return get[[]User](ctx, c, call{method: http.MethodGet, path: Prefix + "/users"})
}

// AddUser adds a user to the organisation.
func (c *Client) AddUser(ctx context.Context, s UserSpec) (User, error) {
	body := struct { // the one place where the password goes out
		UserSpec
		Password string `json:"password"`
	}{s, s.Password.Reveal()}
	return get[User](ctx, c, call{method: http.MethodPost, path: Prefix + "/users", body: body})
}

// RemoveUser removes a user with sessions and tokens.
func (c *Client) RemoveUser(ctx context.Context, id string) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: Prefix + "/users/" + url.PathEscape(id)})
	return err
}

// ChangePassword gives oneself another password and ends one's sessions. API tokens stay.
func (c *Client) ChangePassword(ctx context.Context, current, next sim.Secret) error {
	body := map[string]string{"current": current.Reveal(), "new": next.Reveal()}
	_, err := c.text(ctx, call{method: http.MethodPut, path: Prefix + "/me/password", body: body})
	return err
}

// ResetPassword gives another user of the organisation another password and ends that user's sessions.
func (c *Client) ResetPassword(ctx context.Context, user string, next sim.Secret) error {
	body := map[string]string{"new": next.Reveal()}
	_, err := c.text(ctx, call{method: http.MethodPut, path: Prefix + "/users/" + url.PathEscape(user) + "/password", body: body})
	return err
}

// Tokens lists one's own API tokens, oldest first.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return get[[]Token](ctx, c, call{method: http.MethodGet, path: Prefix + "/tokens"})
}

// AddToken makes an API token for oneself. The answer is the one that holds it.
func (c *Client) AddToken(ctx context.Context, s TokenSpec) (NewToken, error) {
	return get[NewToken](ctx, c, call{method: http.MethodPost, path: Prefix + "/tokens", body: s})
}

// RemoveToken ends one of one's own API tokens.
func (c *Client) RemoveToken(ctx context.Context, id string) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: Prefix + "/tokens/" + url.PathEscape(id)})
	return err
}

// AllAudit gives all entries that f chooses, newest first, read in pages of f.Limit. It ends after an error.
func (c *Client) AllAudit(ctx context.Context, f AuditFilter) iter.Seq2[AuditEntry, error] {
	return pages[AuditEntry](ctx, c, call{path: Prefix + "/audit", query: f.query()})
}

// Audit reads the newest entries that f chooses, at most f.Limit of them.
func (c *Client) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	return get[[]AuditEntry](ctx, c, call{method: http.MethodGet, path: Prefix + "/audit", query: f.query()})
}
