package objstore

import "net/http"

// ServeHTTP answers one S3 request.
func (s *Server) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if !s.enter() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.inflight.Done()
	w.WriteHeader(http.StatusNotImplemented)
}
