package main

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// pictures has TestPictures write the README's: DPESIM_TEST_REQUIRE=chromium go test -run TestPictures -pictures docs/img .
var pictures = flag.String("pictures", "", "folder to write the README's pictures to")

// mostBytes bounds a picture of the README.
const mostBytes = 200_000

// TestPictures takes the README's pictures of a simulator in which something is going on.
func TestPictures(t *testing.T) {
	t.Parallel()
	if *pictures == "" {
		t.Skip("it writes the README's pictures: say where to by -pictures docs/img")
	}
	b := newBrowser(t)
	c := scene{t, b, startWhole(t)}
	c.lively()
	const env = "/environments/acme-production"
	p := c.as("tess")
	p.visit(env + "/dpes/pier/installation")
	p.follow("Run it here: Steps 2 and 3")
	p.sees("STATUS: deployed", "finished in", "DPE is connected successfully")
	for _, x := range []struct {
		name, theme, path string
		width, height     int64
		ready             string // what has to be seen
	}{
		{"settings", "light", env + "/settings", 1280, 900, "Outdated"},
		{"installation-dark", "dark", env + "/dpes/finance-warehouse/installation", 1280, 900, "You need"},
		{"run", "light", env + "/dpes/pier/installation", 1280, 900, "STATUS: deployed"},
		{"perimeter", "light", "/room", 1280, 1000, "Open connections"},
		{"cluster-dark", "dark", "/room/cluster", 1280, 1000, "Pods"},
		{"telephone", "light", env + "/settings", 360, 780, "Outdated"},
	} {
		p.do("be so wide", chromedp.EmulateViewport(x.width, x.height), p.theme(x.theme))
		p.visit(x.path)
		p.sees(x.ready)
		read[bool](p, `document.querySelector("pre")?.scrollTo(0, 0) === undefined`) // what was run stands before what came of it
		var shot []byte
		p.do("take a picture", keep(chromedp.CaptureScreenshot(), &shot))
		img, err := png.Decode(bytes.NewReader(shot))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img); err != nil {
			t.Fatal(err)
		}
		if out.Len() > mostBytes {
			t.Errorf("%s has %d bytes", x.name, out.Len())
		}
		if err := os.WriteFile(filepath.Join(*pictures, x.name+".png"), out.Bytes(), 0o644); err != nil { //nolint:gosec // for everybody to see
			t.Fatal(err)
		}
	}
}

// lively fills a simulator: DPEs of which one is up to date, one lags and one cannot connect, engines of the cloud's, jobs and a
// fault.
func (c scene) lively() {
	c.t.Helper()
	ctx, s := c.t.Context(), c.s
	s.Environment(c.t, api.EnvironmentSpec{Name: "Acme staging", Release: "15.3.0"})
	env := s.Environment(c.t, api.EnvironmentSpec{Name: "Acme production", Release: "15.1.0"})
	for _, spec := range []api.DPESpec{
		{Name: "Finance warehouse", Replicas: 2, Drivers: []sim.Driver{"postgresql", "snowflake", "s3"}}, {Name: "Sales EU", Replicas: 1, Drivers: []sim.Driver{"mssql", "s3"}}, {Name: "HR", Replicas: 1, Drivers: []sim.Driver{"oracle"}}, {Name: "Pier", Replicas: 1, Drivers: []sim.Driver{"s3"}},
	} {
		if _, err := s.API.AddDPE(ctx, env.ID, spec); err != nil {
			c.t.Fatal(err)
		}
	}
	o := newTerminal(c.t, s)
	o.deploy(env.ID, "finance-warehouse")
	o.deploy(env.ID, "sales-eu")
	if _, err := s.API.UpgradeEnvironment(ctx, env.ID, "15.3.0", 0); err != nil {
		c.t.Fatal(err)
	}
	o.deploy(env.ID, "finance-warehouse")
	if _, err := s.API.ScaleManaged(ctx, env.ID, 1, 0); err != nil {
		c.t.Fatal(err)
	}
	if _, err := s.API.Arm(ctx, api.Fault{Name: "line is cut", Point: "dpm.connect", Environment: env.ID, DPE: "hr", Error: "a digger has cut the line"}); err != nil {
		c.t.Fatal(err)
	}
	o.start(env.ID, "hr")
	for sub := s.Bus().Subscribe(0); ; {
		e, err := sub.Next(ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		if e.DPE == "hr" && e.What == "engine refused" {
			break
		}
	}
	for _, key := range []string{"birdstrikes.csv", "none.csv", "birdstrikes.csv"} {
		o.run("", "job", "submit", string(env.ID), "profile", "sample-data/"+key)
	}
}
