package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// Client calls a portal. It is safe for concurrent use. What the portal refuses comes back as a *[sim.Error] with the
// portal's kind, message and help, inside a *[FieldError] if a field of the request is to blame; a portal that cannot be reached is Unavailable.
type Client struct {
	BaseURL string       // of the portal: "http://127.0.0.1:8080"
	HTTP    *http.Client // nil: [http.DefaultClient]
	Token   sim.Secret   // an API token, or the simulator's own; empty: none
	As      string       // user to act for; only the simulator's own token may; empty: whose the token is
}

// AsHeader names the user that the simulator's own token acts for.
const AsHeader = "Dpesim-As"

// Headers of requests that are to be done once. The client sends a key with every POST, and repeats the request once if the
// connection broke before the answer was there.
const (
	IdempotencyHeader = "Idempotency-Key"
	ReplayedHeader    = "Idempotency-Replayed" // "true" on an answer that was given before
)

// call is one request.
type call struct {
	method, path string
	query        url.Values
	body         any // JSON; nil: none
	accept       string
	ifMatch      string
	lastEventID  string
	also         int    // a status of 300 or more that is an answer all the same; 0: none
	key          string // idempotency key; set by [Client.open]
}

// open sends c and gives the answer, whose status is below 300 and whose body the caller closes.
func (c *Client) open(ctx context.Context, r call) (*http.Response, error) {
	if r.method != http.MethodPost {
		return c.send(ctx, r)
	}
	r.key = rand.Text()
	res, err := c.whole(ctx, r)
	if broken(err) && ctx.Err() == nil {
		res, err = c.whole(ctx, r)
	}
	return res, err
}

// broken tells whether err says that a request may have arrived, and its answer did not.
func broken(err error) bool {
	_, sent := errors.AsType[*brokenError](err)
	return sent
}

// brokenError is a connection that broke after it was made.
type brokenError struct{ error }

// Unwrap gives the cause.
func (e *brokenError) Unwrap() error { return e.error }

// whole is [Client.send] with an answer that has been read.
func (c *Client) whole(ctx context.Context, r call) (*http.Response, error) {
	res, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, c.unreachable(ctx, r.method+" "+r.path, err)
	}
	res.Body = io.NopCloser(bytes.NewReader(b))
	return res, nil
}

// unreachable is the error of a request that got no answer.
func (c *Client) unreachable(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	if e, ok := errors.AsType[*net.OpError](err); !ok || e.Op != "dial" {
		err = &brokenError{err}
	}
	return &sim.Error{
		Op: op, Kind: sim.Unavailable, Msg: "the portal at " + c.BaseURL + " cannot be reached",
		Help: "check that dpesim is up, and the address", Err: err,
	}
}

// send sends c once.
func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	op := r.method + " " + r.path
	var body io.Reader
	if r.body != nil {
		b, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode body of %s: %w", op, err)
		}
		body = bytes.NewReader(b)
	}
	u := strings.TrimSuffix(c.BaseURL, "/") + r.path
	if len(r.query) > 0 {
		u += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u, body)
	if err != nil {
		return nil, &sim.Error{Op: op, Kind: sim.Invalid, Msg: "the portal's address cannot be used", Help: "give it as http://HOST:PORT", Err: err}
	}
	for name, value := range map[string]string{"Accept": r.accept, "If-Match": r.ifMatch, "Last-Event-ID": r.lastEventID, AsHeader: c.As, IdempotencyHeader: r.key} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token.Reveal())
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	res, err := h.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, op, err)
	}
	if res.StatusCode >= http.StatusMultipleChoices && res.StatusCode != r.also {
		defer func() { _ = res.Body.Close() }()
		return nil, readProblem(op, res)
	}
	return res, nil
}

// get sends c and decodes the JSON answer.
func get[T any](ctx context.Context, c *Client, r call) (T, error) {
	var out T
	if r.accept == "" {
		r.accept = "application/json"
	}
	res, err := c.open(ctx, r)
	if err != nil {
		return out, err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("decode the answer to %s %s: %w", r.method, r.path, err)
	}
	return out, nil
}

// text sends c and gives the answer as it is.
func (c *Client) text(ctx context.Context, r call) ([]byte, error) {
	res, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", r.method, r.path, err)
	}
	return b, nil
}

// environmentPath gives the path of an environment, or of something below it.
func environmentPath(env sim.EnvironmentID, below ...string) string {
	var p strings.Builder
	p.WriteString(Prefix + "/environments/" + url.PathEscape(string(env)))
	for _, s := range below {
		p.WriteString("/" + url.PathEscape(s))
	}
	return p.String()
}

