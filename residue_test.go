package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/residue"
)

const holds = "example.com/hold" // a finalizer that nobody but the test takes away

// TestResidueIsRightAfterAKillInMidUninstall blocks the deletion of a release's ConfigMap, kills `up --data` while helm waits
// for it, and starts it again: the ledger has lost nothing and tells nothing false, and what stays behind is said to leak
// until it is gone.
func TestResidueIsRightAfterAKillInMidUninstall(t *testing.T) {
	t.Parallel()
	p, _ := start(t, "dpesim", "--data", t.TempDir())
	p.run("environment", "create", "Acme", "--release", "15.1.0")
	p.install("acme", "Finance", "finance", "15.1.0", 1)
	p.run("wait", "acme/finance")
	p.run("kubectl", "patch", "configmap", "finance", "--namespace", "dpe", "--type", "merge", "--patch", `{"metadata":{"finalizers":["`+holds+`"]}}`)
	before := ledger(p, residue.InUse)
	p.run("residue", "--none")

	helm := p.command("helm", "uninstall", "finance", "--namespace", "dpe", "--wait", "--timeout", "60s")
	if err := helm.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the deletion of the ConfigMap has begun", func() bool {
		return p.run("kubectl", "get", "configmap", "finance", "--namespace", "dpe", "--output", "jsonpath={.metadata.deletionTimestamp}") != ""
	})
	p.kill()
	_ = helm.Process.Signal(os.Interrupt) // it may have ended with the cluster
	if helm.Wait() == nil {
		t.Error("helm says that it has uninstalled what is still there")
	}
	p.up()

	until(t, "the ledger says of the cluster what kubectl says", func() bool {
		return maps.Equal(inCluster(p), keysOf(ledger(p, residue.InUse, residue.Kept, residue.Leaked, residue.Foreign), residue.SideCluster))
	})
	after := ledger(p, residue.InUse, residue.Kept, residue.Leaked, residue.Foreign, residue.Gone)
	for at, e := range before {
		x, ok := after[at]
		switch {
		case !ok && e.Kind != residue.KindStream: // that is of another connection
			t.Errorf("lost: %+v", e)
		case e.Side != residue.SideCluster && e.Kind != residue.KindStream && x.Class != residue.InUse:
			t.Errorf("of a DPE that is in the portal: %+v", x)
		case ok && (x.By != e.By || !x.Created.Equal(e.Created)):
			t.Errorf("%s was made by %q at %s, and now by %q at %s", at, e.By, e.Created, x.By, x.Created)
		}
	}
	p.run("residue", "--none") // the DPE is in the portal, and its release is not uninstalled: nothing leaks yet

	p.run("dpe", "remove", "acme", "finance", "--yes")
	p.leaks("ConfigMap", "dpe/finance", "its Helm release is still installed; its deletion waits for the finalizer "+holds, "things leaked")
	p.run("helm", "uninstall", "finance", "--namespace", "dpe")
	until(t, "the ConfigMap alone leaks", func() bool {
		return maps.Equal(keysOf(ledger(p, residue.Leaked), residue.SideCluster), map[string]bool{"ConfigMap dpe/finance": true})
	})
	p.leaks("ConfigMap", "dpe/finance", "its Helm release was uninstalled; its deletion waits for the finalizer "+holds, "1 things leaked")

	p.run("kubectl", "patch", "configmap", "finance", "--namespace", "dpe", "--type", "merge", "--patch", `{"metadata":{"finalizers":null}}`)
	p.run("residue", "--none", "--timeout", "30s")
	for _, e := range ledger(p, residue.InUse) {
		if e.DPE != "" {
			t.Errorf("in use by a DPE that is gone: %+v", e)
		}
	}
	p.stop()
}

// leaks runs `residue --none`, which must fail and say each of the words.
func (p *process) leaks(words ...string) {
	p.tb.Helper()
	var out bytes.Buffer
	cmd := p.command("residue", "--none")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		p.tb.Errorf("residue --none: %v, want exit code 1\n%s", err, &out)
	}
	for _, w := range words {
		if !strings.Contains(out.String(), w) {
			p.tb.Errorf("residue --none does not say %q:\n%s", w, &out)
		}
	}
}

// ledger gives the entries of some classes, by what they are.
func ledger(p *process, classes ...residue.Class) map[string]residue.Entry {
	p.tb.Helper()
	out := map[string]residue.Entry{}
	for _, e := range decode[[]residue.Entry](p.tb, p.run("residue", "--all", "-o", "json")) {
		if slices.Contains(classes, e.Class) {
			out[string(e.Side)+" "+e.Kind+" "+e.Name+" "+e.ID] = e
		}
	}
	return out
}

// keysOf gives kinds and names of a side's entries that are objects in the namespace dpe.
func keysOf(entries map[string]residue.Entry, side residue.Side) map[string]bool {
	out := map[string]bool{}
	for _, e := range entries {
		if e.Side == side && e.Kind != residue.KindRelease && strings.HasPrefix(e.Name, "dpe/") {
			out[e.Kind+" "+e.Name] = true
		}
	}
	return out
}

