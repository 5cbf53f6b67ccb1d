package stack_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// The folder in which commands run is theirs alone and gone afterwards, also if the simulator was killed meanwhile; its
// kubeconfig names what the cluster's events follow from.
func TestCommandsRunInAFolderOfTheirOwn(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	c := kept(t, data)
	var mu sync.Mutex
	var seen []string
	c.Shell = func(_ context.Context, dir string, env map[string]string, command string, out io.Writer) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		entries, err := os.ReadDir(dir)
		if err != nil {
			return 0, err
		}
		seen = append(seen, dir)
		fmt.Fprint(out, env["KUBECONFIG"] == filepath.Join(dir, ".kubeconfig"))
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				return 0, err
			}
			fmt.Fprintf(out, " %s %v", e.Name(), info.Mode())
		}
		config, err := os.ReadFile(env["KUBECONFIG"])
		fmt.Fprintln(out)
		for line := range strings.Lines(string(config)) {
			if strings.Contains(line, "as:") || strings.Contains(line, "- \"") {
				fmt.Fprint(out, line)
			}
		}
		if strings.Contains(command, "upgrade --install") {
			return 4, err
		}
		return 0, err
	}
	left := filepath.Join(data, "runs", "left")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "format"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := simtest.StartConfig(t, c)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what an earlier process left is still there: %v", err)
	}
	env := s.Environment(t, api.EnvironmentSpec{Name: "Demo"})
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Finance"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.API.StartRun(t.Context(), env.ID, d.Label, api.RunSpec{Task: api.TaskInstall})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	r, err = s.API.FollowRun(t.Context(), env.ID, d.Label, r.ID, 0, func(l api.OutputLine) error {
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil || r.State != api.RunFailed || r.ExitCode == nil || *r.ExitCode != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	var started sim.Event
	for _, e := range s.Bus().Since(0) {
		if e.What == "commands started" {
			started = e
		}
	}
	for _, want := range []string{
		"true .kubeconfig -rw------- ca.pem -rw------- registry-token -rw------- values.yaml -rw-------", "    as: operator",
		"      - \"" + strconv.FormatUint(started.Seq, 10) + "\"",
	} {
		n := 0
		for _, l := range lines {
			if l == want {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d lines are %q:\n%s", n, want, strings.Join(lines, "\n"))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if info, err := os.Stat(filepath.Dir(seen[0])); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folders' folder: %v, %v", info, err)
	}
	if _, err := os.Stat(seen[0]); len(seen) != 2 || seen[0] != seen[1] || !os.IsNotExist(err) {
		t.Errorf("folders %v, %v", seen, err)
	}
}
