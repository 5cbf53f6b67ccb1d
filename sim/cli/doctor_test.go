package cli_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/doctor"
	"github.com/dpesim/dpesim/sim/simtest"
)

// patient is a world in which nothing is on the PATH but what a test puts there.
func patient(t *testing.T) world {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts")
	}
	w := nowhere(t)
	w.env["PATH"], w.env["HOME"] = filepath.Join(w.dir, "bin"), w.dir
	if err := os.Mkdir(w.env["PATH"], 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

// program puts a shell script on the PATH.
func (w world) program(name, script string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.env["PATH"], name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		w.t.Fatal(err)
	}
}

// docker puts a docker on the PATH whose engine says info, and that has the image of kind's node.
func (w world) docker(info string) {
	w.program("docker", `case "$1" in
-v) echo "Docker version 28.2.2, build e6534b4" ;;
info) echo '`+info+`' ;;
inspect) [ "$3" = node:there ] ;;
esac`)
	w.env["DPESIM_KIND_NODE_IMAGE"] = "node:there"
}

// goodEngine is what an engine says that can run kind.
const goodEngine = `{"ServerVersion": "28.2.2", "NCPU": 12, "MemTotal": 34359738368, "DockerRootDir": "/", "CgroupVersion": "2"}`

// examine runs doctor and gives its rows.
func (w world) examine(code int, args ...string) []doctor.Check {
	w.t.Helper()
	r := w.run(append([]string{"doctor", "-o", "json"}, args...)...)
	if r.code != code || r.stderr != "" {
		w.t.Fatalf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	checks := decode[[]doctor.Check](w.t, r.stdout)
	for _, c := range checks {
		if (c.State == doctor.OK) != (c.Remedy == "") || c.Seen == "" {
			w.t.Errorf("what to do is for what is not ok: %+v", c)
		}
	}
	return checks
}

// expectCheck looks for a row that says what is expected.
func expectCheck(t *testing.T, checks []doctor.Check, want doctor.Check) {
	t.Helper()
	i := slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Check == want.Check && c.Target == want.Target })
	if i < 0 {
		t.Fatalf("no row %s of %s in %+v", want.Check, want.Target, checks)
	}
	if c := checks[i]; c.State != want.State || !strings.Contains(c.Seen, want.Seen) || !strings.Contains(c.Remedy, want.Remedy) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestDoctorFindsAMachineThatHasAll(t *testing.T) {
	t.Parallel()
	w := patient(t)
	w.docker(goodEngine)
	w.program("helm", "echo v3.13.3")
	w.program("kubectl", `echo '{"clientVersion": {"gitVersion": "v1.27.9"}}'`)
	checks := w.examine(0, "--cluster", "kind", "--http", "localhost:0", "--tls", "localhost:0")
	for _, want := range []doctor.Check{
		{Check: "port of the portal", Target: doctor.All, State: doctor.OK, Seen: "free"},
		{Check: "port of the cloud", Target: doctor.All, State: doctor.OK, Seen: "free"},
		{Check: "helm", Target: doctor.All, State: doctor.OK, Seen: "v3.13.3"},
		{Check: "kubectl", Target: doctor.All, State: doctor.OK, Seen: "v1.27.9"},
		{Check: "container engine", Target: doctor.Kind, State: doctor.OK, Seen: "docker 28.2.2"},
		{Check: "node image", Target: doctor.Kind, State: doctor.OK, Seen: "node:there is there"},
		{Check: "cgroups", Target: doctor.Kind, State: doctor.OK, Seen: "2"},
		{Check: "CPUs", Target: doctor.Kind, State: doctor.OK, Seen: "12"},
		{Check: "memory", Target: doctor.Kind, State: doctor.OK, Seen: "32.0 GiB: room for 15 of tier S, or 10 of tier M, or 6 of tier L"},
	} {
		expectCheck(t, checks, want)
	}
	if slices.ContainsFunc(checks, func(c doctor.Check) bool { return c.Target == doctor.InProcess || c.Target == doctor.Kubeconfig }) {
		t.Errorf("only kind was asked for: %+v", checks)
	}
}

