package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
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

// inspect runs axe-core on the page that is shown, as the options say. What it gives is cut to what is reported.
const inspect = `axe.run(%s).then(r => r.violations.map(v => ({
	id: v.id, help: v.help, nodes: v.nodes.map(n => ({html: n.html, failureSummary: n.failureSummary}))})))`

// What axe-core looks for. A theme changes nothing but colours, and a window's width everything but those.
const (
	everything  = `{resultTypes: ["violations"]}`
	colours     = `{resultTypes: ["violations"], runOnly: ["color-contrast", "link-in-text-block"]}`
	butContrast = `{resultTypes: ["violations"], rules: {"color-contrast": {enabled: false}}}`
)

// TestGallery opens every page in light and dark, wide and at 360 px, has axe-core look at it, and keeps a picture of it
// (go test -artifacts). No page may be wider than its window.
func TestGallery(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := startWhole(t)
	pages := furnish(t, s)
	p := b.open(t, s)
	p.visit("/")
	p.shoot("sign-in")
	p.as("tess")
	for _, path := range pages {
		p.visit(path)
		p.shoot(strings.Trim(strings.NewReplacer("/", "_", "?", "_", "=", "_").Replace(path), "_"))
	}
}

// shoot looks at the page that is shown in every theme and width.
func (p *tab) shoot(name string) {
	p.t.Helper()
	p.do("bring axe-core", does(chromedp.Evaluate[chromedp.Void](axe)))
	for _, width := range []int64{1280, 360} {
		for theme, rules := range map[string]string{"light": everything, "dark": colours} {
			if width == 360 {
				rules = map[string]string{"light": butContrast}[theme]
			}
			is := fmt.Sprintf("%s-%s-%d", name, theme, width)
			p.do("look at "+is, chromedp.EmulateViewport(width, 800), p.theme(theme))
			if over := read[int](p, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				p.t.Errorf("%s is %d px wider than its window", is, over)
			}
			if rules != "" {
				p.inspect(is, rules)
			}
			if keepsPictures() {
				p.picture(filepath.Join(p.t.ArtifactDir(), is+".png"))
			}
		}
	}
}

// keepsPictures tells whether somebody wants to see the pages: pictures take longer than everything else.
func keepsPictures() bool {
	f := flag.Lookup("test.artifacts")
	return f != nil && f.Value.String() == "true"
}

// theme has the person prefer a theme, and no motion.
func (p *tab) theme(theme string) chromedp.Action[chromedp.Void] {
	return call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// inspect has axe-core look at the page that is shown.
func (p *tab) inspect(is, rules string) {
	p.t.Helper()
	for _, v := range read[[]violation](p, fmt.Sprintf(inspect, rules)) {
		p.t.Errorf("%s: %s (%s)", is, v.Help, v.ID)
		for _, n := range v.Nodes[:min(len(v.Nodes), 3)] {
			p.t.Logf("  %s\n  %s", n.HTML, n.Summary)
		}
	}
}

// picture keeps a picture of the whole page.
func (p *tab) picture(path string) {
	p.t.Helper()
	var png []byte
	p.do("take a picture", keep(chromedp.FullScreenshot(100), &png))
	if err := os.WriteFile(path, png, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// furnish fills a simulator with what every page has something to show of, and lists the pages.
func furnish(t *testing.T, s *simtest.Sim) []string {
	t.Helper()
	ctx := t.Context()
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme Production", Release: "15.1.0", ExceptionalSizing: true})
	for _, spec := range []api.DPESpec{{Name: "Finance warehouse", Replicas: 2}, {Name: "HR", ExceptionalSizing: sim.Sizing{CPULimit: "3", Disk: "250Gi"}}} {
		if _, err := s.API.AddDPE(ctx, env.ID, spec); err != nil {
			t.Fatal(err)
		}
	}
	newTerminal(t, s).deploy(env.ID, "finance-warehouse")
	for l, task := range map[sim.Label]api.Task{"finance-warehouse": api.TaskVerify, "hr": api.TaskRollback} { // the latter has nothing to go back to
		r, err := s.API.StartRun(ctx, env.ID, l, api.RunSpec{Task: task})
		if err == nil {
			_, err = s.API.FollowRun(ctx, env.ID, l, r.ID, 0, func(api.OutputLine) error { return nil })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"birdstrikes.csv", "none.csv"} {
		if _, err := s.API.SubmitJob(ctx, env.ID, api.JobSpec{Bucket: "sample-data", Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.API.UpgradeEnvironment(ctx, env.ID, "15.3.0", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.Arm(ctx, api.Fault{Name: "slow storage", Point: "objstore.get", Delay: "200ms"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.ScaleManaged(ctx, env.ID, 1, 0); err != nil {
		t.Fatal(err)
	}
	return append(pagesOf(string(env.ID), "finance-warehouse"), "/environments/acme-production/dpes/hr/installation", "/environments/acme-production/dpes/hr/edit")
}

// pagesOf lists the pages that a simulator has about an environment and a DPE of it, and about none.
func pagesOf(env, label string) []string {
	e := "/environments/" + env
	d := e + "/dpes/" + label
	return []string{
		"/environments", "/environments/new", "/audit", "/account", e + "/overview", e + "/services", e + "/dpm", e + "/storage", e + "/storage/sample-data", e + "/settings", e + "/jobs", e + "/delete", e + "/dpes/new", e + "/allowlist", e + "/compliance", e + "/upgrade",
		d + "/installation", d + "/upgrade", d + "/edit", d + "/remove",
		"/room", "/room/cluster", "/room/timeline", "/room/controls", "/room/why?subject=dpe/" + label, "/nothing",
	}
}
