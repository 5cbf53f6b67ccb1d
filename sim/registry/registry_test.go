package registry_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	helm "helm.sh/helm/v4/pkg/registry"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/pki"
	"github.com/dpesim/dpesim/sim/registry"
)

const repository = "charts/dpe"

var token = registry.Token{User: "finance", Secret: "finance-token", Environment: "acme", Label: "finance", Grants: registry.VendorPull()}

type fixture struct {
	*registry.Registry
	clock  *clock.Clock
	bus    *event.Bus
	faults *fault.Set
	ca     *pki.CA
	host   string
	http   *http.Client
}

func start(t *testing.T) *fixture {
	t.Helper()
	c := clock.New()
	f := &fixture{clock: c, bus: event.New(c, 0), faults: fault.New(c, draw.New(1))}
	dir := t.TempDir()
	ca, err := pki.Open(filepath.Join(dir, "ca"), c)
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.Registry, err = registry.Open(t.Context(), registry.Options{
		Dir: filepath.Join(dir, "registry"), Service: "registry.test", Listener: ln, TLS: ca.ServerTLS("localhost"), Clock: c, Bus: f.bus, Faults: f.faults,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.ca = ca
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx) }()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}
	f.http = &http.Client{Transport: tr}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	f.host = "localhost:" + port
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		tr.CloseIdleConnections()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := f.PutToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	return f
}

// archive packages a small chart; salt makes another one of the same version.
func archive(tb testing.TB, version, salt string) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range map[string]string{
		"dpe/Chart.yaml": "apiVersion: v2\nname: dpe\nversion: " + version + "\ndescription: A DPE\nhome: https://dpesim.test\nsources: [https://src.test]\n" +
			"maintainers: [{name: Ada, email: ada@dpesim.test}, {name: Bob}]\nannotations: {salt: \"" + salt + "\", org.opencontainers.image.title: mine}\n",
		"dpe/values.yaml": "replicas: 1\n",
	} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// client gives helm's own registry client, without the user's own credentials.
func (f *fixture) client(t *testing.T, secret string) *helm.Client {
	t.Helper()
	c, err := helm.NewClient(helm.ClientOptHTTPClient(f.http), helm.ClientOptBasicAuth(token.User, secret), helm.ClientOptCredentialsFile(filepath.Join(t.TempDir(), "config.json")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHelmLogsInAndPullsTheChart(t *testing.T) {
	t.Parallel()
	f := start(t)
	chart := archive(t, "15.1.0", "")
	for range 2 { // idempotent
		if err := f.PublishChart(repository, "15.1.0", chart); err != nil {
			t.Fatal(err)
		}
	}
	c := f.client(t, token.Secret.Reveal())
	if err := c.Login(f.host, helm.LoginOptBasicAuth(token.User, token.Secret.Reveal())); err != nil {
		t.Fatalf("login: %v", err)
	}
	got, err := c.Pull(f.host + "/" + repository + ":15.1.0")
	if err != nil {
		t.Fatalf("pull: %v", err)
	}
	if !bytes.Equal(got.Chart.Data, chart) || got.Chart.Meta.Name != "dpe" || got.Chart.Meta.Version != "15.1.0" {
		t.Errorf("pulled %d bytes of %s %s, want the %d that were pushed", len(got.Chart.Data), got.Chart.Meta.Name, got.Chart.Meta.Version, len(chart))
	}
	if err := f.PublishChart(repository, "15.3.0", archive(t, "15.3.0", "")); err != nil {
		t.Fatal(err)
	}
	tags, err := c.Tags(f.host + "/" + repository)
	if err != nil || !slices.Equal(tags, []string{"15.3.0", "15.1.0"}) {
		t.Errorf("tags: %v, %v", tags, err)
	}
	var pulled []sim.Event
	for _, e := range f.bus.Since(0) {
		if e.What == "chart pulled" {
			pulled = append(pulled, e)
		}
	}
	if len(pulled) != 1 || pulled[0].Part != sim.PartRegistry || pulled[0].DPE != "finance" || pulled[0].Environment != "acme" || pulled[0].Detail["version"] != "15.1.0" {
		t.Errorf("got events %+v", pulled)
	}
}

func TestAWrongOrWithdrawnTokenIsRefusedInHelmsWords(t *testing.T) {
	t.Parallel()
	f := start(t)
	if err := f.PublishChart(repository, "15.1.0", archive(t, "15.1.0", "")); err != nil {
		t.Fatal(err)
	}
	ref := f.host + "/" + repository + ":15.1.0"
	err := f.client(t, "wrong").Login(f.host, helm.LoginOptBasicAuth(token.User, "wrong"))
	if err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("login: %v", err)
	}
	_, err = f.client(t, "wrong").Pull(ref)
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "unauthorized") {
		t.Errorf("pull: %v", err)
	}
	var refused []sim.Event
	for _, e := range f.bus.Since(0) {
		if e.What == "login refused" {
			refused = append(refused, e)
		}
		for _, v := range e.Detail {
			if strings.Contains(v, token.Secret.Reveal()) {
				t.Errorf("an event holds a secret: %+v", e)
			}
		}
	}
	if len(refused) != 1 || refused[0].Detail["reason"] != "wrong token" || refused[0].Detail["user"] != token.User {
		t.Errorf("got events %+v, want one for all refusals in a row", refused)
	}
	before := f.bus.Last()
	f.do(t, http.MethodGet, "/v2/", basic(registry.Token{User: token.User, Secret: "wrong"}), "")
	if told := f.bus.Since(before); len(told) != 1 || told[0].What != "login refused" {
		t.Errorf("got events %+v, want one for another program that tries as the same user", told)
	}
	if _, err := f.client(t, token.Secret.Reveal()).Pull(ref); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteToken(t.Context(), token.User); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client(t, token.Secret.Reveal()).Pull(ref); err == nil {
		t.Error("a withdrawn token still pulls")
	}
	all, err := f.Tokens(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("tokens: %+v, %v", all, err)
	}
}

func TestTokensPullOnly(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := f.client(t, token.Secret.Reveal())
	_, err := c.Push(archive(t, "15.1.0", ""), f.host+"/"+repository+":15.1.0")
	if err == nil || !strings.Contains(err.Error(), "403") || !strings.Contains(err.Error(), "denied") {
		t.Errorf("push: %v", err)
	}
	for _, x := range []struct {
		method, path string
		auth         bool
		status       int
		code         string
	}{
		{http.MethodGet, "/v2/", false, 401, "UNAUTHORIZED"},
		{http.MethodGet, "/v2/", true, 200, ""},
		{http.MethodDelete, "/v2/" + repository + "/manifests/15.1.0", true, 403, "DENIED"},
		{http.MethodPost, "/v2/" + repository + "/blobs/uploads/", true, 403, "DENIED"},
		{http.MethodGet, "/v2/" + repository + "/manifests/none", true, 404, "NAME_UNKNOWN"},
		{http.MethodGet, "/v2/" + repository + "/blobs/sha256:..", true, 400, "DIGEST_INVALID"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), x.method, "https://"+f.host+x.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.auth {
			req.SetBasicAuth(token.User, token.Secret.Reveal())
		}
		res, err := f.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Errors []struct{ Code, Message string }
		}
		_ = json.NewDecoder(res.Body).Decode(&doc) // a 200 has no document
		_ = res.Body.Close()
		code := ""
		if len(doc.Errors) > 0 {
			code = doc.Errors[0].Code
		}
		if res.StatusCode != x.status || code != x.code {
			t.Errorf("%s %s: got %d %s, want %d %s", x.method, x.path, res.StatusCode, code, x.status, x.code)
		}
		if want := `Bearer realm="https://` + f.host + `/token",service="registry.test"`; (res.Header.Get("WWW-Authenticate") == want) != (x.status == 401) {
			t.Errorf("%s %s: WWW-Authenticate is %q", x.method, x.path, res.Header.Get("WWW-Authenticate"))
		}
	}
}

