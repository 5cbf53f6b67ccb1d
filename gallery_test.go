package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/simtest"
)

// axe checks pages for what keeps people out. It is axe-core 4.14.1, from npm, under MPL 2.0 (testdata/axe/LICENSE).
//
//go:embed testdata/axe/axe.min.js
var axe string

// violation is something that axe-core objects to.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// inspect runs axe-core on the page that is shown. What it gives is cut to what is reported.
const inspect = `axe.run({resultTypes: ["violations"]}).then(r => r.violations.map(v => ({
	id: v.id, help: v.help, nodes: v.nodes.map(n => ({html: n.html, failureSummary: n.failureSummary}))})))`

// TestGallery opens every page in light and dark, wide and at 360 px, has axe-core look at it, and keeps a picture of it
// (go test -artifacts). No page may be wider than its window.
func TestGallery(t *testing.T) {
	t.Parallel()
	chromium := simtest.Require(t, "chromium")
	s := simtest.Start(t)
	pages := furnish(t, s)
	b := newBrowser(t, chromium)
	base := s.Endpoints().Portal
	b.do("see the sign-in", chromedp.Navigate(base))
	b.shoot("sign-in")
	b.do("sign in", chromedp.Click(`button[value="tess"]`), seen("Create environment"))
	for _, path := range pages {
		b.do("open "+path, chromedp.Navigate(base+path), chromedp.WaitVisible("h1"))
		b.shoot(strings.Trim(strings.NewReplacer("/", "_", "?", "_", "=", "_").Replace(path), "_"))
	}
}

// shoot looks at the page that is shown in every theme and width.
func (b *browser) shoot(name string) {
	b.t.Helper()
	for _, width := range []int64{1280, 360} {
		for _, theme := range []string{"light", "dark"} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}}
			var found []violation
			var picture []byte
			var overflow int
			b.do("look at "+name,
				chromedp.EmulateViewport(width, 800),
				chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
					_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media)
					return err
				}),
				keep(chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`), &overflow),
				does(chromedp.Evaluate[chromedp.Void](axe)),
				keep(chromedp.Evaluate[[]violation](inspect, chromedp.EvalAwaitPromise), &found),
				keep(chromedp.FullScreenshot(100), &picture),
			)
			is := fmt.Sprintf("%s-%s-%d", name, theme, width)
			if overflow > 0 {
				b.t.Errorf("%s is %d px wider than its window", is, overflow)
			}
			for _, v := range found {
				b.t.Errorf("%s: %s (%s)", is, v.Help, v.ID)
				for _, n := range v.Nodes[:min(len(v.Nodes), 3)] {
					b.t.Logf("  %s\n  %s", n.HTML, n.Summary)
				}
			}
			if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), is+".png"), picture, 0o600); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// keep is an action whose value goes to to.
func keep[T any](a chromedp.Action[T], to *T) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (_ chromedp.Void, err error) {
		*to, err = a(ctx, t)
		return chromedp.Void{}, err
	}
}

// furnish fills a simulator with what every page has something to show of, and lists the pages.
func furnish(t *testing.T, s *simtest.Sim) []string {
	t.Helper()
	ctx := t.Context()
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme Production", Release: "15.1.0"})
	for _, spec := range []api.DPESpec{{Name: "Finance warehouse", Replicas: 2}, {Name: "HR"}} {
		if _, err := s.API.AddDPE(ctx, env.ID, spec); err != nil {
			t.Fatal(err)
		}
	}
	install(t, s, string(env.ID), "finance-warehouse", "15.1.0")
	for _, key := range []string{"birdstrikes.csv", "none.csv"} {
		if _, err := s.API.SubmitJob(ctx, env.ID, api.JobSpec{Bucket: "sample-data", Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.API.UpgradeEnvironment(ctx, env.ID, "15.3.0"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.Arm(ctx, api.Fault{Name: "slow storage", Point: "objstore.get", Delay: "200ms"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.ScaleManaged(ctx, env.ID, 1); err != nil {
		t.Fatal(err)
	}
	e, d := "/environments/acme-production", "/environments/acme-production/dpes/finance-warehouse"
	return []string{
		"/environments", "/environments/new", "/audit", "/account", e + "/overview", e + "/services", e + "/dpm", e + "/storage", e + "/storage/sample-data", e + "/settings", e + "/jobs", e + "/delete", e + "/dpes/new", e + "/allowlist", e + "/compliance", e + "/upgrade",
		d + "/installation", d + "/upgrade", d + "/edit", d + "/remove",
		"/room", "/room/cluster", "/room/timeline", "/room/controls", "/room/why?subject=dpe/finance-warehouse", "/nothing",
	}
}
