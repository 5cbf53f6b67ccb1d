package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dpesim/dpesim/sim/cli"
	"github.com/dpesim/dpesim/sim/simtest"
)

// failing is a scenario that fails, for a report that has something of everything.
const failing = "---\ntitle: Two replicas and no room\nsummary: For a test.\n---\n\n## Create\n\n```sh run\ndpesim environment create Acme\ndpesim dpe add acme Finance\nsay done\n```\n\n" +
	"## Wait\n\nNobody installs it.\n\n```sh check\nprintf '%0200d\\n' {1..60}\nexpect dpe/acme/finance status.state=connected\n```\n\n```text hint\nInstall it.\n```\n\n## Never\n\n```sh check\ntrue\n```\n"

func TestReportsOfScenariosInABrowser(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "failing.md"), []byte(failing), 0o600); err != nil {
		t.Fatal(err)
	}
	code := cli.Main(t.Context(), cli.Env{
		Args: []string{"scenario", "run", "failing.md", "--repeat", "2", "--html", "report.html", "--bundle", ""}, Dir: dir,
		Stdout: t.Output(), Stderr: t.Output(), Getenv: func(string) string { return "" }, Environ: func() []string { return nil },
	})
	if code != 1 {
		t.Fatalf("exit code %d", code)
	}
	p := b.open(t, simtest.Start(t))
	p.base = "file://" + filepath.ToSlash(dir)
	p.visit("/report.html")
	p.sees("2 of 2 scenarios failed", "Install it.", "nobody has installed it yet", "status.state=connected: is not_connected", "not run")
	if n := read[int](p, `performance.getEntriesByType("resource").length`); n != 0 {
		t.Errorf("the page loads %d other files", n)
	}
	p.shoot("scenario-report")
}