// Organisation gives the organisation with its contract, licence and usage.
func (c *Client) Organisation(ctx context.Context) (Organisation, error) {
	return get[Organisation](ctx, c, call{method: http.MethodGet, path: Prefix + "/organisation"})
}

// Environments lists the environments by id.
func (c *Client) Environments(ctx context.Context) ([]Environment, error) {
	return get[[]Environment](ctx, c, call{method: http.MethodGet, path: Prefix + "/environments"})
}

// CreateEnvironment creates an environment. The answer's phase is creating.
func (c *Client) CreateEnvironment(ctx context.Context, s EnvironmentSpec) (Environment, error) {
	return get[Environment](ctx, c, call{method: http.MethodPost, path: Prefix + "/environments", body: s})
}

// Environment gives one environment.
func (c *Client) Environment(ctx context.Context, env sim.EnvironmentID) (Environment, error) {
	return get[Environment](ctx, c, call{method: http.MethodGet, path: environmentPath(env)})
}

// DeleteEnvironment deletes an environment with all its DPEs. The answer's phase is deleting; NotFound follows. It returns
// Conflict if the environment's revision is no longer revision; 0 deletes whatever is there.
func (c *Client) DeleteEnvironment(ctx context.Context, env sim.EnvironmentID, revision int64) (Environment, error) {
	return get[Environment](ctx, c, call{method: http.MethodDelete, path: environmentPath(env), ifMatch: matching(revision)})
}

// UpgradeEnvironment upgrades the platform of an environment to a newer release. It returns Conflict if the environment's
// revision is no longer revision; 0 upgrades whatever is there.
func (c *Client) UpgradeEnvironment(ctx context.Context, env sim.EnvironmentID, r sim.Release, revision int64) (Environment, error) {
	return get[Environment](ctx, c, call{method: http.MethodPost, path: environmentPath(env, "upgrade"), body: Upgrade{Release: r}, ifMatch: matching(revision)})
}

// SetOwner gives an environment another owner, a user of its organisation. It returns Conflict if the environment's revision
// is no longer revision; 0 changes whatever is there.
func (c *Client) SetOwner(ctx context.Context, env sim.EnvironmentID, user string, revision int64) (Environment, error) {
	return get[Environment](ctx, c, call{method: http.MethodPut, path: environmentPath(env, "owner"), body: OwnerChange{Owner: user}, ifMatch: matching(revision)})
}

// matching is the If-Match for a revision; 0: none.
func matching(revision int64) string {
	if revision == 0 {
		return ""
	}
	return ETag(revision)
}

// ObjectStorage gives an operator's credential of an environment's object storage. It holds a secret.
func (c *Client) ObjectStorage(ctx context.Context, env sim.EnvironmentID) (ObjectStorage, error) {
	return get[ObjectStorage](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "object-storage")})
}

// CA gives the certificate authority of an environment's endpoints as PEM.
func (c *Client) CA(ctx context.Context, env sim.EnvironmentID) ([]byte, error) {
	return c.text(ctx, call{method: http.MethodGet, path: environmentPath(env, "ca")})
}

// Credentials lists what is really authorised in an environment's services now.
func (c *Client) Credentials(ctx context.Context, env sim.EnvironmentID) ([]Credential, error) {
	return get[[]Credential](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "credentials")})
}

// DPEs lists an environment's self-managed DPEs by label.
func (c *Client) DPEs(ctx context.Context, env sim.EnvironmentID) ([]DPE, error) {
	return get[[]DPE](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "dpes")})
}

// AddDPE adds a self-managed DPE.
func (c *Client) AddDPE(ctx context.Context, env sim.EnvironmentID, s DPESpec) (DPE, error) {
	return get[DPE](ctx, c, call{method: http.MethodPost, path: environmentPath(env, "dpes"), body: s})
}

// DPE gives one self-managed DPE.
func (c *Client) DPE(ctx context.Context, env sim.EnvironmentID, l sim.Label) (DPE, error) {
	return get[DPE](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "dpes", string(l))})
}

// EditDPE changes drivers and replicas. It returns Conflict if the DPE's revision is no longer revision; 0 edits whatever
// is there.
func (c *Client) EditDPE(ctx context.Context, env sim.EnvironmentID, l sim.Label, e DPEEdit, revision int64) (DPE, error) {
	return get[DPE](ctx, c, call{method: http.MethodPatch, path: environmentPath(env, "dpes", string(l)), body: e, ifMatch: matching(revision)})
}

// RemoveDPE removes a DPE for ever. Nothing reaches the cluster. It returns Conflict if the DPE's revision is no longer
// revision; 0 removes whatever is there.
func (c *Client) RemoveDPE(ctx context.Context, env sim.EnvironmentID, l sim.Label, revision int64) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: environmentPath(env, "dpes", string(l)), ifMatch: matching(revision)})
	return err
}

