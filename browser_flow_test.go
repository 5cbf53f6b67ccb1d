package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	browserproto "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// TestPortalInABrowser does what people do in the portal, in a real browser against a real simulator. Each flow has an
// environment of its own.
func TestPortalInABrowser(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := startWhole(t)
	for name, flow := range map[string]func(scene){
		"sign in": scene.signIn, "life of a DPE": scene.lifeOfADPE, "limits": scene.limits, "files": scene.files, "tokens": scene.tokens, "accounts": scene.accounts,
		"two at once": scene.twoAtOnce, "keyboard": scene.byKeyboard, "run it here": scene.runItHere, "narrow": scene.narrow, "without scripts": scene.withoutScripts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow(scene{t, b, s})
		})
	}
}

// scene is where a flow plays.
type scene struct {
	t *testing.T
	b *browser
	s *simtest.Sim
}

// open gives a person who is not signed in.
func (c scene) open() *tab {
	c.t.Helper()
	return c.b.open(c.t, c.s)
}

// as gives a person who is signed in as a demo user.
func (c scene) as(user string) *tab {
	c.t.Helper()
	return c.open().as(user)
}

func (c scene) signIn() {
	p := c.open()
	p.visit("/audit")
	p.at("/sign-in")
	p.follow("Ada Admin")
	p.at("/audit") // where one wanted to go
	p.sees("Ada Admin · organisation admin, Acme")
	p.follow("Sign out")
	p.at("/sign-in")
	p.visit("/environments")
	p.at("/sign-in")
	p.fill("User", "otto")
	p.fill("Password", "wrong")
	p.follow("Sign in")
	p.sees("user and password do not fit", "check both")
	if got := p.value("User"); got != "otto" {
		c.t.Errorf("the user that was typed has become %q", got)
	}
	p.fill("Password", "rehearsal")
	p.follow("Sign in")
	p.at("/environments")
	p.sees("Otto Owner · environment owner, Acme")
}

