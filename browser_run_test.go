package main

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	shell "github.com/dpesim/dpesim/scenarios/operator"
	"github.com/dpesim/dpesim/sim/simtest"
)

// startWhole is [simtest.Start] of a simulator that can run the portal's commands by itself, as `dpesim up` stands it up.
func startWhole(t *testing.T) *simtest.Sim {
	t.Helper()
	c := simtest.Config(t)
	c.Shell = shell.Run
	return simtest.StartConfig(t, c)
}

// runItHere has Ada install, check and uninstall a DPE from the portal's pages alone, while Otto watches.
func (c scene) runItHere() {
	ctx := c.t.Context()
	if _, err := c.s.API.CreateEnvironment(ctx, api.EnvironmentSpec{Name: "Runs", Organisation: "acme"}); err != nil {
		c.t.Fatal(err)
	}
	ready(c.t, c.s, "runs")
	// Until it is mended, no engine gets through to DPM, so that helm waits for as long as one looks.
	const cut = "nobody connects"
	if _, err := c.s.API.Arm(ctx, api.Fault{Name: cut, Point: "dpm.connect", Environment: "runs", Error: "the line is cut"}); err != nil {
		c.t.Fatal(err)
	}
	ada, watcher := c.as("ada"), c.as("ada")
	ada.visit("/environments/runs/dpes/new")
	ada.fill("Name", "Pier")
	ada.follow("Continue")
	watcher.visit("/environments/runs/settings")
	watcher.sees("DPE isn't connected yet")
	const installation = "/environments/runs/dpes/pier/installation"
	ada.sees("dpesim dpe run-commands runs pier")
	ada.follow("Run it here: Steps 2 and 3")
	ada.at(installation)
	ada.stays(func() {
		ada.sees("Run here: install or update", "running", "Login Succeeded", "$ helm upgrade --install pier", "It can be run here when the run above has ended")
	})
	if _, err := c.s.API.StartRun(ctx, "runs", "pier", api.RunSpec{Task: api.TaskVerify}); err == nil || !strings.Contains(err.Error(), "ada started the task install of DPE pier") {
		c.t.Errorf("another run at the same time: %v", err)
	}
	ada.follow("Cancel the run")
	ada.sees("cancelled after", "ada cancelled it", "Nothing is undone")
	ada.loses("Cancel the run")

	ada.visit(installation)
	ada.follow("Run it here: Steps 2 and 3")
	watcher.stays(func() {
		ada.stays(func() {
			ada.sees("running", "$ helm upgrade --install pier")
			if err := c.s.API.Disarm(ctx, cut); err != nil {
				c.t.Fatal(err)
			}
			ada.sees("STATUS: deployed", "finished in", "DPE is connected successfully")
			ada.loses("Cancel the run")
			ada.lacks("What to do")
		})
		watcher.sees("DPE is connected successfully", "1 of 1 replicas connected")
	})
	x, err := c.s.API.Why(ctx, "dpe/runs/pier")
	if err != nil {
		c.t.Fatal(err)
	}
	steps := x.Chains[0].Steps
	if last := steps[len(steps)-1]; last.Seq != x.FirstCause || !strings.HasPrefix(last.Text, "ada had the portal run the install commands of pier: commands started (") {
		c.t.Errorf("the first cause is %q", last.Text)
	}

	ada.visit(installation)
	ada.follow("Run it here: Step 4")
	ada.sees("Run here: verify", "successfully rolled out", "Phase: Succeeded", "finished in")
	ada.visit("/environments/runs/dpes/pier/remove")
	ada.follow("Run it here: The command above")
	ada.at("/environments/runs/dpes/pier/remove")
	ada.sees("Run here: uninstall", `release "pier" uninstalled`, "finished in")
	watcher.sees("DPE is disconnected")
	ada.follow("Run it here: The command above")
	ada.sees("Error: uninstall: Release not loaded: pier: release: not found", "failed with exit code 1", "it is gone already")
}
