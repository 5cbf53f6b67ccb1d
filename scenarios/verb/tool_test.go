package verb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/dpesim/dpesim/scenarios/verb"
)

func TestMain(m *testing.M) {
	if code, ok := verb.Dispatch(os.Args); ok {
		os.Exit(code)
	}
	m.Run()
}

// call runs v in dir with an environment of its own, HOME included, and gives what it printed.
func call(t *testing.T, v verb.Verb, c verb.Call) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c.Env = append([]string{"HOME=" + t.TempDir()}, c.Env...)
	err = v(t.Context(), c)
	return out.String(), errs.String(), err
}

// chart writes a small chart with a values file next to it and gives the directory of both.
func chart(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"small/Chart.yaml": "apiVersion: v2\nname: small\nversion: 1.2.3\n",
		"small/templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n" +
			"  namespace: {{ .Release.Namespace }}\ndata:\n  word: {{ .Values.word }}\n",
		"conf/values.yaml": "word: from-file\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestHelmReadsFilesRelativeToItsDirectory(t *testing.T) {
	t.Parallel()
	out, errs, err := call(t, verb.Helm, verb.Call{
		Dir: chart(t), Args: []string{"template", "rel", "./small", "-f", "conf/values.yaml", "-n", "shop"},
	})
	if err != nil || !strings.Contains(out, "word: from-file") || !strings.Contains(out, "namespace: shop") {
		t.Errorf("got %v\n%s%s", err, out, errs)
	}
}

func TestHelmCallsDoNotLeakIntoEachOther(t *testing.T) {
	t.Parallel()
	dir := chart(t)
	for i := range 4 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			c := verb.Call{Dir: dir, Args: []string{"template", "rel", "small", "--set", "word=x"}}
			want := "namespace: default"
			switch i {
			case 1:
				c.Args, want = append(c.Args, "--namespace", "flag"), "namespace: flag"
			case 2:
				c.Env, want = []string{"HELM_NAMESPACE=env"}, "namespace: env"
			case 3:
				c.Args, want = []string{"template", "rel", "small", "-f", "conf/values.yaml"}, "word: from-file"
			}
			out, errs, err := call(t, verb.Helm, c)
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("got %v, want %q in\n%s%s", err, want, out, errs)
			}
		})
	}
}

func TestToolsSayTheirVersions(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]verb.Verb{"v4.": verb.Helm, "Client Version:": verb.Kubectl} {
		args := []string{"version"}
		if want != "v4." {
			args = append(args, "--client")
		}
		out, errs, err := call(t, v, verb.Call{Args: args})
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("got %v, want %q in\n%s%s", err, want, out, errs)
		}
	}
}

func TestAFailingToolGivesExitCodeAndText(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		v    verb.Verb
		args []string
	}{
		`unknown command "instal" for "helm"`:   {verb.Helm, []string{"instal"}},
		`got: nosuch`:                           {verb.Helm, []string{"template", "rel", "nosuch"}},
		`unknown command "frobnicate"`:          {verb.Kubectl, []string{"frobnicate"}},
		`the path "nosuch.yaml" does not exist`: {verb.Kubectl, []string{"apply", "-f", "nosuch.yaml"}},
	} {
		out, errs, err := call(t, c.v, verb.Call{Args: c.args})
		if verb.ExitCode(err) != 1 || !strings.Contains(errs, want) || out != "" {
			t.Errorf("%q: got %v\n%s%s", want, err, out, errs)
		}
	}
}

