package registry

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

// faultPull is asked before a manifest or a blob is handed out.
const faultPull fault.Point = "registry.pull"

// Realm is what the registry calls itself when it asks for a token.
const Realm = "dpesim registry"

// ServeHTTP answers one request of the OCI distribution protocol.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Date", r.opt.Clock.Now().Format(http.TimeFormat))

	user, secret, given := req.BasicAuth()
	token, ok := r.check(user, sim.Secret(secret))
	switch {
	case !ok:
		if given {
			r.tellRefused(req, user)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="`+Realm+`"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required: log in with the access token that the portal shows for the DPE")
		return
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		refuse(w, http.StatusForbidden, "DENIED", "an access token may pull only")
		return
	}
	if err := r.opt.Faults.At(req.Context(), faultPull, fault.Scope{Environment: token.Environment, DPE: token.Label}); err != nil {
		r.opt.Log.Info("request failed on purpose", "err", err, "injected", true)
		refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "the registry cannot answer now: try again later")
		return
	}
	rec := &recorder{ResponseWriter: w}
	r.oci.ServeHTTP(rec, req)
	if rec.status == http.StatusOK && req.Method == http.MethodGet {
		r.tellPulled(req, token)
	}
}

// tellPulled tells of a chart's archive that was handed out; manifests and configurations lead up to it.
func (r *Registry) tellPulled(req *http.Request, t Token) {
	_, digest, isBlob := strings.Cut(req.URL.Path, "/blobs/")
	if !isBlob {
		return
	}
	r.mu.Lock()
	c := r.charts[digest]
	r.mu.Unlock()
	if c == nil {
		return
	}
	r.opt.Bus.Publish(req.Context(), sim.Event{
		Part: sim.PartRegistry, Environment: t.Environment, DPE: t.Label, What: "chart pulled",
		Detail: map[string]string{"repository": c.repository, "version": c.version, "digest": digest, "user": t.User},
	})
}

// Limits of "login refused" events: helm and kubelets retry, and must not push everything else out of the event ring.
const (
	refusalWindow = 10 * time.Second // product time in which a user's refusals are told once
	maxRefused    = 256              // users remembered
	maxUser       = 128              // characters of a name that nobody vouches for
)

func (r *Registry) tellRefused(req *http.Request, user string) {
	user = strings.ToValidUTF8(user[:min(len(user), maxUser)], "")
	now := r.opt.Clock.Now()
	r.mu.Lock()
	last, known := r.refused[user]
	if d := now.Sub(last); known && d >= 0 && d < refusalWindow {
		r.mu.Unlock()
		return
	}
	if len(r.refused) >= maxRefused {
		clear(r.refused) // names are the client's to choose: forget rather than grow
	}
	r.refused[user] = now
	t, exists := r.tokens[user]
	r.mu.Unlock()
	reason := "unknown user"
	if exists {
		reason = "wrong token"
	}
	r.opt.Bus.Publish(req.Context(), sim.Event{
		Part: sim.PartRegistry, Environment: t.Environment, DPE: t.Label, What: "login refused",
		Detail: map[string]string{"user": user, "reason": reason},
	})
}

// refuse answers with the error document of the OCI distribution specification 1.1, "Error codes".
func refuse(w http.ResponseWriter, status int, code, message string) {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]problem{"errors": {{code, message}}}) // the client has gone if this fails
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write is an implicit 200.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}
