package registry

import (
	"net/http"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	helmregistry "helm.sh/helm/v4/pkg/registry"

	"github.com/dpesim/dpesim/sim"
)

// tellPulled tells of what a client came for: a chart when its archive was handed out, an image when the manifest of a
// platform was (its layers are often there already). What else is read leads up to it.
func (r *Registry) tellPulled(req *http.Request, rt route, c Content, t Token) {
	if req.Method != http.MethodGet || req.Header.Get("Range") != "" || !isVendor(rt.repository) {
		return
	}
	var what string
	switch {
	case rt.resource == resourceBlob && c.MediaType == helmregistry.ChartLayerMediaType:
		what = "chart pulled"
	case rt.resource == resourceManifest && c.MediaType == ocispec.MediaTypeImageManifest && strings.HasPrefix(rt.repository, "images/"):
		what = "image pulled"
	default:
		return
	}
	r.opt.Bus.Publish(req.Context(), sim.Event{
		Part: sim.PartRegistry, Environment: t.Environment, DPE: t.Label, What: what,
		Detail: map[string]string{
			"repository": rt.repository, "version": r.vendor.tag(rt.repository, c.Digest.String()), "digest": c.Digest.String(), "user": t.User,
		},
	})
}

// Limits of "login refused" events: helm and kubelets retry, and must not push everything else out of the event ring.
const (
	refusalWindow = 10 * time.Second // product time in which a user's refusals by the same program are told once
	maxRefused    = 256              // users and programs remembered
	maxUser       = 128              // characters of a name that nobody vouches for
)

// refused is whom a refusal was told of: helm's must not hide the one of a node, which comes for another reason.
type refused struct{ user, agent string }

// tellRefused tells that a login was refused; reason is empty if it is for r to find out.
func (r *Registry) tellRefused(req *http.Request, user, reason string) {
	user = strings.ToValidUTF8(user[:min(len(user), maxUser)], "")
	agent := req.UserAgent()
	who := refused{user, agent[:min(len(agent), maxUser)]}
	now := r.opt.Clock.Now()
	r.mu.Lock()
	last, known := r.refused[who]
	if d := now.Sub(last); known && d >= 0 && d < refusalWindow {
		r.mu.Unlock()
		return
	}
	if len(r.refused) >= maxRefused {
		clear(r.refused) // names are the client's to choose: forget rather than grow
	}
	r.refused[who] = now
	t, exists := r.tokens[user]
	r.mu.Unlock()
	switch {
	case reason != "":
	case exists:
		reason = "wrong token"
	default:
		reason = "unknown user"
	}
	r.opt.Bus.Publish(req.Context(), sim.Event{
		Part: sim.PartRegistry, Environment: t.Environment, DPE: t.Label, What: "login refused",
		Detail: map[string]string{"user": user, "reason": reason},
	})
}
