package registry_test

import (
	"bytes"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/registry"
)

// pusher may do everything in repositories that are not the vendor's.
var pusher = registry.Token{User: "mirror", Secret: "mirror-token", Grants: []registry.Grant{{
	Repositories: "*", Actions: []registry.Action{registry.ActionPull, registry.ActionPush, registry.ActionDelete},
}}}

// TestTheRegistryPassesTheConformanceSuite builds the suite of the OCI distribution specification, of the version that
// .ci/conformance.mod pins, and runs it: of the stable specification and of the one in the making.
func TestTheRegistryPassesTheConformanceSuite(t *testing.T) {
	t.Parallel()
	if !strings.Contains(os.Getenv("DPESIM_TEST_REQUIRE"), "conformance") {
		t.Skip("builds the OCI conformance suite: set DPESIM_TEST_REQUIRE=conformance")
	}
	suite := filepath.Join(t.TempDir(), "conformance")
	build := exec.CommandContext(t.Context(), "go", "build", "-modfile=../../.ci/conformance.mod", "-o", suite, "github.com/opencontainers/distribution-spec/conformance")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the suite: %v\n%s", err, out)
	}
	for _, version := range []string{"1.1", "1.1+dev"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			if err := f.PutToken(t.Context(), pusher); err != nil {
				t.Fatal(err)
			}
			results := t.TempDir()
			ca := filepath.Join(results, "ca.pem")
			if err := os.WriteFile(ca, f.ca.PEM(), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), suite)
			cmd.Dir = results
			cmd.Env = append(os.Environ(), "OCI_VERSION="+version, "OCI_REGISTRY="+f.host, "SSL_CERT_FILE="+ca, "OCI_RESULTS_DIR="+results,
				"OCI_USERNAME="+pusher.User, "OCI_PASSWORD="+pusher.Secret.Reveal())
			var output bytes.Buffer
			cmd.Stdout, cmd.Stderr = &output, &output
			failed := cmd.Run()
			b, err := os.ReadFile(filepath.Join(results, "junit.xml"))
			if err != nil {
				t.Fatalf("the suite left no report: %v\n%s", err, &output)
			}
			var report struct {
				Suites []struct {
					Tests    int `xml:"tests,attr"`
					Failures int `xml:"failures,attr"`
					Errors   int `xml:"errors,attr"`
					Skipped  int `xml:"skipped,attr"`
					Disabled int `xml:"disabled,attr"`
					Cases    []struct {
						Name   string `xml:"name,attr"`
						Status string `xml:"status,attr"`
						Output string `xml:"system-out"`
					} `xml:"testcase"`
				} `xml:"testsuite"`
			}
			if err := xml.Unmarshal(b, &report); err != nil || len(report.Suites) != 1 {
				t.Fatalf("the suite's report: %v\n%s", err, b)
			}
			s := report.Suites[0]
			t.Logf("OCI distribution conformance %s: %d tests: %d passed, %d failed, %d errors, %d skipped, %d disabled by the version",
				version, s.Tests, s.Tests-s.Failures-s.Errors-s.Skipped-s.Disabled, s.Failures, s.Errors, s.Skipped, s.Disabled)
			for _, c := range s.Cases {
				if c.Status != "passed" && c.Status != "skipped" {
					t.Logf("%s: %s: %.300s", c.Status, c.Name, c.Output)
				}
			}
			if failed != nil || s.Failures+s.Errors > 0 || s.Tests < 500 {
				t.Errorf("the suite: %v", failed)
			}
		})
	}
}