func TestDoctorFindsWhatIsNotAsItShouldBe(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	engine := func(change ...string) func(world) {
		return func(w world) { w.docker(strings.NewReplacer(change...).Replace(goodEngine)) }
	}
	script := func(name, text string) func(world) { return func(w world) { w.program(name, text) } }
	for name, tc := range map[string]struct {
		there func(world)
		args  []string
		code  int
		want  doctor.Check
	}{
		"a taken port": {
			args: []string{"--http", taken.Addr().String()},
			want: doctor.Check{Check: "port of the portal", Target: doctor.All, State: doctor.Warning, Seen: "is taken", Remedy: "--http 127.0.0.1:0"},
		},
		"another taken port": {
			args: []string{"--tls", taken.Addr().String()},
			want: doctor.Check{Check: "port of the cloud", Target: doctor.All, State: doctor.Warning, Seen: "is taken", Remedy: "--tls 127.0.0.1:0"},
		},
		"a name that leads nowhere": {
			args: []string{"--domain", "dpesim.invalid"},
			want: doctor.Check{Check: "names", Target: doctor.All, State: doctor.Warning, Seen: "portal.dpesim.invalid is not known", Remedy: "hosts file"},
		},
		"an old helm": {
			there: script("helm", "echo v3.12.0"),
			want:  doctor.Check{Check: "helm", Target: doctor.All, State: doctor.Warning, Seen: "v3.12.0 is too old: the product asks for Helm 3.13.x", Remedy: "'dpesim helm'"},
		},
		"a helm that fails": {
			there: script("helm", "echo before; echo 'plugin broken' >&2; exit 1"),
			want:  doctor.Check{Check: "helm", Target: doctor.All, State: doctor.Warning, Seen: "plugin broken", Remedy: "install another"},
		},
		"another program of the name": {
			there: script("helm", "echo the editor"),
			want:  doctor.Check{Check: "helm", Target: doctor.All, State: doctor.Warning, Seen: "does not tell its version", Remedy: "install another"},
		},
		"no helm": {
			want: doctor.Check{Check: "helm", Target: doctor.All, State: doctor.OK, Seen: "not needed"},
		},
		"an old kubectl": {
			there: script("kubectl", `echo '{"clientVersion": {"gitVersion": "v1.19.0"}}'`),
			want:  doctor.Check{Check: "kubectl", Target: doctor.All, State: doctor.Warning, Seen: "v1.19.0 is too old", Remedy: "'dpesim kubectl'"},
		},
		"no container engine": {
			args: []string{"--cluster", "kind"}, code: 4,
			want: doctor.Check{Check: "container engine", Target: doctor.Kind, State: doctor.Missing, Seen: "neither docker", Remedy: "--cluster inprocess"},
		},
		"an engine that is not started": {
			there: script("docker", `[ "$1" = -v ] && { echo Docker version 28; exit; }; echo "Cannot connect to the Docker daemon at $DOCKER_HOST. Is the docker daemon running?" >&2; exit 1`),
			args:  []string{"--cluster", "kind"}, code: 4,
			want: doctor.Check{Check: "container engine", Target: doctor.Kind, State: doctor.Missing, Seen: "Cannot connect to the Docker daemon at tcp://127.0.0.1:1", Remedy: "start"},
		},
		"an old client of an engine that is not started": {
			there: engine(`"28.2.2"`, `"", "ServerErrors": ["Cannot connect to the Docker daemon"]`),
			args:  []string{"--cluster", "kind"}, code: 4,
			want: doctor.Check{Check: "container engine", Target: doctor.Kind, State: doctor.Missing, Seen: "Cannot connect", Remedy: "start"},
		},
		"an engine that one may not use": {
			there: script("docker", `[ "$1" = -v ] && { echo Docker version 28; exit; }; echo "permission denied while trying to connect to the docker API" >&2; exit 1`),
			args:  []string{"--cluster", "kind"}, code: 4,
			want: doctor.Check{Check: "container engine", Target: doctor.Kind, State: doctor.Missing, Seen: "permission denied", Remedy: "group docker"},
		},
		"podman in docker's clothes": {
			there: func(w world) {
				w.program("docker", "echo podman version 5.0.0")
				w.program("podman", `[ "$1" = -v ] && { echo podman version 5.0.0; exit; }
echo '{"version": {"Version": "5.0.0"}, "host": {"cpus": 4, "memTotal": 17179869184, "cgroupVersion": "v2"}, "store": {"graphRoot": "/"}}'`)
			},
			args: []string{"--cluster", "kind"},
			want: doctor.Check{Check: "container engine", Target: doctor.Kind, State: doctor.OK, Seen: "podman 5.0.0 answers"},
		},
		"a node image that must be pulled": {
			there: engine(), args: []string{"--cluster", "kind", "--kind-node-image", "node:elsewhere"},
			want: doctor.Check{Check: "node image", Target: doctor.Kind, State: doctor.Warning, Seen: "node:elsewhere is not there", Remedy: "docker pull node:elsewhere"},
		},
		"an old way to limit containers": {
			there: engine(`"CgroupVersion": "2"`, `"CgroupVersion": "1"`), args: []string{"--cluster", "kind"},
			want: doctor.Check{Check: "cgroups", Target: doctor.Kind, State: doctor.Warning, Seen: "1", Remedy: "cgroup v2"},
		},
		"one CPU": {
			there: engine(`12,`, `1,`), args: []string{"--cluster", "kind"},
			want: doctor.Check{Check: "CPUs", Target: doctor.Kind, State: doctor.Warning, Seen: "1", Remedy: "two CPUs"},
		},
		"few CPUs": {
			there: engine(`12,`, `4,`), args: []string{"--cluster", "kind"},
			want: doctor.Check{Check: "CPUs", Target: doctor.Kind, State: doctor.OK, Seen: "less than 9"},
		},
		"little memory": {
			there: engine(`34359738368`, `4294967296`), args: []string{"--cluster", "kind"},
			want: doctor.Check{Check: "memory", Target: doctor.Kind, State: doctor.Warning, Seen: "4.0 GiB: room for 1 of tier S, or 1 of tier M, or 0 of tier L", Remedy: "4.9 GiB"},
		},
		"too little memory": {
			there: engine(`34359738368`, `1073741824`), args: []string{"--cluster", "kind"}, code: 4,
			want: doctor.Check{Check: "memory", Target: doctor.Kind, State: doctor.Missing, Seen: "1.0 GiB", Remedy: "4.9 GiB"},
		},
		"a disk of a virtual machine": {
			there: engine(`"/"`, `"/nowhere/to/be/seen"`), args: []string{"--cluster", "kind"},
			want: doctor.Check{Check: "disk", Target: doctor.Kind, State: doctor.Warning, Seen: "virtual machine", Remedy: "docker system df"},
		},
		"no kubeconfig": {
			args: []string{"--cluster", "kubeconfig"}, code: 4,
			want: doctor.Check{Check: "kubeconfig", Target: doctor.Kubeconfig, State: doctor.Missing, Seen: "there is none", Remedy: "KUBECONFIG"},
		},
		"a kubeconfig that is none": {
			there: func(w world) { w.kubeconfig("no: kubeconfig\n- at all") }, args: []string{"--cluster", "kubeconfig"}, code: 4,
			want: doctor.Check{Check: "kubeconfig", Target: doctor.Kubeconfig, State: doctor.Missing, Seen: "cannot be used", Remedy: "get-contexts"},
		},
		"a context that is not there": {
			there: func(w world) { w.kubeconfig(kubeconfigOf("https://127.0.0.1:1")) }, args: []string{"--cluster", "kubeconfig:other"}, code: 4,
			want: doctor.Check{Check: "kubeconfig", Target: doctor.Kubeconfig, State: doctor.Missing, Seen: `context "other" does not exist`, Remedy: "kubeconfig:CONTEXT"},
		},
		"a cluster that is off": {
			there: func(w world) { w.kubeconfig(kubeconfigOf("https://127.0.0.1:1")) }, args: []string{"--cluster", "kubeconfig:mine"}, code: 4,
			want: doctor.Check{Check: "API server", Target: doctor.Kubeconfig, State: doctor.Missing, Seen: "connection refused", Remedy: "VPN"},
		},
		"an old cluster": {
			there: func(w world) {
				old := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"gitVersion": "v1.26.1"}`)) }))
				w.t.Cleanup(old.Close)
				w.kubeconfig(kubeconfigOf(old.URL))
			},
			args: []string{"--cluster", "kubeconfig"}, code: 4,
			want: doctor.Check{Check: "API server", Target: doctor.Kubeconfig, State: doctor.Missing, Seen: "v1.26.1 is too old", Remedy: "newer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := patient(t)
			w.env["DOCKER_HOST"] = "tcp://127.0.0.1:1"
			if tc.there != nil {
				tc.there(w)
			}
			expectCheck(t, w.examine(tc.code, tc.args...), tc.want)
		})
	}
}

// kubeconfig writes the person's kubeconfig.
func (w world) kubeconfig(text string) {
	w.t.Helper()
	w.env["KUBECONFIG"] = "kubeconfig"
	if err := os.WriteFile(filepath.Join(w.dir, "kubeconfig"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func kubeconfigOf(server string) string {
	return `{"apiVersion": "v1", "kind": "Config", "current-context": "mine",
"clusters": [{"name": "it", "cluster": {"server": "` + server + `"}}], "contexts": [{"name": "mine", "context": {"cluster": "it"}}]}`
}

// A machine without anything is enough for the cluster in the process, and the table says the same as JSON, with what to do.
func TestDoctorIsForPeopleToo(t *testing.T) {
	t.Parallel()
	w := patient(t)
	r := w.run("doctor")
	if r.code != 0 {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, says := range []string{"CHECK ", "container engine ", "missing ", "-> install Docker and start it", "inprocess ", "not on the PATH, and not needed"} {
		if !strings.Contains(r.stdout, says) {
			t.Errorf("the table does not say %q:\n%s", says, r.stdout)
		}
	}
	w.fails(2, []string{`no cluster "moon"`, "inprocess, kind"}, "doctor", "--cluster", "moon")
}

// The API server of a simulator answers as any other.
func TestDoctorAsksTheAPIServer(t *testing.T) {
	t.Parallel()
	w := patient(t)
	w.env["KUBECONFIG"] = simtest.Start(t).Endpoints().Kubeconfig
	checks := w.examine(0, "--cluster", "kubeconfig")
	expectCheck(t, checks, doctor.Check{Check: "kubeconfig", Target: doctor.Kubeconfig, State: doctor.OK, Seen: "https://"})
	expectCheck(t, checks, doctor.Check{Check: "API server", Target: doctor.Kubeconfig, State: doctor.OK, Seen: "v1."})
}