// Values gives a DPE's values.yaml: the current one if release is empty, else the last one that was generated for that
// release. It holds secrets.
func (c *Client) Values(ctx context.Context, env sim.EnvironmentID, l sim.Label, release sim.Release) ([]byte, error) {
	r := call{method: http.MethodGet, path: environmentPath(env, "dpes", string(l), "values")}
	if release != "" {
		r.query = url.Values{"release": {string(release)}}
	}
	return c.text(ctx, r)
}

// Commands gives a DPE's installation commands.
func (c *Client) Commands(ctx context.Context, env sim.EnvironmentID, l sim.Label) (Commands, error) {
	return get[Commands](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "dpes", string(l), "commands")})
}

// RegistryToken gives a DPE's access token for the artifacts registry.
func (c *Client) RegistryToken(ctx context.Context, env sim.EnvironmentID, l sim.Label) (sim.Secret, error) {
	b, err := c.text(ctx, call{method: http.MethodGet, path: environmentPath(env, "dpes", string(l), "registry-token")})
	return sim.Secret(strings.TrimSpace(string(b))), err
}

// RotateRegistryToken gives a DPE another access token for the artifacts registry; the old one ends.
func (c *Client) RotateRegistryToken(ctx context.Context, env sim.EnvironmentID, l sim.Label) (sim.Secret, error) {
	b, err := c.text(ctx, call{method: http.MethodPost, path: environmentPath(env, "dpes", string(l), "registry-token")})
	return sim.Secret(strings.TrimSpace(string(b))), err
}

// Health tells whether an environment's services answer; none while it is not ready.
func (c *Client) Health(ctx context.Context, env sim.EnvironmentID) ([]Check, error) {
	return get[[]Check](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "health")})
}

// RestartDPM restarts an environment's DPM, as Ataccama does in a maintenance: engines connect again, and jobs stay with them.
// It is for who runs the simulator.
func (c *Client) RestartDPM(ctx context.Context, env sim.EnvironmentID) error {
	_, err := c.text(ctx, call{method: http.MethodPost, path: environmentPath(env, "dpm", "restart")})
	return err
}

// Engines lists the replicas that are connected to an environment's DPM now.
func (c *Client) Engines(ctx context.Context, env sim.EnvironmentID) ([]Engine, error) {
	return get[[]Engine](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "engines")})
}

// Jobs lists the newest jobs of an environment that f chooses, at most f.Limit of them.
func (c *Client) Jobs(ctx context.Context, env sim.EnvironmentID, f JobFilter) ([]Job, error) {
	return get[[]Job](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "jobs"), query: f.query()})
}

// AllJobs gives all jobs of an environment that f chooses, newest first, read in pages of f.Limit. It ends after an error.
func (c *Client) AllJobs(ctx context.Context, env sim.EnvironmentID, f JobFilter) iter.Seq2[Job, error] {
	return pages[Job](ctx, c, call{path: environmentPath(env, "jobs"), query: f.query()})
}

// SubmitJob submits a job.
func (c *Client) SubmitJob(ctx context.Context, env sim.EnvironmentID, s JobSpec) (Job, error) {
	return get[Job](ctx, c, call{method: http.MethodPost, path: environmentPath(env, "jobs"), body: s})
}

// Job gives one job.
func (c *Client) Job(ctx context.Context, env sim.EnvironmentID, id sim.JobID) (Job, error) {
	return get[Job](ctx, c, call{method: http.MethodGet, path: environmentPath(env, "jobs", string(id))})
}

// Releases lists the platform releases of the catalogue, oldest first.
func (c *Client) Releases(ctx context.Context) ([]sim.Release, error) {
	return get[[]sim.Release](ctx, c, call{method: http.MethodGet, path: Prefix + "/releases"})
}

// Drivers lists the drivers that can be chosen.
func (c *Client) Drivers(ctx context.Context) ([]sim.Driver, error) {
	return get[[]sim.Driver](ctx, c, call{method: http.MethodGet, path: Prefix + "/drivers"})
}

// Sizing gives the Service sizing table.
func (c *Client) Sizing(ctx context.Context) ([]TierSizing, error) {
	return get[[]TierSizing](ctx, c, call{method: http.MethodGet, path: Prefix + "/sizing"})
}

// Live returns nil if the portal answers at all.
func (c *Client) Live(ctx context.Context) error {
	_, err := c.text(ctx, call{method: http.MethodGet, path: "/livez"})
	return err
}

// Ready tells whether every part is ready, and how each is. Not being ready is no error.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	return get[Readiness](ctx, c, call{method: http.MethodGet, path: "/readyz", query: url.Values{"verbose": {""}}, also: http.StatusServiceUnavailable})
}
