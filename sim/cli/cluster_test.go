package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/doctor"
)

func TestRemovingAClusterNeedsAContainerEngine(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // kind looks for the engine there
	w := nowhere(t)
	w.fails(1, []string{"neither Docker, nor nerdctl, nor Podman", "What to do: install Docker"}, "cluster", "remove")
	w.fails(2, []string{"takes no arguments"}, "cluster", "remove", "mine")
}

func TestWhatAnAdministratorOfAClusterIsGiven(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	role := w.ok("cluster", "role", "--namespace", "one,two", "--group", "rehearsers")
	for _, want := range []string{"dpesim.dev/rehearsal: \"true\"", "namespace: one\n", "namespace: two\n", "kind: Group\n  name: rehearsers\n"} {
		if !strings.Contains(role, want) {
			t.Errorf("%q is missing in\n%s", want, role)
		}
	}
	w.fails(2, []string{"the rights are for one"}, "cluster", "role", "--user", "ada", "--group", "rehearsers")

	dir := filepath.Join(t.TempDir(), "ca")
	trust := w.ok("cluster", "trust", "--advertise", "192.0.2.10", "--tls", "localhost:9443", "--ca-dir", dir)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil || !strings.Contains(trust, string(ca)) || !strings.Contains(trust, "certs.d/192.0.2.10:9443\n") {
		t.Errorf("%v:\n%s", err, trust)
	}
	if again := w.ok("cluster", "trust", "--advertise", "192.0.2.10", "--tls", "localhost:9443", "--ca-dir", dir); again != trust {
		t.Errorf("the second time it is\n%s", again)
	}
	w.fails(2, []string{"where this machine is", "--advertise"}, "cluster", "trust")
	w.fails(2, []string{"names none"}, "cluster", "trust", "--advertise", "192.0.2.10", "--tls", "localhost:0")
	w.fails(1, []string{"nothing to try"}, "cluster", "probe")
}

func TestAClusterOfYoursIsNotTakenUnasked(t *testing.T) {
	t.Parallel()
	w := nowhere(t)
	w.fails(4, []string{"there is no cluster", "kubeconfig[:CONTEXT]"}, "up", "--cluster", "nowhere")
	w.fails(4, []string{"there is no cluster"}, "up", "--cluster", "kind:mine")
	w.fails(2, []string{"where this machine is", "--advertise"}, "up", "--cluster", "kubeconfig")
	w.fails(2, []string{"nobody else reaches this machine"}, "up", "--cluster", "kubeconfig", "--advertise", "127.0.0.1")
	w.env["KUBECONFIG"] = filepath.Join(w.dir, "none")
	w.fails(4, []string{"no kubeconfig with a context"}, "scenario", "run", "install", "--cluster", "kubeconfig:mine", "--advertise", "192.0.2.10")
}

// Pods that end with "no such file or directory" would be a riddle: it is told before a cluster is made.
func TestAProgramThatIsNoneForContainersIsRefused(t *testing.T) {
	t.Parallel()
	w := patient(t)
	w.contained = sim.Errorf(sim.Invalid, "the running program is not a dpesim for Linux").WithHelp("build another")
	for _, cluster := range []string{"kind", "kubeconfig:mine"} {
		w.fails(4, []string{"not a dpesim for Linux", "What to do: build another"}, "up", "--cluster", cluster, "--advertise", "192.0.2.10")
	}
	w.fails(1, []string{"there is no file"}, "up", "--image-binary", "none", "--http", "localhost:0", "--tls", "localhost:0")
	w.env["DOCKER_HOST"] = "tcp://127.0.0.1:1"
	expectCheck(t, w.examine(4, "--cluster", "kind"), doctor.Check{Check: "engine's image", Target: doctor.Kind, State: doctor.Missing, Seen: "not a dpesim for Linux", Remedy: "build another"})
}
