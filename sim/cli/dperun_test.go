package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDPEReadyPrintsOneLineAndExits(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":"DOWN","components":{"dpm":{"status":"DOWN","details":{"reason":"not tried yet"}}}}`)
			return
		}
		fmt.Fprint(w, `{"status":"UP","components":{"dpm":{"status":"UP"}}}`)
	}))
	t.Cleanup(server.Close)
	w := nowhere(t)
	if r := w.run("dpe", "ready", server.URL+"/up"); r.code != 0 || r.stdout != "the engine is ready: dpm is UP\n" || r.stderr != "" {
		t.Errorf("ready: %+v", r)
	}
	r := w.run("dpe", "ready", server.URL+"/down")
	if want := "Error: the engine is not ready, it says DOWN: dpm is DOWN (not tried yet)\n"; r.code != 1 || r.stdout != "" || !strings.HasPrefix(r.stderr, want) {
		t.Errorf("not ready: %+v, want %q", r, want)
	}
}
