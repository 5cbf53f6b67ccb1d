package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// mainWay creates an environment of a name, adds a DPE, reads its installation commands and removes it, checking each page.
func mainWay(p *tab, s *simtest.Sim, name string, check func()) {
	p.t.Helper()
	id := strings.ToLower(name)
	p.as("otto")
	check()
	p.follow("Create environment")
	check()
	p.fill("Name", name)
	p.follow("Create environment")
	p.at("/environments/" + id + "/settings")
	ready(p.t, s, id)
	p.visit("/environments/" + id + "/settings")
	p.sees("No self-managed DPE yet")
	check()
	p.follow("Add DPE")
	check()
	p.fill("Name", "Ledger")
	p.follow("Continue")
	p.sees("helm upgrade --install ledger", "DPE isn't connected yet")
	check()
	p.follow("Back to settings")
	p.sees("DPE isn't connected yet")
	check()
	p.click("More for Ledger")
	p.follow("Remove")
	check()
	p.fill("Type the label", "ledger")
	p.follow("Remove from Portal")
	p.sees("No self-managed DPE yet")
	p.follow("Sign out")
	p.at("/sign-in")
}

// ready waits until an environment is.
func ready(t *testing.T, s *simtest.Sim, id string) {
	t.Helper()
	for sub := s.Bus().Subscribe(0); ; {
		e, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Environment) == id && e.What == "environment ready" {
			return
		}
	}
}

// refreshed has something happen in an environment, and waits until the page has brought up to date what has the focus.
func (c scene) refreshed(p *tab, id sim.EnvironmentID) {
	c.t.Helper()
	read[bool](p, `window.before = document.activeElement, true`)
	m, err := c.s.API.Managed(c.t.Context(), id)
	if err == nil {
		_, err = c.s.API.ScaleManaged(c.t.Context(), id, m.Replicas+1, 0)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	await[bool](p, "be refreshed", `!window.before.isConnected`)
}

// narrow goes the main way on a telephone, where no page may be wider than its window.
func (c scene) narrow() {
	p := c.open()
	p.do("be a telephone", chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
	mainWay(p, c.s, "Narrow", func() {
		if over := read[int](p, `document.documentElement.scrollWidth - 360`); over > 0 {
			c.t.Errorf("%s is %d px wider than the window", read[string](p, `location.pathname`), over)
		}
	})
}

// withoutScripts goes the main way in a browser that runs none.
func (c scene) withoutScripts() {
	p := c.open()
	p.still = true
	p.do("switch scripts off", call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	mainWay(p, c.s, "Plain", func() {
		if read[bool](p, `document.documentElement.classList.contains("js")`) {
			c.t.Error("scripts run")
		}
	})
}

// byKeyboard goes the main way without a mouse. Whatever has the focus shows it.
func (c scene) byKeyboard() {
	p := c.open()
	p.visit("/")
	p.press(kb.Tab)
	if got := p.focused(); got != "Skip to content" {
		c.t.Errorf("the first that has the focus is %q", got)
	}
	p.press(kb.Enter)
	p.tabTo("Tess Trainer") // the first of the main part: what is before it was skipped
	p.tabTo("Otto Owner")
	p.enter()
	p.tabTo("Create environment")
	p.enter()
	await[bool](p, "type at once", `document.activeElement?.name === "name"`)
	p.press("Keys")
	p.tabTo("Create environment")
	p.enter()
	p.at("/environments/keys/settings")
	p.sees("No self-managed DPE yet")
	p.loses("is being created")
	p.tabTo("Add DPE")
	c.refreshed(p, "keys")
	if got := p.focused(); got != "Add DPE" {
		c.t.Errorf("after a refresh %q has the focus", got)
	}
	p.enter()
	await[bool](p, "type at once", `document.activeElement?.name === "name"`)
	p.press("Ledger")
	p.sees("Label: ledger")
	p.tabTo("postgresql")
	p.press(" ")
	p.tabTo("Continue")
	p.enter()
	p.sees("helm upgrade --install ledger")
	p.lacks("postgresql")
	p.tabTo("Copy: ")
	p.press(kb.Enter)
	p.sees("Copied")
	p.tabTo("Back to settings")
	p.enter()
	p.tabTo("More for Ledger")
	p.press(kb.Enter)
	p.sees("Remove")
	p.press(kb.Escape)
	if got := p.focused(); got != "More for Ledger" {
		c.t.Errorf("after Escape %q has the focus", got)
	}
	p.press(kb.Enter)
	p.tabTo("Remove")
	p.enter()
	await[bool](p, "type at once", `document.activeElement?.name === "confirm"`)
	p.press("ledger")
	p.press(kb.Tab)
	p.enter()
	p.at("/environments/keys/settings")
	p.sees("No self-managed DPE yet")
}

// focused gives the name of what has the focus, and fails if nobody sees that it has.
func (p *tab) focused() string {
	p.t.Helper()
	got := read[struct {
		Name          string
		Shown, Inside bool
	}](p, `(e => {
		const name = (e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent).replace(/\s+/g, " ").trim();
		const is = getComputedStyle(e), r = e.getBoundingClientRect();
		return {name, shown: is.outlineStyle !== "none" && parseFloat(is.outlineWidth) > 0, inside: r.bottom > 0 && r.top < innerHeight && r.width > 0};
	})(document.activeElement)`)
	if !got.Shown || !got.Inside {
		p.fail("look for the focus", fmt.Errorf("nobody sees that %.60q has it: %+v", got.Name, got))
	}
	return got.Name
}

// tabTo presses Tab until what has a name, or begins with it, has the focus.
func (p *tab) tabTo(name string) {
	p.t.Helper()
	var been []string
	for range 100 {
		p.press(kb.Tab)
		got := p.focused()
		if strings.HasPrefix(got, name) {
			return
		}
		been = append(been, fmt.Sprintf("%.30s", got))
	}
	p.fail("go to "+name, fmt.Errorf("Tab does not lead there but to %q", been))
}

// enter presses Enter, and waits for the page that it leads to.
func (p *tab) enter() {
	p.t.Helper()
	p.do("press Enter", loaded(chromedp.KeyEvent(kb.Enter)))
}
