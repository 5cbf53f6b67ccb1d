package main

import (
	"fmt"

	"github.com/chromedp/chromedp/kb"

	"github.com/dpesim/dpesim/portal/api"
)

// twoAtOnce has two people work on the same DPE, each with a browser.
func (c scene) twoAtOnce() {
	e, err := (&api.Client{BaseURL: c.s.Endpoints().Portal, Token: c.s.API.Token, As: "otto"}).CreateEnvironment(c.t.Context(), api.EnvironmentSpec{Name: "Shared", Release: "15.1.0"})
	if err != nil {
		c.t.Fatal(err)
	}
	ready(c.t, c.s, "shared")
	d, err := c.s.API.AddDPE(c.t.Context(), e.ID, api.DPESpec{Name: "Ledger", Replicas: 1})
	if err != nil {
		c.t.Fatal(err)
	}
	const settings = "/environments/shared/settings"
	ada, otto := c.as("ada"), c.as("otto")
	ada.visit(settings)
	ada.sees("1 replica ·", "files of revision 1")
	ada.click("More for Ledger") // a menu that is open stays so
	ada.stays(func() {
		otto.visit("/environments/shared/dpes/ledger/edit")
		otto.fill("Replicas", "2")
		otto.follow("Continue")
		ada.sees("2 replicas ·", "files of revision 2", "2 of 10 replicas", "Remove")
		if got := read[string](ada, `document.activeElement.ariaLabel ?? ""`); got != "More for Ledger" {
			c.t.Errorf("after the other's change %q has the focus", got)
		}
		otto.visit("/environments/shared/dpes/new")
		otto.fill("Name", "Stock")
		otto.follow("Continue")
		ada.sees("Stock", "2 of 5 engines")
		otto.visit("/environments/shared/dpes/stock/remove")
		otto.fill("Type the label", "stock")
		otto.follow("Remove from Portal")
		ada.loses("Stock")
	})

	// Both have the form open. Who is second is told, and loses nothing that was typed.
	ada.visit("/environments/shared/dpes/ledger/edit")
	otto.visit("/environments/shared/dpes/ledger/edit")
	ada.fill("Replicas", "3")
	ada.follow("Continue")
	otto.fill("Replicas", "4")
	otto.click("snowflake")
	otto.follow("Continue")
	otto.at("/environments/shared/dpes/ledger/edit")
	otto.sees("DPE ledger was changed meanwhile, its revision is 3, not 2: dpe edited (ledger) by Ada Admin")
	if got := otto.value("Replicas"); got != "4" {
		c.t.Errorf("the replicas that were typed have become %s", got)
	}
	if read[bool](otto, fmt.Sprintf(field, `"snowflake"`)+`.checked`) {
		c.t.Error("the driver that was taken away is back")
	}
	if got, err := c.s.API.DPE(c.t.Context(), d.Environment, d.Label); err != nil || got.Replicas != 3 {
		c.t.Errorf("the first one's change: %+v, %v", got.Replicas, err)
	}
	otto.follow("Continue") // having read it
	otto.sees("helm upgrade --install ledger")
	if got, err := c.s.API.DPE(c.t.Context(), d.Environment, d.Label); err != nil || got.Replicas != 4 {
		c.t.Errorf("the second one's change: %+v, %v", got.Replicas, err)
	}

	// The same of the environment itself.
	ada.visit(settings)
	otto.visit(settings)
	ada.scaleManaged("1")
	ada.sees("5 of 10 replicas")
	otto.scaleManaged("2")
	otto.sees("changed meanwhile", "by Ada Admin")
	if got := read[string](otto, `document.querySelector("form[action$='/managed'] input[name=replicas]").value`); got != "2" {
		c.t.Errorf("the replicas that were typed have become %s", got)
	}
	c.others(settings)
}

// others has a member and another organisation's admin look at what is not theirs to change, or to see.
func (c scene) others(settings string) {
	mia := c.as("mia")
	mia.visit(settings)
	mia.sees("Ledger", "Only the environment's owner and organisation admins may change it")
	mia.lacks("Add DPE", "Delete environment", "Upgrade platform", "See what it means", "Scale")
	mia.click("More for Ledger")
	mia.lacks("Edit", "Remove")
	mia.press(kb.Escape)
	const send = `fetch(%q, {method: "POST", headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: "confirm=ledger&replicas=9&name=x&release=15.3.0&revision=4&version=1"}).then(r => r.status)`
	base := "/environments/shared"
	for _, path := range []string{"/dpes", "/dpes/ledger/edit", "/dpes/ledger/remove", "/upgrade", "/allowlist", "/managed", "/jobs", "/delete"} {
		if code := read[int](mia, fmt.Sprintf(send, base+path)); code != 403 {
			c.t.Errorf("a member who sends %s gets %d", path, code)
		}
	}
	for _, path := range []string{"/dpes/new", "/dpes/ledger/edit", "/dpes/ledger/remove", "/delete"} {
		mia.visit(base + path)
		mia.sees("Mia Member may not do this", "only the environment's owner and organisation admins may")
	}
	gwen := c.as("gwen")
	gwen.sees("There is no environment yet")
	for _, path := range []string{"/overview", "/settings", "/dpes/ledger/installation"} {
		gwen.visit(base + path)
		gwen.sees(`there is no environment "shared"`)
		gwen.lacks("Ledger")
	}
	gwen.visit("/audit")
	gwen.lacks("shared", "Ada")
	if d, err := c.s.API.DPE(c.t.Context(), "shared", "ledger"); err != nil || d.Replicas != 4 {
		c.t.Errorf("somebody else changed something: %v, %v", d.Replicas, err)
	}
}
