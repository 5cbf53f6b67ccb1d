package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// zipped gives an archive of files.
func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// upgrade changes values of an installed DPE, and does not wait.
func (p *process) upgrade(label, release, set string) {
	p.tb.Helper()
	e := p.endpoints()
	p.run("helm", "upgrade", label, "oci://"+e.RegistryHost()+"/charts/dpe", "--version", release, "--namespace", "dpe", "--ca-file", e.CA, "--reuse-values", "--set", set)
}

// pod waits until the container of a pod is in a state, and gives the pod's name.
func (p *process) pod(what string, is func(corev1.ContainerStatus) bool) (name string) {
	p.tb.Helper()
	until(p.tb, what, func() bool {
		var pods corev1.PodList
		if err := json.Unmarshal([]byte(p.run("kubectl", "--namespace", "dpe", "get", "pods", "--output", "json")), &pods); err != nil {
			p.tb.Fatal(err)
		}
		for _, pod := range pods.Items {
			if slices.ContainsFunc(pod.Status.ContainerStatuses, is) {
				name = pod.Name
				return true
			}
		}
		return false
	})
	return name
}

func (p *process) has(what, text string, words ...string) {
	p.tb.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			p.tb.Errorf("%s: no %q in\n%s", what, w, text)
		}
	}
}

// TestEnginesThatDoNotStart installs an engine with connectors of the organisation's own, then with a digest that is not
// theirs, and with less memory than it needs: what an operator sees of that. The engine that ran goes on running.
func TestEnginesThatDoNotStart(t *testing.T) {
	t.Parallel()
	p, _ := start(t, "dpesim")
	p.run("environment", "create", "Acme", "--release", "15.3.0")
	archive := zipped(t, map[string]string{
		"drivers/configs/auroraPostgres/auroraPostgres.properties": "plugin.jdbcdatasource.ataccama.one.driver.aurora.driver-class=org.postgresql.Driver\n",
		"drivers/drivers/auroraPostgres/postgresql-42.4.1.jar":     zipped(t, map[string]string{"org/postgresql/Driver.class": "x"}),
	})
	p.write("drivers.zip", archive)
	p.run("s3", "put", "acme", "drivers.zip", "custom-drivers/drivers.zip")
	p.install("acme", "Finance", "finance", "15.3.0", 1)

	p.upgrade("finance", "15.3.0", "customJdbcDrivers.enabled=true,customJdbcDrivers.sha256="+digest(archive))
	p.run("kubectl", "--namespace", "dpe", "rollout", "status", "deployment/finance", "--timeout", "60s")
	p.has("log", p.run("kubectl", "--namespace", "dpe", "logs", "deployment/finance"), "custom drivers loaded", "verified=true")
	p.has("engines", p.run("environment", "engines", "acme", "-o", "json"), "driver:auroraPostgres")

	other := strings.Repeat("0", 64)
	p.upgrade("finance", "15.3.0", "customJdbcDrivers.sha256="+other)
	crashed := p.pod("the engine is in CrashLoopBackOff", func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff"
	})
	refusal := "the DPE refuses to start: the archive custom-drivers/drivers.zip of custom drivers is not the expected one: its SHA-256 is " +
		digest(archive) + ", customJdbcDrivers.sha256 says " + other
	p.has("log", p.run("kubectl", "--namespace", "dpe", "logs", crashed, "--previous"), refusal, "put its digest into customJdbcDrivers.sha256")
	p.has("events", p.run("kubectl", "--namespace", "dpe", "describe", "pod", crashed), "Back-off restarting failed container dpe in pod "+crashed, "Exit Code:    1")
	p.has("why", p.run("why", "pod/"+crashed), "container exited: Error", "exit_code=1", "kubectl logs "+crashed+" -n dpe --previous")
	p.run("wait", "acme/finance")

	p.run("helm", "rollback", "finance", "2", "--namespace", "dpe", "--wait", "--timeout", "60s")
	p.upgrade("finance", "15.3.0", "resources.requests.memory=256Mi,resources.limits.memory=256Mi")
	killed := p.pod("the engine is OOMKilled", func(c corev1.ContainerStatus) bool {
		last := c.LastTerminationState.Terminated
		return last != nil && last.Reason == "OOMKilled" && last.ExitCode == 137
	})
	p.has("describe", p.run("kubectl", "--namespace", "dpe", "describe", "pod", killed), "OOMKilled", "Exit Code:    137", "memory:  256Mi")
	p.has("why", p.run("why", "pod/"+killed), "container exited: OOMKilled", "exit_code=137")
	p.run("wait", "acme/finance")
	p.run("helm", "uninstall", "finance", "--namespace", "dpe", "--wait", "--timeout", "60s")
	p.stop()
}
