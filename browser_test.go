package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/simtest"
)

// TestPortalInABrowser does what a newcomer does in the portal, in a real browser: create an environment, add a DPE, read
// its installation commands; then the operator installs it, and the status turns green without a reload.
func TestPortalInABrowser(t *testing.T) {
	t.Parallel()
	chromium := simtest.Require(t, "chromium")
	s := simtest.Start(t)
	browser := newBrowser(t, chromium)
	base := s.Endpoints().Portal

	browser.do("create an environment",
		chromedp.Navigate(base),
		chromedp.Click(`button[value="ada"]`),
		chromedp.Click(`a[href="/environments/new"]`),
		chromedp.SendKeys(`input[name="name"]`, "Acme"),
		chromedp.SetValue(`select[name="release"]`, "15.1.0"),
		chromedp.Submit(`input[name="name"]`),
		seen("No self-managed DPE yet"),
	)
	browser.do("add a DPE",
		chromedp.Navigate(base+"/environments/acme/dpes/new"),
		chromedp.SendKeys(`input[name="name"]`, "Finance warehouse"),
		seen("finance-warehouse"), // the label, as one types
		chromedp.Submit(`input[name="name"]`),
		seen("helm upgrade --install finance-warehouse"),
	)
	browser.do("wait for it in Settings",
		chromedp.Navigate(base+"/environments/acme/settings"),
		seen("DPE isn't connected yet"),
		does(chromedp.Evaluate[bool](`window.sameDocument = true`)),
	)
	install(t, s, "acme", "finance-warehouse", "15.1.0")
	browser.do("see it connected", seen("DPE is connected successfully"))
	if same, err := chromedp.Run(browser.ctx, chromedp.Evaluate[bool](`window.sameDocument === true`)); err != nil || !same {
		t.Errorf("the page was loaded again (%v): the status should change in place", err)
	}
}

// browser is a tab of a headless Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func newBrowser(t *testing.T, path string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && ctx.Err() == nil { // waits for the process' end
			t.Errorf("close the browser: %v", err)
		}
		stop()
	})
	if err := chromedp.Do(ctx); err != nil { // starts it, without a bound of its own
		t.Fatalf("start Chromium: %v", err)
	}
	return &browser{t: t, ctx: ctx}
}

// do runs actions within a minute; what fails is told with the page's text.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		text, _ := chromedp.Run(b.ctx, chromedp.Text("body")) // the first error is the one that matters
		b.t.Fatalf("%s: %v\nthe page says:\n%s", what, err, text)
	}
}

// seen waits until an element shows text.
func seen(text string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(fmt.Sprintf(`//*[text()[contains(., %q)]]`, text))
}

// does is an action whose value does not matter.
func does[T any](a chromedp.Action[T]) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := a(ctx, t)
		return chromedp.Void{}, err
	}
}

// install does by the command line what an operator does with the portal's files.
func install(t *testing.T, s *simtest.Sim, env, label, release string) {
	t.Helper()
	dir := t.TempDir()
	endpoints := s.Path("endpoints.json")
	if err := s.Endpoints().WriteFile(endpoints); err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(), "DPESIM_ENDPOINTS="+endpoints, "HOME="+dir)
	run := func(stdin string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		code := cli.Main(t.Context(), cli.Env{
			Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Dir: dir, Environ: func() []string { return environ },
			Getenv: func(name string) string {
				if name == "DPESIM_ENDPOINTS" {
					return endpoints
				}
				return ""
			},
		})
		if code != 0 {
			t.Fatalf("dpesim %s: exit code %d\n%s%s", strings.Join(args, " "), code, out.String(), errs.String())
		}
		return out.String()
	}
	values := run("", "dpe", "values", env, label)
	if err := os.WriteFile(dir+"/values.yaml", []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	registry, ca := s.Endpoints().RegistryHost(), s.Endpoints().CA
	run(run("", "dpe", "token", env, label), "helm", "registry", "login", registry, "--ca-file", ca, "--username", env+"."+label, "--password-stdin")
	run("", "helm", "install", label, "oci://"+registry+"/charts/dpe", "--version", release, "--namespace", "dpe", "--create-namespace",
		"--values", "values.yaml", "--ca-file", ca, "--wait", "--timeout", "60s")
}
