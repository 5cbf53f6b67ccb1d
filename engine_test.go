package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/dpesim/dpesim/portal/api"
)

// container is the engine as a process: what runs in the image of a real cluster.
type container struct {
	t    *testing.T
	root string // stands for /: what a kubelet mounts
	env  []string
	cmd  *exec.Cmd
	log  lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// contain mounts what the chart renders from p's values of a DPE.
func contain(t *testing.T, p *process, env, label, release string) *container {
	t.Helper()
	c := &container{t: t, root: filepath.Join(p.dir, "root")}
	scratch := filepath.Join(p.dir, "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	c.env = []string{"DPE_REPLICA=" + label + "-0", "DPE_VERSION=" + release, "DPE_SCRATCH=" + scratch, "HTTPS_PROXY=" + p.endpoints().Proxy}
	p.write("values.yaml", p.run("dpe", "values", env, label))
	e := p.endpoints()
	login := p.command("helm", "registry", "login", e.RegistryHost(), "--ca-file", e.CA, "--username", env+"."+label, "--password-stdin")
	login.Stdin = strings.NewReader(p.run("dpe", "token", env, label))
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("log in: %v\n%s", err, out)
	}
	rendered := p.run("helm", "template", label, "oci://"+e.RegistryHost()+"/charts/dpe", "--version", release, "--kube-version", "1.27.0", "--values", "values.yaml", "--ca-file", e.CA)
	for doc := range strings.SplitSeq(rendered, "\n---\n") {
		var o struct {
			Kind string
			Data map[string]string
		}
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		for name, text := range o.Data {
			dir := "config"
			if o.Kind == "Secret" {
				b, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				dir, text = "secret", string(b)
			}
			if o.Kind == "ConfigMap" || strings.HasSuffix(name, ".properties") {
				c.mount("etc/dpe/"+dir+"/"+name, text)
			}
		}
	}
	c.mount("dev/termination-log", "")
	return c
}

func (c *container) mount(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// start starts the engine.
func (c *container) start() {
	c.t.Helper()
	c.cmd = exec.Command("dpesim", "dpe", "run", "--root", c.root, "--listen", "127.0.0.1:0")
	c.cmd.Env, c.cmd.Stderr = c.env, &c.log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
	})
}

var healthPattern = regexp.MustCompile(`health=(\S+)`)

// ready asks the engine until it is ready and gives what `dpe ready` says.
func (c *container) ready() string {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m := healthPattern.FindStringSubmatch(c.log.String()); m != nil {
			if out, err := exec.Command("dpesim", "dpe", "ready", "http://"+m[1]+"/actuator/health/readiness").Output(); err == nil {
				return string(out)
			}
		}
	}
	c.t.Fatalf("the engine is not ready:\n%s", c.log.String())
	return ""
}

// exited waits for the engine's end and gives its exit code.
func (c *container) exited() int {
	c.t.Helper()
	t := time.AfterFunc(time.Minute, func() { _ = c.cmd.Process.Kill() })
	defer t.Stop()
	_ = c.cmd.Wait() // the code says it
	return c.cmd.ProcessState.ExitCode()
}

// tree lists the files below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEngineAsAProcess runs the entrypoint of the image with what the chart delivers: it connects through the proxy, does a
// job, and drains when it is asked to stop. Then it cannot start, for every reason that there is in a configuration.
func TestEngineAsAProcess(t *testing.T) {
	t.Parallel()
	p, _ := start(t, "dpesim")
	p.run("environment", "create", "Acme")
	p.run("dpe", "add", "acme", "Finance")
	const release = "15.3.0"
	c := contain(t, p, "acme", "finance", release)
	mounted := tree(t, p.dir)
	c.start()
	if got, want := c.ready(), "the engine is ready: dpm is UP, objectStorage is UP\n"; got != want {
		t.Errorf("ready says %q, want %q", got, want)
	}
	id := string(decode[api.Job](t, p.run("job", "submit", "acme", "profile", "sample-data/birdstrikes.csv", "-o", "json")).ID)
	p.run("job", "watch", "acme", id)
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := c.exited(); code != 0 || !strings.Contains(c.log.String(), "msg=drained") {
		t.Errorf("exit code %d after a stop:\n%s", code, c.log.String())
	}
	if now := tree(t, p.dir); !slices.Equal(now, mounted) {
		t.Errorf("files before: %q\nafter: %q", mounted, now)
	}

	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(c.root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const config, jwt = "etc/dpe/config/application.properties", "etc/dpe/secret/jwt.properties"
	good := map[string]string{config: read(config), jwt: read(jwt), "etc/dpe/config/ca.pem": read("etc/dpe/config/ca.pem")}
	env := c.env
	for _, bad := range []struct {
		want   string
		change func()
	}{
		{"the property ataccama.dpe.label is missing", func() { c.mount(config, strings.Replace(good[config], "ataccama.dpe.label=finance\n", "", 1)) }},
		{"the property ataccama.dpe.colour is unknown", func() { c.mount(config, good[config]+"ataccama.dpe.colour=red\n") }},
		{"the property ataccama.dpe.slots is malformed", func() { c.mount(config, regexp.MustCompile(`slots=\d+`).ReplaceAllString(good[config], "slots=many")) }},
		{"the URL of DPM must look like https://host or https://host:port", func() { c.mount(config, strings.Replace(good[config], "dpm.url=https:", "dpm.url=http:", 1)) }},
		{"the JWK cannot be read", func() { c.mount(jwt, "ataccama.authentication.internal.jwt.generator.key=c2VjcmV0\n") }},
		{"the CA file /etc/dpe/config/ca.pem holds no certificate", func() { c.mount("etc/dpe/config/ca.pem", "hello") }},
		{"the directory for temporary files cannot be written", func() { c.env = append(slices.Clone(env), "DPE_SCRATCH="+c.root+"/missing") }},
		{"the proxy in HTTPS_PROXY must look like http://host:port", func() { c.env = append(slices.Clone(env), "HTTPS_PROXY=socks5://u:s3cr3t@proxy") }},
		{"the property ataccama.authentication.internal.jwt.generator.key is missing", func() { _ = os.Remove(filepath.Join(c.root, filepath.FromSlash(jwt))) }},
	} {
		for name, text := range good {
			c.mount(name, text)
		}
		c.env, c.log = env, lockedBuffer{}
		bad.change()
		c.mount("dev/termination-log", "")
		c.start()
		code := c.exited()
		lines := strings.Split(strings.TrimSpace(c.log.String()), "\n")
		if code != 1 || len(lines) != 2 || !strings.HasPrefix(lines[0], "Error: the DPE cannot start: ") || !strings.Contains(lines[0], bad.want) ||
			!strings.HasPrefix(lines[1], "  What to do: ") || strings.Contains(c.log.String(), "s3cr3t") || strings.Contains(c.log.String(), "c2VjcmV0") {
			t.Errorf("want %q: exit code %d\n%s", bad.want, code, c.log.String())
		}
		if got := read("dev/termination-log"); !strings.Contains(got, bad.want) || strings.Contains(got, "s3cr3t") {
			t.Errorf("want %q: termination message %q", bad.want, got)
		}
	}
	p.stop()
}
