package portal

import (
	"fmt"
	"time"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// The files that the installation commands name, and the namespace that they install into (assumption).
const (
	valuesFile  = "values.yaml"
	tokenFile   = "registry-token"
	caFile      = "ca.pem"
	ownCAFile   = "corporate-ca.pem" // the operator's own, for the variant with a private CA
	bothCAFiles = "trusted-ca.pem"   // made by a command of that variant
	namespace   = "dpe"
)

// mirrorTrust is helm's flag for the CA of the operator's own registry, if there is need for it: one word in every shell.
const mirrorTrust = ` ${MIRROR_CA:+"--ca-file=$MIRROR_CA"}`

// commands gives the installation commands of a DPE, in every variant. They hold no secret: those are in the files that
// they read. They work with Helm 3.13 and newer and with Helm 4, in any POSIX shell.
func commands(d store.DPE, at api.Endpoints) api.Commands {
	out := api.Commands{
		Label: d.Label, Release: d.Release, Revision: d.Revision,
		Requirements: []api.Requirement{
			{Name: "Helm", Version: "3.13 or newer, or 4", Explanation: "The chart refuses an older one."},
			{Name: "Kubernetes", Version: "1.27 or newer", Explanation: "AKS or EKS, with room for one replica more than you run: updates start a new one before they stop an old one."},
		},
	}
	for _, v := range api.Variants() {
		out.Variants = append(out.Variants, installation(v, d, at))
	}
	return out
}

// target is what differs between the variants.
type target struct {
	title, explanation string
	files              []api.File
	prepare            []api.Command // before the login
	mirror             []api.Command // after it
	chart              string        // OCI reference, as the shell reads it
	trust              string        // file of the certificates that helm trusts at the vendor's registry
	flags              string        // of every command that renders the chart
	images             string        // what is to be known about the nodes' pulls
	notHere            string        // why it cannot be run on the simulator's own cluster; empty: it can
}

func targetOf(v api.Variant, d store.DPE, at api.Endpoints) target {
	vendor := "oci://" + at.Registry + "/charts/" + chart.Name
	switch v {
	case api.VariantMirror:
		return target{
			title:       "Mirrored registry",
			explanation: "Chart and images are copied into a registry of your own; the cluster needs no way to the vendor's.",
			prepare: []api.Command{{
				Title: "Name your registry",
				Explanation: "Set MIRROR first, to the host of your registry, for example with: export MIRROR=registry.example.com. Log in to it as it asks you to. " +
					"If this machine does not trust its certificate, set MIRROR_CA to the file in this folder (PEM) that has its CA.",
				Command: `: "${MIRROR:?set it to the host of your registry}"`,
			}},
			mirror: []api.Command{
				{
					Title:       "Copy the chart",
					Explanation: "Pulls the chart and pushes it to your registry.",
					Command: fmt.Sprintf(`helm pull %s --version %s --ca-file %s && helm push %s-%s.tgz "oci://$MIRROR/charts"%s`,
						vendor, d.Release, caFile, chart.Name, d.Release, mirrorTrust),
				},
				{
					Title:       "Copy the images",
					Explanation: "With crane, for all platforms. The variable makes it trust the certificates in this folder beside the system's; the real cloud needs it not.",
					Command: fmt.Sprintf(`crane auth login %s --username %s --password-stdin < %s && SSL_CERT_DIR=. crane copy %s/images/dpe:%s "$MIRROR/images/dpe:%s"`,
						at.Registry, d.RegistryUser, tokenFile, at.Registry, d.Release, d.Release),
				},
			},
			notHere: "It cannot be run here: it needs crane, which is no part of dpesim, and a registry of your own that you are logged in to.",
			chart:   `"oci://$MIRROR/charts/` + chart.Name + `"`, trust: caFile, flags: ` --set global.registry="$MIRROR"`,
			images: " The nodes' container runtime must trust your registry's CA: that is set up on the nodes. If your registry asks the nodes for a login, make a pull secret in the namespace and add: --set 'imagePullSecrets[0].name=NAME'.",
		}
	case api.VariantPrivateCA:
		return target{
			title: "Private CA",
			explanation: "For a network whose proxy opens TLS and signs with a CA of your own. helm and the engine trust that CA as well; " +
				"the proxy must handle gRPC (HTTP/2 with bidirectional streams).",
			files: []api.File{{Name: ownCAFile, Explanation: "Your own: the certificates (PEM) of your CA. They are no secret."}},
			prepare: []api.Command{{
				Title:       "Join the certificates",
				Explanation: "helm takes one file with all the authorities that it may meet.",
				Command:     fmt.Sprintf("cat %s %s > %s", caFile, ownCAFile, bothCAFiles),
			}},
			notHere: "It cannot be run here: it needs the certificates of your own CA (" + ownCAFile + "), which the portal does not have.",
			chart:   vendor, trust: bothCAFiles, flags: " --set-file extraCaCertificates.corporate=" + ownCAFile,
			images: " The nodes' container runtime must trust your CA too: that is set up on the nodes. If the engine shall use a proxy, add: --set proxy.httpsProxy=http://HOST:PORT.",
		}
	case api.VariantDirect:
	}
	return target{
		title:       "Direct",
		explanation: "helm and the cluster reach the vendor's registry themselves.",
		chart:       vendor, trust: caFile,
	}
}

// installation gives one variant's commands.
func installation(v api.Variant, d store.DPE, at api.Endpoints) api.Installation {
	t := targetOf(v, d, at)
	render := fmt.Sprintf("%s %s --version %s --namespace %s -f %s%s", d.Label, t.chart, d.Release, namespace, valuesFile, t.flags)
	if v == api.VariantMirror {
		render += mirrorTrust
	} else {
		render += " --ca-file " + t.trust
	}
	login := api.Command{
		Title:       "Log in to the artifacts registry",
		Explanation: "Reads the access token from the downloaded file.",
		Command:     fmt.Sprintf("helm registry login %s --username %s --password-stdin --ca-file %s < %s", at.Registry, d.RegistryUser, t.trust, tokenFile),
	}
	return api.Installation{
		Variant: v, Title: t.title, Explanation: t.explanation, Chart: t.chart, Files: append(files(d), t.files...),
		Prepare: append(append(t.prepare, login), t.mirror...),
		Diff: []api.Command{{
			Title: "See what an update will change",
			Explanation: "Only for a DPE that is installed. Nothing is changed; values of secrets are masked. " +
				"The exit code is 1 if there are differences.",
			Command: fmt.Sprintf("helm template %s --skip-tests | kubectl diff --namespace %s -f -", render, namespace),
			NotHere: "Not run here: kubectl needs the program diff for it, which is no part of dpesim.",
		}},
		Install: []api.Command{{
			Title: "Install or update the DPE",
			Explanation: "Waits until every replica is ready. During an update the cluster needs room for one replica more. " +
				"If it fails or times out, nothing is undone: look at the pods and events, then run it again or roll back." + t.images,
			Command: fmt.Sprintf("helm upgrade --install %s --create-namespace --wait --timeout 5m", render),
		}},
		Verify:    verify(d.Label),
		Rollback:  rollback(d.Label),
		Uninstall: uninstall(d.Label, at),
		NotHere:   t.notHere,
	}
}

// files lists what the portal has for an installation.
func files(d store.DPE) []api.File {
	path := fmt.Sprintf("%s/environments/%s", api.Prefix, d.Environment)
	dpe := fmt.Sprintf("%s/dpes/%s", path, d.Label)
	return []api.File{
		{Name: valuesFile, Href: dpe + "/values", Secret: true, Explanation: "Helm values of this DPE. They contain passwords: keep them private."},
		{Name: tokenFile, Href: dpe + "/registry-token", Secret: true, Explanation: "Access token for the Helm chart and the container images." + expiry(d)},
		{Name: caFile, Href: path + "/ca", Explanation: "Certificate authority of the simulated cloud. The real cloud needs none."},
	}
}

func verify(l sim.Label) []api.Command {
	return []api.Command{
		{
			Title:       "See the pods",
			Explanation: "Each replica is one pod. During an update there is one more.",
			Command:     fmt.Sprintf("kubectl --namespace %s get pods -l app.kubernetes.io/name=%s,app.kubernetes.io/instance=%s", namespace, chart.Name, l),
		},
		{
			Title:       "Follow the rollout",
			Explanation: "Returns when all replicas run the newest configuration.",
			Command:     fmt.Sprintf("kubectl --namespace %s rollout status deployment/%s --timeout 5m", namespace, l),
		},
		{
			Title:       "See what the cluster did",
			Explanation: "If pods are not ready, the reason is here: no room, no image, no volume.",
			Command:     fmt.Sprintf("kubectl --namespace %s get events --sort-by=.lastTimestamp", namespace),
		},
		{
			Title:       "Test it",
			Explanation: "Asks the engine, from inside the cluster, whether it is connected to DPM and reaches the object storage.",
			Command:     fmt.Sprintf("helm test %s --namespace %s", l, namespace),
		},
	}
}

func rollback(l sim.Label) []api.Command {
	return []api.Command{
		{
			Title:       "See the revisions of the installation",
			Explanation: "Helm counts them by itself; they are not the revisions of the portal's files.",
			Command:     fmt.Sprintf("helm history %s --namespace %s", l, namespace),
		},
		{
			Title: "Go back to the revision before",
			Explanation: "Chart, values and secrets become what they were. It also frees an installation whose helm was killed " +
				`("another operation (install/upgrade/rollback) is in progress"). If the revision before failed too, name an older one after the label.`,
			Command: fmt.Sprintf("helm rollback %s --namespace %s --wait --timeout 5m", l, namespace),
		},
	}
}

func uninstall(l sim.Label, at api.Endpoints) []api.Command {
	return []api.Command{
		{
			Title: "Uninstall the DPE from the cluster",
			Explanation: "Removing the DPE in the portal does not reach the cluster: this does. Pods, secrets and temporary volumes go; " +
				"the pod of a test that failed, and the namespace, stay.",
			Command: fmt.Sprintf("helm uninstall %s --namespace %s --wait --timeout 5m", l, namespace),
		},
		{
			Title:       "Log out of the artifacts registry",
			Explanation: "Forgets the access token on this machine.",
			Command:     "helm registry logout " + at.Registry,
			NotHere:     "Not run here: a run's own log-in is gone when it ends.",
		},
		{
			Title:       "Remove the namespace",
			Explanation: "Only if nothing else is in it: everything in it is deleted.",
			Command:     "kubectl delete namespace " + namespace,
			NotHere:     "Not run here: other DPEs may be in the namespace, so that is for you to say.",
		},
	}
}

// expiry says when the access token ends, if it does.
func expiry(d store.DPE) string {
	if d.RegistryExpires.IsZero() {
		return ""
	}
	return " It expires at " + d.RegistryExpires.UTC().Format(time.RFC3339) + "."
}
