package registry

import (
	"errors"
	"net/http"

	"github.com/dpesim/dpesim/sim/fault"
)

// FaultPull is a point at which the registry can be made to fail: it is asked before anything is handed out.
const FaultPull fault.Point = "registry.pull"

// ServeHTTP answers one request of the OCI distribution protocol, or of the token endpoint.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Date", r.opt.Clock.Now().Format(http.TimeFormat))
	h.Set("Docker-Distribution-Api-Version", "registry/2.0") // older clients take it for the sign of a registry
	serve := r.serve
	if req.URL.Path == tokenPath {
		serve = r.serveToken
	}
	err := serve(w, req)
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
	rt, wrong := parsePath(req.URL.Path)
	var need []scope
	if wrong == nil {
		need = needs(req, rt)
	}
	c, err := r.authenticate(req)
	if err == nil {
		err = authorise(c, need)
	}
	if p, ok := errors.AsType[*problem](err); ok && p.status == http.StatusUnauthorized {
		r.challenge(w, req, need, err)
	}
	if err := errors.Join(err, wrong); err != nil { // who is nobody learns nothing about paths
		return err
	}
	if err := r.opt.Faults.At(req.Context(), FaultPull, fault.Scope{Environment: c.Environment, DPE: c.Label}); err != nil {
		r.opt.Log.Info("request failed on purpose", "err", err, "injected", true)
		return &problem{http.StatusServiceUnavailable, codeUnavailable, "the registry cannot answer now: try again later"}
	}
	switch {
	case rt.resource == resourcePing:
		return answer(w, "application/json", struct{}{})
	case rt.resource == resourceUpload:
		return r.serveUpload(w, req, rt)
	case rt.resource == resourceUploads && req.Method == http.MethodPost:
		return r.beginUpload(w, req, rt, c)
	case req.Method == http.MethodGet, req.Method == http.MethodHead:
		return r.read(w, req, rt, c.Token)
	case rt.resource == resourceManifest && req.Method == http.MethodPut:
		return r.putManifest(w, req, rt)
	case req.Method == http.MethodDelete:
		return r.remove(w, req, rt)
	}
	return errMethod
}

// remove handles DELETE of a manifest, a tag or a blob.
func (r *Registry) remove(w http.ResponseWriter, req *http.Request, rt route) error {
	var err error
	switch rt.resource {
	case resourceManifest:
		err = unknown(r.kept.DeleteManifest(req.Context(), rt.repository, rt.reference), errManifestUnknown)
	case resourceBlob:
		err = unknown(r.kept.DeleteBlob(req.Context(), rt.repository, rt.reference), errBlobUnknown)
	case resourcePing, resourceTags, resourceReferrers, resourceUploads, resourceUpload:
		err = errMethod
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
