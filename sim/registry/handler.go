package registry

import (
	"errors"
	"net/http"

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
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0") // older clients take it for the sign of a registry
	err := r.serve(w, req)
	if err == nil {
		return
	}
	p, ok := errors.AsType[*problem](err)
	if !ok {
		r.opt.Log.Error("request failed", "method", req.Method, "path", req.URL.Path, "err", err)
		p = &problem{http.StatusInternalServerError, codeUnknown, "the registry could not do it: see its log"}
	}
	p.refuse(w)
}

func (r *Registry) serve(w http.ResponseWriter, req *http.Request) error {
	user, secret, given := req.BasicAuth()
	token, ok := r.check(user, sim.Secret(secret))
	switch {
	case !ok:
		if given {
			r.tellRefused(req, user)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="`+Realm+`"`)
		return &problem{http.StatusUnauthorized, codeUnauthorized, "authentication required: log in with the access token that the portal shows for the DPE"}
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		return &problem{http.StatusForbidden, codeDenied, "requested access to the resource is denied: an access token may pull only"}
	}
	rt, err := parsePath(req.URL.Path)
	if err != nil {
		return err
	}
	if err := r.opt.Faults.At(req.Context(), faultPull, fault.Scope{Environment: token.Environment, DPE: token.Label}); err != nil {
		r.opt.Log.Info("request failed on purpose", "err", err, "injected", true)
		return &problem{http.StatusServiceUnavailable, codeUnavailable, "the registry cannot answer now: try again later"}
	}
	if rt.resource == resourcePing {
		return answer(w, http.StatusOK, "application/json", struct{}{})
	}
	return r.read(w, req, rt, token)
}
