package stack_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/simtest"
)

// puller is crane's client with a DPE's access token, through the edge.
func puller(t *testing.T, s *simtest.Sim, user, token string) []remote.Option {
	t.Helper()
	pem, err := os.ReadFile(s.Endpoints().CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(tr.CloseIdleConnections)
	return []remote.Option{remote.WithTransport(tr), remote.WithContext(t.Context()), remote.WithAuth(&authn.Basic{Username: user, Password: token})}
}

// TestChartAndImageAreMirrored copies, as crane and oras do, to a registry of the customer's that is not ours.
func TestChartAndImageAreMirrored(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme", Release: "15.3.0"}).ID
	add(t, s.API, env, "Finance")
	eventually(t, s, "the token is known", func() bool { return slices.Equal(kinds(t, s, env, "finance"), everyKind) })
	token, err := s.API.RegistryToken(t.Context(), env, "finance")
	if err != nil {
		t.Fatal(err)
	}
	from := puller(t, s, "acme.finance", token.Reveal())
	mirror := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer mirror.Close()
	source, target := s.Endpoints().RegistryHost(), strings.TrimPrefix(mirror.URL, "http://")
	reference := func(text string) name.Reference {
		r, err := name.ParseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	chart, err := remote.Image(reference(source+"/charts/dpe:15.3.0"), from...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(target+"/mirror/charts/dpe:15.3.0"), chart); err != nil {
		t.Fatal(err)
	}
	image, err := remote.Index(reference(source+"/images/dpe:15.3.0"), from...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(reference(target+"/mirror/images/dpe:15.3.0"), image); err != nil {
		t.Fatal(err)
	}
	for _, x := range []string{"charts/dpe:15.3.0", "images/dpe:15.3.0"} {
		want, err := remote.Head(reference(source+"/"+x), from...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Head(reference(target + "/mirror/" + x))
		if err != nil || got.Digest != want.Digest {
			t.Errorf("%s: the mirror has %v, %v, want %v", x, got, err, want.Digest)
		}
	}
	// Nobody pushes to the vendor's repositories.
	err = remote.Write(reference(source+"/charts/dpe:99.0.0"), chart, from...)
	if err == nil || !strings.Contains(err.Error(), "DENIED") {
		t.Errorf("push: %v", err)
	}
	told := map[string]bool{}
	for _, e := range s.Bus().Since(0) {
		told[e.What] = true
	}
	if !told["chart pulled"] || !told["image pulled"] {
		t.Errorf("the timeline does not tell of the pulls: %v", told)
	}
}

func TestARotatedTokenPullsNoMore(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme", Release: "15.3.0"}).ID
	d := add(t, s.API, env, "Finance")
	eventually(t, s, "the token is known", func() bool { return slices.Equal(kinds(t, s, env, d.Label), everyKind) })
	old, err := s.API.RegistryToken(t.Context(), env, d.Label)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(s.Endpoints().RegistryHost() + "/charts/dpe:15.3.0")
	if err != nil {
		t.Fatal(err)
	}
	pull := func(token string) error {
		_, err := remote.Get(ref, puller(t, s, "acme.finance", token)...)
		return err
	}
	if err := pull(old.Reveal()); err != nil {
		t.Fatal(err)
	}
	token, err := s.API.RotateRegistryToken(t.Context(), env, d.Label)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "the new token pulls", func() bool { return pull(token.Reveal()) == nil })
	if err := pull(old.Reveal()); err == nil || !strings.Contains(err.Error(), "UNAUTHORIZED") {
		t.Errorf("the old token: %v", err)
	}
}
