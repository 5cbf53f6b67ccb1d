package api

import (
	"net/http"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"github.com/dpesim/dpesim/sim/clock"
)

// prepared puts into each request's context what the endpoints look for there: what is asked for, when, and where
// warnings go. (The library's own filters do so too, but bring in a file watcher and half of a real server's set-up.)
func prepared(h http.Handler, c *clock.Clock) http.Handler {
	resolver := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := resolver.NewRequestInfo(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx := request.WithRequestInfo(audit.WithAuditContext(r.Context()), info)
		ctx = request.WithReceivedTimestamp(ctx, c.Now())
		ctx = warning.WithWarningRecorder(ctx, &warnings{header: w.Header()})
		w.Header().Set("Cache-Control", "no-cache, private") // answers are for whoever showed the token
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// maxWarnings is how many warnings one answer carries at most; kube-apiserver bounds their length instead.
const maxWarnings = 16

// warnings adds warnings to an answer's header, each once.
type warnings struct {
	mu     sync.Mutex
	header http.Header
	seen   []string
}

// AddWarning adds one. A text that cannot stand in a header is left out.
func (w *warnings) AddWarning(agent, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const miscellaneous = 299 // RFC 7234, 5.5
	line, err := net.NewWarningHeader(miscellaneous, agent, text)
	if err != nil || len(w.seen) >= maxWarnings {
		return
	}
	if slices.Contains(w.seen, text) {
		return
	}
	w.seen = append(w.seen, text)
	w.header.Add("Warning", line)
}
