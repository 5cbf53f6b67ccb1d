package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/residue"
	"github.com/dpesim/dpesim/sim/simtest"
)

// On a real cluster an operator with the real helm pastes the portal's commands, the very ones that are pasted on the cluster
// in the process, also behind a proxy that opens TLS, and leaves nothing.
func TestOperatorOnKind(t *testing.T) { // not parallel: one cluster takes what the machine has
	simtest.RequireBuilt(t, "kind")
	simtest.RequireBuilt(t, "helm")
	name := fmt.Sprintf("dpesim-operator-%d", os.Getpid())
	t.Cleanup(func() { // nothing to do, if it was stopped
		_ = exec.Command("docker", "rm", "--force", "--volumes", name+"-control-plane").Run()
	})
	o := newOperator(t, tools{dpesim: compile(t, "dpesim", ".")}, buildHelm4(t), "--cluster", "kind", "--kind-name", name)
	o.run("environment", "create", "Acme", "--release", "15.1.0")
	o.run("dpe", "add", "acme", "Finance", "--drivers", "postgresql")
	direct(o)
	gateway := regexp.MustCompile(`(?m)^\s+- ip: "?([\d.]+)`).FindStringSubmatch(o.read("values.yaml")) // where pods find the cloud
	if gateway == nil {
		t.Fatalf("the values have no hostAliases:\n%s", o.read("values.yaml"))
	}
	privateCA(o, gateway[1])
	o.run("dpe", "remove", "acme", "finance", "--yes")
	o.run("residue", "--none", "--timeout", "60s")
	clusterScoped(o, true)
	for line := range strings.FieldsSeq(o.run("kubectl", "get", "mutatingadmissionpolicies,mutatingadmissionpolicybindings", "--output", `jsonpath={range .items[*]}{.kind}/{.metadata.name}{"\n"}{end}`)) {
		kind, name, _ := strings.Cut(line, "/")
		if e := o.entry(kind, name); e.Class != residue.Own {
			t.Errorf("%s is %q, because %q", line, e.Class, e.Reason)
		}
	}
	o.stop()
}
