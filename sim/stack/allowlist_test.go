package stack_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// TestAllowlistReachesTheEdge: "It is possible to utilize IP allowlisting to restrict the connectivity to the environment
// only from certain addresses." (seed, "Additional considerations") At once, also for what is open; and after a restart
// before anything is served.
func TestAllowlistReachesTheEdge(t *testing.T) { //nolint:tparallel // the runs follow one another
	t.Parallel()
	const host = "minio-acme.dpesim.localhost"
	dir := t.TempDir()
	ranges := []api.AllowlistEntry{{CIDR: "192.0.2.0/24"}}
	t.Run("on", func(t *testing.T) {
		s := simtest.StartConfig(t, kept(t, dir))
		s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
		s.Environment(t, api.EnvironmentSpec{Name: "Other"})
		ca, err := os.ReadFile(s.Endpoints().CA)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		d := tls.Dialer{Config: &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12}}
		conn, err := d.DialContext(t.Context(), "tcp", s.Endpoints().Edge)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }() // the edge has cut it already
		if _, err := s.API.SetAllowlist(t.Context(), "acme", api.AllowlistEdit{On: true, Entries: ranges}, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("an open connection from elsewhere was not cut")
		}
		if reaches(t, s, host) || !reaches(t, s, "minio-other.dpesim.localhost") {
			t.Error("the allowlist lets in what it should not, or counts for another environment")
		}
		if r, err := s.API.Ready(t.Context()); err != nil || !r.Ready {
			t.Errorf("the cloud itself is shut out: %+v %v", r, err)
		}
		var set, changed sim.Event
		for _, e := range s.Bus().Since(0) {
			switch e.What {
			case "allowlist set":
				set = e
			case "allowlist changed":
				changed = e
			}
		}
		if set.Cause == 0 || set.Cause != changed.Seq {
			t.Errorf("the edge's %+v is not caused by the portal's %+v", set, changed)
		}
	})
	s := simtest.StartConfig(t, kept(t, dir))
	if reaches(t, s, host) {
		t.Error("after a restart everybody is let in")
	}
	if _, err := s.API.SetAllowlist(t.Context(), "acme", api.AllowlistEdit{Entries: ranges}, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "turned off, it lets everybody in", func() bool { return reaches(t, s, host) })
}