// lifeOfADPE goes from no environment to a DPE that was installed, edited, upgraded and removed, looking at the Settings tab.
func (c scene) lifeOfADPE() {
	// A disk that fails holds the creation where one can look at it.
	blobs := c.s.Path("env", "story", "blobs")
	if err := os.MkdirAll(filepath.Dir(blobs), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(blobs, nil, 0o600); err != nil {
		c.t.Fatal(err)
	}
	p := c.as("otto")
	p.follow("Create environment")
	p.fill("Name", "Story")
	p.choose("Platform release", "15.1.0")
	p.follow("Create environment")
	p.at("/environments/story/settings")
	p.sees("The environment is being created", "Data Processing Module: done", "ONE Object Storage: failed", "Credentials: waiting")
	if n := read[int](p, `document.querySelectorAll("a[href$='/dpes/new']").length`); n != 0 {
		c.t.Error("a DPE can be added during the creation")
	}
	if err := os.Remove(blobs); err != nil {
		c.t.Fatal(err)
	}
	p.sees("No self-managed DPE yet") // without a reload
	p.loses("is being created")
	p.follow("Add DPE")
	p.fill("Name", "Finance 15.3")
	p.sees("Label: finance-15-3", "Better not", "15-3 looks like a release")
	p.fill("Name", "Ledger")
	p.sees("Label: ledger")
	p.lacks("Better not")
	p.fill("Replicas", "1")
	p.follow("Continue")
	p.at("/environments/story/dpes/ledger/installation")
	p.sees("helm upgrade --install ledger")
	p.visit("/environments/story/settings")
	p.sees("DPE isn't connected yet", "1 of 5 engines")
	if got := colour(p, "DPE isn't connected yet"); got != "orange" {
		c.t.Errorf("what is not connected yet is %s", got)
	}

	o := newTerminal(c.t, c.s)
	p.stays(func() {
		p.watches("DPE is connected successfully")
		o.deploy("story", "ledger")
		p.within(2*time.Second, c.s, "dpe status changed", "to", "connected")
		if got := colour(p, "DPE is connected successfully"); got != "green" {
			c.t.Errorf("what is connected is %s", got)
		}
		p.sees("1 of 1 replicas connected")
	})

	p.click("More for Ledger")
	p.follow("Edit")
	p.sees("Nothing changes in the cluster until you redeploy", "Name and label cannot be changed")
	p.fill("Replicas", "3")
	p.click("bigquery")
	p.follow("Continue")
	p.visit("/environments/story/settings")
	p.sees("1 of 3 replicas connected", "Redeploy needed", "replicas: 1 → 3", "revision: 1 → 2")
	p.stays(func() {
		p.watches("3 of 3 replicas connected")
		o.deploy("story", "ledger")
		p.within(2*time.Second, c.s, "dpe status changed", "replicas", "3 of 3")
		p.loses("Redeploy needed")
	})

	c.allowlist(p)
	c.managed(p)

	p.follow("See what it means")
	p.sees("from release 15.1.0 to 15.3.0", "Outdated", "Self-managed DPEs do not update automatically", "In values.yaml")
	p.follow("Upgrade platform")
	p.at("/environments/story/settings")
	p.sees("The platform has release 15.3.0", "DPE 15.1.0, platform 15.3.0")
	p.follow("Show upgrade steps")
	p.sees("Upgrade steps of Ledger", "Use the new values.yaml", "--version 15.3.0")
	p.visit("/environments/story/settings")
	p.stays(func() {
		o.deploy("story", "ledger")
		p.loses("Outdated")
		p.sees("3 of 3 replicas connected")
	})

	p.click("More for Ledger")
	p.follow("Remove")
	p.sees("Your cluster is not told", "helm uninstall ledger", "3 replicas are free")
	p.fill("Type the label", "Ledger")
	p.follow("Remove from Portal")
	p.sees(`what was typed is not "ledger": nothing was done`)
	p.fill("Type the label", "ledger")
	p.follow("Remove from Portal")
	p.at("/environments/story/settings")
	p.sees("No self-managed DPE yet", "0 of 10 replicas")

	ada := c.as("ada")
	ada.visit("/audit?environment=story")
	for _, x := range []string{"environment created", "dpe added", "dpe edited", "environment upgraded", "dpe removed"} {
		ada.sees(x)
	}
	ada.sees("otto", "session", "127.0.0.1:", "values read", "command line")
}

// allowlist shuts the engines of story out, having been warned, and lets them in again, while otto looks at the settings.
func (c scene) allowlist(p *tab) {
	c.t.Helper()
	ada := c.as("ada")
	ada.visit("/environments/story/settings")
	ada.sees("Off: every address may connect")
	p.visit("/environments/story/settings")
	ada.visit("/environments/story/allowlist")
	ada.sees("Engines are connected from", "203.0.113.10")
	ada.click("Only these addresses may connect")
	ada.fill("Ranges", "198.51.100.0/24 office\n2001:db8::/32 data centre")
	ada.follow("Save")
	ada.sees("This would cut engines that are connected now", "from 203.0.113.10")
	p.sees("3 of 3 replicas connected") // nothing was done
	ada.click("Cut them")
	ada.follow("Save")
	p.sees("DPE is disconnected")
	ada.fill("Ranges", "198.51.100.0/24 office\n203.0.113.0/24 the cluster's egress")
	ada.follow("Save")
	p.sees("3 of 3 replicas connected")
	ada.visit("/environments/story/settings")
	ada.sees("On: 2 ranges may connect")
	ada.visit("/environments/story/allowlist")
	ada.click("Only these addresses may connect")
	ada.follow("Save")
	ada.visit("/environments/story/settings")
	ada.sees("Off: every address may connect")
}

// managed scales the engines in the cloud, which share the licence.
func (c scene) managed(p *tab) {
	c.t.Helper()
	scale := func(n string) {
		p.visit("/environments/story/settings")
		p.scaleManaged(n)
	}
	scale("8")
	p.sees("the licence allows 10", "ledger 3")
	scale("1")
	p.sees("4 of 10 replicas of the licence")
	p.visit("/environments/story/dpm")
	p.sees("Ataccama-managed")
	scale("0")
	p.sees("3 of 10 replicas of the licence")
}

func (c scene) limits() {
	c.s.Environment(c.t, api.EnvironmentSpec{Name: "Limits", EnginesAllowed: 2, ReplicasAllowed: 4})
	p := c.as("ada")
	add := func(name, replicas string) {
		p.visit("/environments/limits/dpes/new")
		p.fill("Name", name)
		p.fill("Replicas", replicas)
		p.follow("Continue")
	}
	add("???", "1")
	p.sees("no label can be derived from the name")
	add("HR", "3")
	p.at("/environments/limits/dpes/hr/installation")
	add("hr!", "1")
	p.sees(`the label hr, derived from the name "hr!", is that of DPE "HR" in environment limits`)
	add("Sales", "2")
	p.sees("the licence allows 4, others use 3 (hr 3) and 1 are free", "ask for fewer replicas")
	if p.value("Name") != "Sales" || p.value("Replicas") != "2" {
		c.t.Error("what was typed is gone")
	}
	p.fill("Replicas", "1")
	p.follow("Continue")
	p.at("/environments/limits/dpes/sales/installation")
	add("Third", "1")
	p.sees("the contract allows 2 engines, and 2 are used: hr, sales", "remove a DPE that is not needed any more")
}

// files copies commands and downloads files, as those who may and as one who may not.
func (c scene) files() {
	d := added(c.t, c.s, "Files", api.DPESpec{Name: "Stock"})
	const path = "/environments/files/dpes/stock/installation"
	p := c.as("ada")
	p.visit(path)
	all, err := c.s.API.Commands(c.t.Context(), d.Environment, d.Label)
	if err != nil {
		c.t.Fatal(err)
	}
	p.allow("clipboard-read")
	for _, v := range all.Variants {
		p.follow(v.Title)
		for i, x := range v.Install {
			p.click("Copy: " + x.Title)
			p.sees("Copied")
			if got := read[string](p, `navigator.clipboard.readText()`); got != x.Command {
				c.t.Errorf("%s %d: the clipboard has %q, not %q", v.Title, i, got, x.Command)
			}
		}
	}
	p.visit(path)
	want, err := c.s.API.Values(c.t.Context(), d.Environment, d.Label, "")
	if err != nil {
		c.t.Fatal(err)
	}
	if got := p.download("values.yaml"); got != string(want) {
		c.t.Errorf("the file that was downloaded is\n%s\nnot\n%s", got, want)
	}
	mia := c.as("mia")
	mia.visit(path)
	mia.sees("the owner and admins may download it", "helm upgrade --install stock")
	if n := read[int](mia, `document.querySelectorAll("main a[download][href$='/values']").length`); n != 0 {
		c.t.Error("a member is offered values.yaml")
	}
	if code := read[int](mia, `fetch("/api/v1/environments/files/dpes/stock/values").then(r => r.status)`); code != 403 {
		c.t.Errorf("a member who asks for values.yaml gets %d", code)
	}
}

func (c scene) tokens() {
	p := c.as("otto")
	p.visit("/account")
	p.fill("Name", "Nightly")
	p.click("write: changes")
	p.follow("Make token")
	p.sees("API token Nightly was made. Copy it now: it is shown this once.")
	secret := sim.Secret(read[string](p, `document.getElementById("new-token").textContent`))
	program := &api.Client{BaseURL: p.base, Token: secret}
	if _, err := program.Environments(c.t.Context()); err != nil {
		c.t.Errorf("the token that was shown: %v", err)
	}
	p.visit("/account")
	p.sees("Nightly")
	p.lacks(secret.Reveal())
	p.follow("Revoke Nightly")
	p.sees("You have no API token")
	if _, err := program.Environments(c.t.Context()); sim.KindOf(err) != sim.Unauthenticated {
		c.t.Errorf("a revoked token: %v", err)
	}
	ada := c.as("ada")
	ada.visit("/audit")
	ada.sees("token added", "token removed")
}

// scaleManaged sends the form of the Settings tab that scales the Ataccama-managed DPEs.
func (p *tab) scaleManaged(replicas string) {
	p.t.Helper()
	const of = chromedp.CSS("form[action$='/managed'] input[name=replicas]")
	p.do("scale to "+replicas, chromedp.SetValue(of, replicas), loaded(chromedp.Submit(of)))
}

// stays does something during which the page is never loaded again.
func (p *tab) stays(do func()) {
	p.t.Helper()
	read[bool](p, `window.sameDocument = true`)
	do()
	if !read[bool](p, `window.sameDocument === true`) {
		p.t.Error("the page was loaded again: it should change in place")
	}
}

// watches notes when a text is shown, by the machine's clock.
func (p *tab) watches(text string) {
	p.t.Helper()
	read[bool](p, fmt.Sprintf(`(() => {
		window.shownAt = 0;
		const look = () => { if (!window.shownAt && %s) window.shownAt = Date.now(); };
		new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
		return true;
	})()`, says(text)))
}

// within waits until what is watched for is shown, and fails if that is later than limit after the event that is what with the
// detail key=value. Both are on this machine's clock, which the simulator follows.
func (p *tab) within(limit time.Duration, s *simtest.Sim, what, key, value string) {
	p.t.Helper()
	shown := await[int64](p, "see it change", `window.shownAt`)
	for _, e := range s.Bus().Since(0) {
		if e.What == what && strings.HasPrefix(e.Detail[key], value) && e.DPE == "ledger" {
			if late := time.UnixMilli(shown).Sub(e.Time); late > limit {
				p.t.Errorf("the page shows %q %s after the event", value, late)
			} else {
				p.t.Logf("%s %s is shown %s after the event", what, value, late)
			}
			return
		}
	}
	p.t.Errorf("there was no event %q with %s=%s", what, key, value)
}

// colour gives the class of the status that has these words.
func colour(p *tab, words string) string {
	p.t.Helper()
	return read[string](p, fmt.Sprintf(`[...document.querySelectorAll(".state strong")].find(e => e.textContent === %s)?.className ?? "not there"`, quote(words)))
}

// allow gives the page a right that a person would be asked for.
func (p *tab) allow(right string) {
	p.t.Helper()
	p.do("allow "+right, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.CallBrowser(ctx, browserproto.SetPermission, browserproto.SetPermissionParams{
			Permission: &browserproto.PermissionDescriptor{Name: right}, Setting: browserproto.PermissionSettingGranted, Origin: p.base, BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
		})
		return err
	}))
}

// download downloads the file that a link of this name is for, and gives what is in it.
func (p *tab) download(name string) string {
	p.t.Helper()
	dir, always := p.t.TempDir(), true
	progress := chromedp.BrowserEvents(p.ctx, browserproto.DownloadProgress)
	p.do("download "+name, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.CallBrowser(ctx, browserproto.SetDownloadBehavior, browserproto.SetDownloadBehaviorParams{
			Behavior: browserproto.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir, EventsEnabled: &always, BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
		})
		return err
	}), chromedp.Click(chromedp.CSS(fmt.Sprintf("main a[download=%q]", name))))
	for e, err := range progress {
		if err != nil || e.State == browserproto.DownloadProgressStateCanceled {
			p.t.Fatalf("download %s: %v %v", name, e.State, err)
		}
		if e.State == browserproto.DownloadProgressStateCompleted {
			break
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}