// TestPushMakesWhatHelmPushMakes pushes the same chart with helm's own client to a registry of its own and compares the
// manifests.
func TestPushMakesWhatHelmPushMakes(t *testing.T) {
	t.Parallel()
	f := start(t)
	chart := archive(t, "15.1.0", "x")
	if err := f.PublishChart(repository, "15.1.0", chart); err != nil {
		t.Fatal(err)
	}
	other := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer other.Close()
	host := strings.TrimPrefix(other.URL, "http://")
	c, err := helm.NewClient(helm.ClientOptHTTPClient(other.Client()), helm.ClientOptPlainHTTP(), helm.ClientOptCredentialsFile(filepath.Join(t.TempDir(), "config.json")))
	if err != nil {
		t.Fatal(err)
	}
	created := f.clock.Now().Format(time.RFC3339)
	if _, err := c.Push(chart, host+"/"+repository+":15.1.0", helm.PushOptCreationTime(created)); err != nil {
		t.Fatal(err)
	}
	ours, theirs := manifest(t, f.http, "https://"+f.host), manifest(t, other.Client(), other.URL)
	ours["annotations"].(map[string]any)["org.opencontainers.image.created"] = created
	if d := cmp.Diff(theirs, ours); d != "" {
		t.Errorf("the manifests differ (- helm, + ours):\n%s", d)
	}
}

func manifest(t *testing.T, c *http.Client, url string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v2/"+repository+"/manifests/15.1.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(token.User, token.Secret.Reveal())
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/vnd.oci.image.manifest.v1+json" {
		t.Errorf("manifest: %d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPushRefusesWhatIsNotThatChart(t *testing.T) {
	t.Parallel()
	f := start(t)
	good := archive(t, "15.1.0", "")
	for _, x := range []struct {
		repository, version string
		chart               []byte
	}{{repository, "15.3.0", good}, {"charts/other", "15.1.0", good}, {"Charts/dpe", "15.1.0", good}, {repository, "15.1.0", []byte("no chart")}} {
		if err := f.PublishChart(x.repository, x.version, x.chart); sim.KindOf(err) != sim.Invalid {
			t.Errorf("%s %s: got %v, want Invalid", x.repository, x.version, err)
		}
	}
	for _, x := range []registry.Token{{User: "", Secret: "s"}, {User: "a:b", Secret: "s"}, {User: "a"}} {
		if err := f.PutToken(t.Context(), x); sim.KindOf(err) != sim.Invalid {
			t.Errorf("%+v: got %v, want Invalid", x, err)
		}
	}
}

func TestAnotherArchiveTakesOverTheTag(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, salt := range []string{"one", "two"} {
		if err := f.PublishChart(repository, "15.1.0", archive(t, "15.1.0", salt)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.client(t, token.Secret.Reveal()).Pull(f.host + "/" + repository + ":15.1.0")
	if err != nil || got.Chart.Meta.Annotations["salt"] != "two" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnArmedFaultLooksLikeAnOutage(t *testing.T) {
	t.Parallel()
	f := start(t)
	if err := f.PublishChart(repository, "15.1.0", archive(t, "15.1.0", "")); err != nil {
		t.Fatal(err)
	}
	err := f.faults.Arm(fault.Fault{Name: "down", Point: "registry.pull", Match: fault.Scope{DPE: "finance"}, Err: sim.Errorf(sim.Unavailable, "down")})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+f.host+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(token.User, token.Secret.Reveal())
	res, err := f.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d", res.StatusCode)
	}
}
