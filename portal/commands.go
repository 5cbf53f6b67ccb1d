package portal

import (
	"fmt"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
)

// The files that the installation commands name, and the namespace that they install into (assumption).
const (
	valuesFile = "values.yaml"
	tokenFile  = "registry-token"
	caFile     = "ca.pem"
	namespace  = "dpe"
)

// commands gives the installation commands of a DPE. They hold no secret: those are in the files that they read.
func commands(d store.DPE, at api.Endpoints) api.Commands {
	ref := "oci://" + at.Registry + "/charts/" + chart.Name
	path := fmt.Sprintf("%s/environments/%s", api.Prefix, d.Environment)
	dpe := fmt.Sprintf("%s/dpes/%s", path, d.Label)
	return api.Commands{
		Label: d.Label, Release: d.Release, Revision: d.Revision, Chart: ref,
		Files: []api.File{
			{Name: valuesFile, Href: dpe + "/values", Secret: true, Explanation: "Helm values of this DPE. They contain passwords: keep them private."},
			{Name: tokenFile, Href: dpe + "/registry-token", Secret: true, Explanation: "Access token for the Helm chart and the container images."},
			{Name: caFile, Href: path + "/ca", Explanation: "Certificate authority of the simulated cloud. The real cloud needs none."},
		},
		Install: []api.Command{
			{
				Title:       "Log in to the artifacts registry",
				Explanation: "Reads the access token from the downloaded file.",
				Command: fmt.Sprintf("helm registry login %s --username %s --password-stdin --ca-file %s < %s",
					at.Registry, d.RegistryUser, caFile, tokenFile),
			},
			{
				Title:       "Install or update the DPE",
				Explanation: "Waits until every replica is ready. During an update the cluster needs room for one replica more.",
				Command: fmt.Sprintf("helm upgrade --install %s %s --version %s --namespace %s --create-namespace -f %s --ca-file %s --wait --timeout 5m",
					d.Label, ref, d.Release, namespace, valuesFile, caFile),
			},
		},
		Inspect: []api.Command{
			{
				Title:       "See the pods",
				Explanation: "Each replica is one pod.",
				Command:     fmt.Sprintf("kubectl -n %s get pods -l app.kubernetes.io/instance=%s", namespace, d.Label),
			},
			{
				Title:       "Follow the rollout",
				Explanation: "Returns when all replicas run the newest configuration.",
				Command:     fmt.Sprintf("kubectl -n %s rollout status deployment/%s", namespace, d.Label),
			},
		},
		Remove: []api.Command{{
			Title:       "Uninstall the DPE from the cluster",
			Explanation: "Removing the DPE in the portal does not reach the cluster: this does.",
			Command:     fmt.Sprintf("helm uninstall %s --namespace %s --wait", d.Label, namespace),
		}},
	}
}