// kubeconfig writes one for a server and gives its path.
func kubeconfig(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q}}],
		"users": [{"name": "u", "user": {"token": "wrong"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}`, url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestToolsUseTheKubeconfigOfTheirOwnEnvironment(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	env := []string{"KUBECONFIG=" + kubeconfig(t, s.URL)}
	_, errs, err := call(t, verb.Kubectl, verb.Call{Args: []string{"get", "pods"}, Env: env})
	if verb.ExitCode(err) != 1 || !strings.Contains(errs, "must be logged in to the server") {
		t.Errorf("kubectl: got %v, %s", err, errs)
	}
	_, errs, err = call(t, verb.Helm, verb.Call{Args: []string{"list"}, Env: env})
	if verb.ExitCode(err) != 1 || !strings.Contains(errs, "Unauthorized") && !strings.Contains(errs, "provide credentials") {
		t.Errorf("helm: got %v, %s", err, errs)
	}
}

func TestHelmReadsAPasswordFromStdin(t *testing.T) {
	t.Parallel()
	var user, password string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ok bool
		if user, password, ok = r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	home := t.TempDir()
	_, errs, err := call(t, verb.Helm, verb.Call{
		Args:  []string{"registry", "login", strings.TrimPrefix(s.URL, "http://"), "--plain-http", "-u", "me", "--password-stdin"},
		Stdin: strings.NewReader("open sesame\n"), Env: []string{"HELM_REGISTRY_CONFIG=" + filepath.Join(home, "registry.json")},
	})
	s.Close() // its handlers have ended
	if err != nil || user != "me" || password != "open sesame" {
		t.Errorf("got %v, %q %q\n%s", err, user, password, errs)
	}
	if _, err := os.Stat(filepath.Join(home, "registry.json")); err != nil {
		t.Error(err)
	}
}

func TestCraneCopiesFromOneRegistryToAnother(t *testing.T) {
	t.Parallel()
	var hosts [2]string
	for i := range hosts {
		server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		t.Cleanup(server.Close)
		hosts[i] = strings.TrimPrefix(server.URL, "http://")
	}
	reference := func(host string) name.Reference {
		r, err := name.ParseReference(host + "/images/dpe:15.3.0")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	image, err := random.Image(1024, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(hosts[0]), image); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := call(t, verb.Crane, verb.Call{Args: []string{"copy", reference(hosts[0]).String(), reference(hosts[1]).String()}}); err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Head(reference(hosts[1]))
	if err != nil || got.Digest != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	_, errs, err := call(t, verb.Crane, verb.Call{Args: []string{"copy", hosts[0] + "/nosuch:1", hosts[1] + "/nosuch:1"}})
	if verb.ExitCode(err) != 1 || !strings.Contains(errs, "NAME_UNKNOWN") {
		t.Errorf("got %v, %s", err, errs)
	}
}

func TestCancelEndsATool(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel() // the tool is in the middle of a request
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	err := verb.Kubectl(ctx, verb.Call{
		Args: []string{"get", "pods"}, Dir: t.TempDir(),
		Env: []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + kubeconfig(t, s.URL)},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAKilledProgramIsNotAsked(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell on PATH whose programs could be asked")
	}
	for asked, cause := range map[bool]error{false: verb.ErrKilled, true: errors.New("another")} {
		ctx, end := context.WithCancelCause(t.Context())
		read, write := io.Pipe()
		var got []byte
		heard := make(chan error, 1)
		go func() {
			line := make([]byte, len("up\n"))
			_, err := io.ReadFull(read, line)
			end(cause)
			if err == nil {
				got, err = io.ReadAll(read)
			}
			heard <- err
		}()
		err := verb.Program(path, "sh")(ctx, verb.Call{Args: []string{"-c", "trap 'echo asked; exit' INT; echo up; while :; do :; done"}, Stdout: write})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := errors.Join(write.Close(), <-heard); err != nil {
			t.Error(err)
		}
		if (string(got) == "asked\n") != asked {
			t.Errorf("ended by %v, it said %q", cause, got)
		}
	}
}

func TestDispatchLeavesOrdinaryArgumentsAlone(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"dpesim"}, {"dpesim", "helm", "version"}} {
		if _, ok := verb.Dispatch(args); ok {
			t.Errorf("%q was dispatched", args)
		}
	}
	if code, ok := verb.Dispatch([]string{"dpesim", "-dpesim.tool=curl"}); !ok || code != 2 {
		t.Errorf("got %d, %t for a tool that is not there", code, ok)
	}
}

func TestCallGetenvTakesTheLastOfAName(t *testing.T) {
	t.Parallel()
	c := verb.Call{Env: []string{"A=1", "AB=2", "A=3=4"}}
	if c.Getenv("A") != "3=4" || c.Getenv("AB") != "2" || c.Getenv("B") != "" {
		t.Errorf("got %q %q %q", c.Getenv("A"), c.Getenv("AB"), c.Getenv("B"))
	}
}

func BenchmarkToolStart(b *testing.B) {
	for name, v := range map[string]verb.Verb{"helm": verb.Helm, "kubectl": verb.Kubectl} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				if err := v(b.Context(), verb.Call{Args: []string{"version", "--client"}, Dir: dir, Env: []string{"HOME=" + dir}}); err != nil && name == "kubectl" {
					b.Fatal(err)
				}
			}
		})
	}
}
