package main

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
)

// TestHelm pastes the portal's commands into a shell, with each helm that they are for: the life of a DPE from login to
// removal in each variant, and what operators dread.
func TestHelm(t *testing.T) {
	t.Parallel()
	with := buildTools(t)
	for _, helm := range with.helms {
		t.Run(helm.name, func(t *testing.T) {
			t.Parallel()
			m := startMirror(t)
			o := newOperator(t, with, helm, "--node-ca", m.file)
			o.run("environment", "create", "Acme", "--release", "15.1.0")
			o.run("dpe", "add", "acme", "Finance", "--drivers", "postgresql")
			direct(o)
			privateCA(o, "127.0.0.1")
			mirrored(o, m)
			o.stop()
		})
		t.Run(helm.name+", mishaps", func(t *testing.T) {
			t.Parallel()
			o := newOperator(t, with, helm, "--data", t.TempDir())
			mishaps(o)
			o.stop()
		})
	}
}

// direct lives through the plain variant.
func direct(o *operator) {
	c := o.commands("acme", "finance", api.VariantDirect)
	o.paste(c.Prepare, "Login Succeeded")
	o.paste(c.Install, "STATUS: deployed", "Look at these next")
	o.paste(c.Verify, "1/1", "successfully rolled out", "Pulled", "Succeeded")
	o.run("wait", "acme/finance")

	o.run("dpe", "edit", "acme", "finance", "--replicas", "2", "--drivers", "postgresql,s3")
	c = o.commands("acme", "finance", api.VariantDirect)
	diff, code := o.try(c.Diff[0].Command)
	if code != 1 {
		o.tb.Errorf("exit code %d of the diff:\n%s", code, diff)
	}
	o.says("diff", diff, []string{"-  replicas: 1", "+  replicas: 2", "-    ataccama.dpe.drivers=postgresql\n", "+    ataccama.dpe.drivers=postgresql,s3\n"})
	o.paste(c.Install)
	o.run("wait", "acme/finance", "replicas_connected=2")
	o.run("wait", "acme/finance", "redeploy_needed=false")
	if diff, code := o.try(c.Diff[0].Command); code != 0 {
		o.tb.Errorf("exit code %d of a diff with nothing to change:\n%s", code, diff)
	}

	o.run("environment", "upgrade", "acme", "15.3.0")
	o.write("old.yaml", o.read("values.yaml"))
	c = o.commands("acme", "finance", api.VariantDirect)
	o.fails(strings.Replace(c.Install[0].Command, "-f values.yaml", "-f old.yaml", 1), "values don't meet the specifications of the schema(s)", o.helm.missing)
	o.paste(c.Install)
	o.run("wait", "acme/finance", "outdated=false")

	o.paste(c.Rollback, "dpe-15.1.0", "dpe-15.3.0", "superseded", "Rollback was a success! Happy Helming!")
	o.run("wait", "acme/finance", "outdated=true")
	o.paste(c.Uninstall, `release "finance" uninstalled`, `namespace "dpe" deleted`)
	o.fails("helm status finance --namespace dpe", "release: not found")
}

// privateCA lives through the variant with a CA of the organisation's own, behind a proxy at the address host that opens the engine's
// TLS.
func privateCA(o *operator, host string) {
	c := o.commands("acme", "finance", api.VariantPrivateCA)
	proxy := startInspector(o, host)
	o.write("corporate-ca.pem", proxy.ca)
	o.paste(c.Prepare, "Login Succeeded")
	through := c.Install[0].Command + " --set proxy.httpsProxy=" + proxy.url
	o.does(strings.NewReplacer("--set-file extraCaCertificates.corporate=corporate-ca.pem", "", "--wait", "").Replace(through), "STATUS: deployed")
	until(o.tb, "the engine does not trust the proxy", func() bool {
		out, _ := o.try("kubectl --namespace dpe logs deployment/finance")
		return strings.Contains(out, "certificate signed by unknown authority")
	})
	o.does(through, "STATUS: deployed")
	o.paste(c.Verify, "Succeeded")
	o.run("wait", "acme/finance", "replicas_connected=2")
	for _, service := range []string{"dpm-grpc-acme.", "minio-acme."} {
		if _, ok := proxy.hosts.Load(service + o.endpoints().Domain); !ok {
			o.tb.Errorf("nothing went through the proxy to %s%s", service, o.endpoints().Domain)
		}
	}
	o.paste(c.Uninstall)
}

// mirrored lives through the variant with a registry of the organisation's own.
func mirrored(o *operator, m mirror) {
	c := o.commands("acme", "finance", api.VariantMirror)
	o.fails(c.Prepare[0].Command, "MIRROR", "set it to the host of your registry")
	o.env = append(o.env, "MIRROR="+m.host, "MIRROR_CA=mirror-ca.pem")
	o.write("mirror-ca.pem", m.certificate)
	o.paste(c.Prepare, "Login Succeeded", "Pushed: "+m.host+"/charts/dpe:15.3.0")
	o.paste(c.Install, "STATUS: deployed")
	o.paste(c.Verify, "1/1", `Successfully pulled image "`+m.host+`/images/dpe:15.3.0"`, "Succeeded")
	o.run("wait", "acme/finance", "replicas_connected=2")
	o.paste(c.Uninstall)
}
