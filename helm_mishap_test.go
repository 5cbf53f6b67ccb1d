package main

import (
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/portal/api"
)

// mishaps does what operators dread, and what docs/troubleshooting.md says then.
func mishaps(o *operator) {
	o.run("environment", "create", "Acme", "--release", "15.3.0")
	o.run("dpe", "add", "acme", "Finance")
	c := o.commands("acme", "finance", api.VariantDirect)
	install := c.Install[0].Command

	o.fails(strings.Replace(c.Prepare[0].Command, "< registry-token", "< ca.pem", 1), o.helm.refused)
	o.paste(c.Prepare)
	o.write("typo.yaml", "replicaCounts: 3\n")
	o.fails(install+" -f typo.yaml", "values don't meet the specifications of the schema(s)", o.helm.unknown)
	o.fails("helm status finance --namespace dpe", "release: not found")

	o.paste(c.Install)
	for _, command := range shown(o.tb, "docs/troubleshooting.md", "Where to look first") {
		o.does(command)
	}
	looksBack(o)
	failedRollsBack(o, c)
	fullCluster(o, c)
	killed(o, c)
	o.stop()
	o.up()
	o.run("wait", "acme/finance")
	o.does(c.Rollback[0].Command, "deployed", "superseded", "Rollback to 1")
	o.paste(c.Verify[3:], "Succeeded")
	removed(o, c)
}

// looksBack reads what helm keeps of a release. The values that the operator gave hold secrets: only a line is shown.
func looksBack(o *operator) {
	const of = " finance --namespace dpe"
	o.does("helm history"+of, "deployed", "dpe-15.3.0", "Install complete")
	o.does("helm get values"+of+" | grep replicaCount", "replicaCount: 1")
	o.does("helm get manifest"+of+" | grep '^kind: ' | sort -u", "kind: ConfigMap", "kind: Deployment", "kind: PodDisruptionBudget", "kind: Secret", "kind: Service")
	o.does("helm get notes"+of, "DPE finance 15.3.0 for environment acme: 1 replica(s)", "Look at these next")
	o.does("helm get hooks"+of, "helm.sh/hook: test")
	o.does("helm list --namespace dpe", "finance", "deployed", "15.3.0")
}

const noSuchImage = " --set image.tag=9.9.9"

// failedRollsBack: with the flag for it, helm undoes an update that does not become ready.
func failedRollsBack(o *operator, c api.Installation) {
	o.fails(c.Install[0].Command+noSuchImage+" --timeout 6s "+o.helm.rollback, "has been rolled back due to")
	o.does(c.Verify[2].Command, "ErrImagePull", "/images/dpe:9.9.9: not found")
	o.does(c.Rollback[0].Command, "failed", "Rollback to 1")
	o.does(c.Verify[1].Command, "successfully rolled out")
}

// fullCluster: three replicas fill three nodes; an update finds no room for the one more that it starts first, and helm
// waits in vain. The replicas that ran go on running, and a rollback makes all well.
func fullCluster(o *operator, c api.Installation) {
	const full = " --set replicaCount=3,resources.requests.memory=7Gi,resources.limits.memory=7Gi"
	o.does(c.Install[0].Command+full, "STATUS: deployed")
	o.run("wait", "acme/finance", "replicas_connected=3")
	o.fails(c.Install[0].Command+full+" --set podAnnotations.update=again --timeout 6s", "context deadline exceeded")
	o.does(c.Verify[2].Command, "FailedScheduling", "0/3 nodes are available: 3 Insufficient memory.")
	o.does(c.Rollback[0].Command, "failed", `Upgrade "finance" failed`)
	o.run("wait", "acme/finance", "replicas_connected=3")
	o.does(c.Rollback[1].Command, "Rollback was a success! Happy Helming!")
	o.paste(c.Install) // once more, as the portal wants it
	o.run("wait", "acme/finance", "replicas_connected=1")
}

// killed: a helm that dies in mid-upgrade leaves the release locked. A rollback frees it: the portal's, and the one of
// docs/troubleshooting.md, which names the revision.
func killed(o *operator, c api.Installation) {
	if o.helm.path == "" {
		return // it is a child of the process that could be killed here; it is the same helm as one of the others
	}
	killUpgrade(o, c)
	o.fails(c.Install[0].Command, "another operation (install/upgrade/rollback) is in progress")
	o.paste(c.Rollback, "pending-upgrade", "Rollback was a success! Happy Helming!")

	killUpgrade(o, c)
	history, _ := o.try(c.Rollback[0].Command + " --output json")
	var last int
	for _, r := range decode[[]struct {
		Revision int    `json:"revision"`
		Status   string `json:"status"`
	}](o.tb, history) {
		if r.Status == "deployed" || r.Status == "superseded" {
			last = r.Revision
		}
	}
	for _, command := range shown(o.tb, "docs/troubleshooting.md", "`another operation (install/upgrade/rollback) is in progress`") {
		o.does(strings.ReplaceAll(command, "REVISION", strconv.Itoa(last)))
	}
	o.paste(c.Install)
	o.run("wait", "acme/finance", "replicas_connected=1")
}

// killUpgrade starts an upgrade that waits, and kills helm.
func killUpgrade(o *operator, c api.Installation) {
	cmd := o.shell("exec " + c.Install[0].Command + noSuchImage) // exec: what is killed is helm, not the shell
	if err := cmd.Start(); err != nil {
		o.tb.Fatal(err)
	}
	until(o.tb, "the upgrade is under way", func() bool {
		out, _ := o.try(c.Rollback[0].Command)
		return strings.Contains(out, "pending-upgrade")
	})
	if err := cmd.Process.Kill(); err != nil {
		o.tb.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed" is what we want
}

// removed: who removes a DPE in the portal has not uninstalled it. Its engine is refused and not ready any more, which
// helm's test says.
func removed(o *operator, c api.Installation) {
	o.run("dpe", "remove", "acme", "finance", "--yes")
	until(o.tb, "the engine is not ready", func() bool {
		out, _ := o.try(c.Verify[0].Command)
		return strings.Contains(out, "0/1")
	})
	o.fails(c.Verify[3].Command, "pod finance-test failed")
	o.does("kubectl --namespace dpe logs finance-test", "readiness")
	o.paste(c.Uninstall[:1], `release "finance" uninstalled`)
	o.fails("helm history finance --namespace dpe", "release: not found")
}