// inCluster gives the same as kubectl sees it.
func inCluster(p *process) map[string]bool {
	p.tb.Helper()
	kinds := strings.Fields(p.run("kubectl", "api-resources", "--namespaced", "--verbs", "list,watch,delete", "--output", "name"))
	kinds = slices.DeleteFunc(kinds, func(k string) bool { // they come and go by themselves
		return k == "events" || strings.HasPrefix(k, "events.") || strings.HasPrefix(k, "leases.") || strings.HasSuffix(k, ".metrics.k8s.io")
	})
	list := decode[struct {
		Items []struct {
			Kind     string
			Metadata struct{ Name string }
		}
	}](p.tb, p.run("kubectl", "get", strings.Join(kinds, ","), "--namespace", "dpe", "--output", "json"))
	out := map[string]bool{}
	for _, o := range list.Items {
		out[o.Kind+" dpe/"+o.Metadata.Name] = true
	}
	return out
}

// Objects of a release that are in no namespace are in the ledger as any: in use, leaked, gone.
func TestResidueOfClusterScopedObjects(t *testing.T) {
	t.Parallel()
	exe, err := exec.LookPath("dpesim")
	if err != nil {
		t.Fatal(err)
	}
	o := newOperator(t, tools{dpesim: exe}, helmCLI{})
	o.run("environment", "create", "Acme", "--release", "15.1.0")
	clusterScoped(o, false)
	o.stop()
}

// scopedChart is a chart whose objects are in no namespace. What begins with "real" is for a real cluster: the one in the
// process does not serve those kinds.
var scopedChart = map[string]string{
	"Chart.yaml": "apiVersion: v2\nname: scoped\nversion: 1.0.0\n",
	"templates/roles.yaml": `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: {{ .Release.Name }}}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: {{ .Release.Name }}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ .Release.Name }}}
subjects: [{kind: ServiceAccount, name: default, namespace: {{ .Release.Namespace }}}]
`,
	"real templates/hooks.yaml": `{{- range list "Validating" "Mutating" }}
apiVersion: admissionregistration.k8s.io/v1
kind: {{ . }}WebhookConfiguration
metadata: {name: {{ $.Release.Name }}}
webhooks:
- name: nothing.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {url: "https://nowhere.example.com/"}
  rules: [{apiGroups: [example.com], apiVersions: [v9], resources: [nothings], operations: [CREATE]}]
---
{{- end }}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: {{ .Release.Name }}}
`,
	"real crds/widgets.yaml": `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: widgets, singular: widget, kind: Widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`,
}

// clusterScoped lets an operator install and uninstall such a chart as a DPE's release, with something that stays.
func clusterScoped(o *operator, realCluster bool) {
	o.tb.Helper()
	for name, text := range scopedChart {
		name, only := strings.CutPrefix(name, "real ")
		if only && !realCluster {
			continue
		}
		at := filepath.Join("scoped", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Join(o.dir, filepath.Dir(at)), 0o700); err != nil {
			o.tb.Fatal(err)
		}
		o.write(at, text)
	}
	objects := []string{"ClusterRole/scoped", "ClusterRoleBinding/scoped"}
	if realCluster {
		objects = append(objects, "ValidatingWebhookConfiguration/scoped", "MutatingWebhookConfiguration/scoped",
			"CustomResourceDefinition/gadgets.example.com", "CustomResourceDefinition/widgets.example.com", "Widget/scoped")
	}
	expect := func(object string, class residue.Class, reason string) {
		o.tb.Helper()
		kind, name, _ := strings.Cut(object, "/")
		until(o.tb, fmt.Sprintf("%s is %s: %s", object, class, reason), func() bool {
			e := o.entry(kind, name)
			return e.Class == class && strings.Contains(e.Reason, reason) && e.DPE == "scoped"
		})
	}
	o.run("dpe", "add", "acme", "Scoped")
	o.does("helm install scoped ./scoped --namespace scoped --create-namespace --wait", "STATUS: deployed")
	for _, object := range objects {
		expect(object, residue.InUse, "its Helm release is installed")
	}
	o.run("residue", "--none")

	held := strings.Split(objects[0], "/")
	o.run("kubectl", "patch", held[0], held[1], "--type", "merge", "--patch", `{"metadata":{"finalizers":["`+holds+`"]}}`)
	o.run("dpe", "remove", "acme", "scoped", "--yes")
	for _, object := range objects {
		expect(object, residue.Leaked, "its Helm release is still installed")
	}
	o.does("helm uninstall scoped --namespace scoped", `release "scoped" uninstalled`)
	expect(objects[0], residue.Leaked, "its Helm release was uninstalled; its deletion waits for the finalizer "+holds)
	for _, object := range objects[1:] {
		if object == "CustomResourceDefinition/widgets.example.com" {
			expect(object, residue.Kept, "Helm never deletes a definition that a chart brings in its folder crds/")
			continue
		}
		expect(object, residue.Gone, "")
	}
	o.leaks(held[0], held[1], "1 things leaked")
	o.run("kubectl", "patch", held[0], held[1], "--type", "merge", "--patch", `{"metadata":{"finalizers":null}}`)
	o.run("residue", "--none", "--timeout", "30s")
	expect(objects[0], residue.Gone, "")
}

// entry gives the latest entry of an object that is in no namespace.
func (p *process) entry(kind, name string) (latest residue.Entry) {
	p.tb.Helper()
	for _, e := range decode[[]residue.Entry](p.tb, p.run("residue", "--all", "-o", "json")) {
		if e.Side == residue.SideCluster && e.Kind == kind && e.Name == name && (latest.Class == "" || latest.Gone != nil) {
			latest = e
		}
	}
	return latest
}
