package stack_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/room"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/simtest"
)

// eventually looks now, after each event and a few times a second until holds does, for half a minute at most. Not
// everything that the reconciler does is told.
func eventually(t *testing.T, s *simtest.Sim, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	events := s.Bus().Subscribe(s.Bus().Last())
	for !holds() {
		again, enough := context.WithTimeout(ctx, 100*time.Millisecond)
		_, err := events.Next(again)
		enough()
		if err != nil && ctx.Err() != nil {
			t.Fatalf("%s: not so in half a minute", what)
		}
	}
}

// kinds gives the kinds of the credentials that an environment's services honour for a DPE now, in order.
func kinds(t *testing.T, s *simtest.Sim, env sim.EnvironmentID, label sim.Label) []api.CredentialKind {
	t.Helper()
	all, err := s.API.Credentials(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	var out []api.CredentialKind
	for _, c := range all {
		if c.Label == label {
			out = append(out, c.Kind)
		}
	}
	slices.Sort(out)
	return out
}

// everyKind is what a DPE is authorised with.
var everyKind = slices.Sorted(slices.Values([]api.CredentialKind{api.CredentialDPMKey, api.CredentialRegistry, api.CredentialStorage}))

func add(t *testing.T, c *api.Client, env sim.EnvironmentID, name string) api.DPE {
	t.Helper()
	d, err := c.AddDPE(t.Context(), env, api.DPESpec{Name: name, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRemovalWithdrawsKeyAndCredentials: "This frees up the DPE replicas allocated to the self-managed deployment and makes them
// available for use elsewhere" (seed, "Remove a self-managed DPE")
func TestRemovalWithdrawsKeyAndCredentials(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"}).ID
	add(t, s.API, env, "Stays")
	add(t, s.API, env, "Goes")
	eventually(t, s, "the DPE is authorised", func() bool { return slices.Equal(kinds(t, s, env, "goes"), everyKind) })
	if err := s.API.RemoveDPE(t.Context(), env, "goes", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "nothing is left of the DPE", func() bool { return len(kinds(t, s, env, "goes")) == 0 })
	if diff := cmp.Diff(everyKind, kinds(t, s, env, "stays")); diff != "" {
		t.Errorf("the other DPE's credentials (-want +got):\n%s", diff)
	}
}

// absent is a cloud that is not there: with it, a portal commits what is wanted and nobody makes it so.
type absent struct{ portal.Cloud }

func (absent) Endpoints(sim.EnvironmentID) api.Endpoints { return api.Endpoints{} }

func (absent) Engines(context.Context, sim.EnvironmentID) ([]api.Engine, error) {
	return nil, sim.Errorf(sim.Unavailable, "there is no cloud")
}

func (absent) Connections() []api.Connection { return nil }
func (absent) FaultPoints() []api.FaultPoint { return nil }
func (absent) Addresses() [][2]string        { return nil }
func (absent) Cluster() (room.Cluster, error) {
	return nil, sim.Errorf(sim.Unavailable, "there is no cluster")
}

// portalAlone serves the portal of a data directory without anything behind it, as if the process ended right after each
// commit, and calls act.
func portalAlone(t *testing.T, dir string, act func(*api.Client)) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := portal.Open(t.Context(), portal.Options{
		Path: filepath.Join(dir, "portal.db"), Listener: ln, Token: "t", Cloud: absent{}, Simulator: absent{}, Clock: clock.New(), Draw: draw.New(2), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx) }()
	act(&api.Client{BaseURL: p.URL(), Token: "t"})
	stop()
	if err := errors.Join(<-served, p.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestCrashBetweenCommitAndServicesHealsAtTheNextStart(t *testing.T) { //nolint:tparallel // before the crash comes before the crash
	t.Parallel()
	dir := t.TempDir()
	t.Run("before the crash", func(t *testing.T) {
		s := simtest.StartConfig(t, kept(t, dir))
		for _, name := range []string{"Acme", "Doomed"} {
			s.Environment(t, api.EnvironmentSpec{Name: name})
		}
		add(t, s.API, "acme", "Goes")
		eventually(t, s, "the DPE is authorised", func() bool { return slices.Equal(kinds(t, s, "acme", "goes"), everyKind) })
	})
	portalAlone(t, dir, func(c *api.Client) {
		if err := c.RemoveDPE(t.Context(), "acme", "goes", 0); err != nil {
			t.Fatal(err)
		}
		add(t, c, "acme", "Comes")
		if _, err := c.CreateEnvironment(t.Context(), api.EnvironmentSpec{Name: "Late"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.DeleteEnvironment(t.Context(), "doomed", 0); err != nil {
			t.Fatal(err)
		}
	})
	s := simtest.StartConfig(t, kept(t, dir)) // it is so before anything is served: no waiting
	if got := kinds(t, s, "acme", "goes"); len(got) > 0 {
		t.Errorf("the removed DPE still has %v", got)
	}
	if diff := cmp.Diff(everyKind, kinds(t, s, "acme", "comes")); diff != "" {
		t.Errorf("the added DPE's credentials (-want +got):\n%s", diff)
	}
	if env, err := s.API.Environment(t.Context(), "late"); err != nil || env.Phase != api.PhaseReady {
		t.Errorf("the created environment is %s, %v", env.Phase, err)
	}
	if env, err := s.API.Environment(t.Context(), "doomed"); sim.KindOf(err) != sim.NotFound {
		t.Errorf("the deleted environment is %s, %v", env.Phase, err)
	}
	if _, err := os.Stat(s.Path("env", "doomed")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("files of the deleted environment are left: %v", err)
	}
}

// reaches tells whether host answers behind the edge.
func reaches(t *testing.T, s *simtest.Sim, host string) bool {
	t.Helper()
	ca, err := os.ReadFile(s.Endpoints().CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	d := tls.Dialer{Config: &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(t.Context(), "tcp", s.Endpoints().Edge)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

func TestDeletedEnvironmentLeavesNoFilesAndNoRoutes(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	s.Environment(t, api.EnvironmentSpec{Name: "Other"})
	dpe := add(t, s.API, "acme", "Finance")
	hosts := []string{"dpm-grpc-acme.dpesim.localhost", "minio-acme.dpesim.localhost"}
	for _, h := range hosts {
		if !reaches(t, s, h) {
			t.Errorf("%s is not reached", h)
		}
	}
	if _, err := s.API.DeleteEnvironment(t.Context(), "acme", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "the environment is gone", func() bool {
		_, err := s.API.Environment(t.Context(), "acme")
		return sim.KindOf(err) == sim.NotFound
	})
	if _, err := os.Stat(s.Path("env", "acme")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("files are left: %v", err)
	}
	for _, h := range hosts {
		if reaches(t, s, h) {
			t.Errorf("%s is still reached", h)
		}
	}
	if !reaches(t, s, "minio-other.dpesim.localhost") {
		t.Error("the other environment is gone, too")
	}
	if r, err := s.API.Ready(t.Context()); err != nil || !r.Ready {
		t.Errorf("not ready any more: %+v %v", r, err)
	}
	// The name is free again, and what comes under it is new.
	s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	if again := add(t, s.API, "acme", "Finance"); again.KeyID == dpe.KeyID {
		t.Error("the key of the deleted environment's DPE came back")
	}
}

func TestFailureOfOneEnvironmentKeepsNoOtherWaitingAndIsTriedAgainByTheClock(t *testing.T) {
	t.Parallel()
	c := simtest.Config(t)
	c.Clock, c.Log = clock.NewFrozen(time.Now()), slog.New(slog.DiscardHandler)
	s := simtest.StartConfig(t, c)
	if err := os.MkdirAll(s.Path("env"), 0o700); err != nil {
		t.Fatal(err)
	}
	broken := s.Path("env", "acme") // a file where the directory shall be
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.CreateEnvironment(t.Context(), api.EnvironmentSpec{Name: "Acme"}); err != nil {
		t.Fatal(err)
	}
	s.Environment(t, api.EnvironmentSpec{Name: "Other"}) // sorts behind it
	if env, err := s.API.Environment(t.Context(), "acme"); err != nil || env.Phase != api.PhaseCreating {
		t.Fatalf("the broken environment is %s, %v", env.Phase, err)
	}
	r, err := s.API.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(r.Checks, func(c api.Check) bool { return c.Name == "environments" })
	if r.Ready || at < 0 || r.Checks[at].OK || !strings.Contains(r.Checks[at].Detail, "acme") {
		t.Errorf("readiness does not tell of the broken environment: %+v", r)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if err := c.Clock.Advance(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "the environment is ready", func() bool {
		env, err := s.API.Environment(t.Context(), "acme")
		return err == nil && env.Phase == api.PhaseReady
	})
	if r, err := s.API.Ready(t.Context()); err != nil || !r.Ready {
		t.Errorf("not ready after all: %+v %v", r, err)
	}
}

// A change in one environment writes nothing and says nothing in another.
func TestChangeTouchesItsOwnEnvironmentOnly(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	s.Environment(t, api.EnvironmentSpec{Name: "Busy"})
	s.Environment(t, api.EnvironmentSpec{Name: "Quiet"})
	add(t, s.API, "quiet", "Finance")
	eventually(t, s, "the DPE is authorised", func() bool { return slices.Equal(kinds(t, s, "quiet", "finance"), everyKind) })
	before, last := files(t, s.Path("env", "quiet")), s.Bus().Last()
	for _, name := range []string{"One", "Two", "Three"} {
		d := add(t, s.API, "busy", name)
		eventually(t, s, "the DPE is authorised", func() bool { return slices.Equal(kinds(t, s, "busy", d.Label), everyKind) })
	}
	if err := s.API.RemoveDPE(t.Context(), "busy", "two", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "nothing is left of the DPE", func() bool { return len(kinds(t, s, "busy", "two")) == 0 })
	if diff := cmp.Diff(before, files(t, s.Path("env", "quiet"))); diff != "" {
		t.Errorf("the quiet environment's files changed (-before +after):\n%s", diff)
	}
	for _, e := range s.Bus().Since(last) {
		if e.Environment == "quiet" {
			t.Errorf("an event of the quiet environment: %+v", e)
		}
	}
}

// files gives the sizes and times of the files below dir.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-shm") { // readers lock in shared memory
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		out[path] = fmt.Sprintf("%d bytes, %s", info.Size(), info.ModTime())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
