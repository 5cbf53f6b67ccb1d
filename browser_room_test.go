package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/simtest"
)

// TestControlRoomInABrowser has the trainer scale, break, kill, ask why, mend and move the time, and looks at what the
// customer sees of it meanwhile.
func TestControlRoomInABrowser(t *testing.T) {
	t.Parallel()
	c := scene{t, newBrowser(t), simtest.Start(t)}
	added(t, c.s, "Lab", api.DPESpec{Name: "Ledger", Replicas: 2})
	p, ada := c.as("tess"), c.as("ada")
	p.follow("Control room")
	p.sees("Nobody is connected")
	p.stays(func() {
		newTerminal(t, c.s).deploy("lab", "ledger")
		await[bool](p, "see the engines in the picture", `document.querySelector(".picture .wide svg")?.ariaLabel?.includes("2 engines connected")`)
		p.sees("engine connected", "dpm-grpc-lab")
	})
	ada.visit("/environments/lab/settings")
	ada.sees("2 of 2 replicas connected")

	p.visit("/room/cluster")
	p.sees("2/2 ready", "dpesim kubectl get pods -A")
	p.fill("Replicas of ledger", "1")
	p.follow("Scale")
	p.sees("1/1 ready")
	ada.sees("1 of 2 replicas connected")
	pod := await[string](p, "see one pod", pods(1))

	p.follow("Clock and faults")
	p.sees("Everything works", "dpesim fault list")
	p.click("dpm.connect DPM, as an engine connects")
	p.fill("What goes wrong", "a tree fell on the line")
	p.fill("Name", "tree")
	p.follow("Break it")
	p.sees("1 armed", "dpm.connect: a tree fell on the line", "hits every time")
	p.visit("/room/cluster")
	p.follow("Delete " + pod)
	next := await[string](p, "see the pod that replaces it", fmt.Sprintf(`(name => name !== %s && name)(%s)`, quote(pod), pods(1)))
	ada.sees("DPE is disconnected", "Disconnected since", "Last failure", "a tree fell on the line")
	p.visit("/room/timeline?text=" + "fault+armed")
	p.sees("fault armed", "fault tree")
	p.visit("/room/why?subject=dpe/ledger")
	p.sees("a tree fell on the line", "What to do:", "first cause", "dpesim why dpe/lab/ledger")
	p.visit("/room/cluster")
	p.follow("Log of " + next)
	p.sees("a tree fell on the line", "dpesim kubectl logs "+next+" -n dpe -f")
	p.follow("Clock and faults")
	p.follow("Mend")
	p.sees("Everything works")
	ada.sees("DPE is connected successfully", "1 of 2 replicas connected")

	clock := func() time.Time {
		at, err := time.Parse(time.RFC3339Nano, read[string](p, `document.querySelector(".now time").dateTime`))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	p.follow("Freeze")
	p.sees("it stands still")
	was := clock()
	p.fill("Advance by", "2h")
	p.follow("Advance")
	if now := clock(); now.Sub(was) != 2*time.Hour {
		t.Errorf("after an advance by two hours it is %s, was %s", now, was)
	}
	p.fill("Advance by", "soon")
	p.follow("Advance")
	p.sees("soon")
	if got := p.value("Advance by"); got != "soon" {
		t.Errorf("what was typed has become %q", got)
	}
	p.follow("Let it run")
	p.sees("it runs at 1 seconds per second")
	p.follow("Follow this machine again")
	p.sees("It follows this machine.")
	p.visit("/audit")
	p.sees("clock moved", "fault armed", "fault disarmed", "tess")
	ada.visit("/room")
	ada.sees("Ada Admin may not do this")
}

// pods is an expression that gives the name of the first pod of ledger's that is not ending, once there are n of them; empty
// before.
func pods(n int) string {
	return fmt.Sprintf(`(all => all.length === %d ? all[0] : "")([...document.querySelectorAll("tr")].filter(r => !r.textContent.includes("Terminating"))
		.map(r => r.querySelector("button[aria-label^='Delete ledger-']")?.ariaLabel.slice(7)).filter(x => x))`, n)
}
