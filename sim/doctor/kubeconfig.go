package doctor

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeconfig looks whether there is a cluster of the person's, and whether it answers.
func (e *examiner) kubeconfig(context.Context) []Check {
	c := Check{Check: "kubeconfig", Target: Kubeconfig, State: OK}
	files := filepath.SplitList(e.env("KUBECONFIG"))
	if len(files) == 0 {
		home := "HOME"
		if runtime.GOOS == "windows" {
			home = "USERPROFILE"
		}
		files = []string{filepath.Join(e.env(home), ".kube", "config")}
	}
	for i, f := range files {
		if !filepath.IsAbs(f) {
			files[i] = filepath.Join(e.Dir, f)
		}
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{Precedence: files}, &clientcmd.ConfigOverrides{CurrentContext: e.Context})
	raw, err := loader.RawConfig()
	if err == nil && len(raw.Contexts) == 0 {
		c.State, c.Seen, c.Remedy = Missing, "there is none: "+files[0], "get one of whoever runs the cluster, and name it by the variable KUBECONFIG"
		return []Check{c}
	}
	var config *rest.Config
	if err == nil {
		config, err = loader.ClientConfig()
	}
	if err != nil {
		c.State, c.Seen, c.Remedy = Missing, "it cannot be used: "+err.Error(), "see 'kubectl config get-contexts', and name one: --cluster kubeconfig:CONTEXT"
		return []Check{c}
	}
	c.Seen = fmt.Sprintf("context %q, %s", cmp.Or(e.Context, raw.CurrentContext), config.Host)
	return append([]Check{c}, apiServer(config)...)
}

// apiServer asks the cluster for its version.
func apiServer(config *rest.Config) []Check {
	c := Check{Check: "API server", Target: Kubeconfig, State: OK}
	config.Timeout, config.WarningHandler = patience, rest.NoWarnings{}
	if config.ExecProvider != nil { // a program that logs in: it must not ask here
		config.ExecProvider.StdinUnavailable, config.ExecProvider.StdinUnavailableMessage = true, "log in with kubectl first"
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		c.State, c.Seen, c.Remedy = Missing, "it cannot be asked: "+err.Error(), "see 'kubectl version'"
		return []Check{c}
	}
	told, err := client.ServerVersion()
	if err != nil {
		c.State, c.Seen, c.Remedy = Missing, "it does not answer: "+err.Error(), "is the cluster started, the network or VPN up, and your log-in still valid? See 'kubectl version'"
		return []Check{c}
	}
	c.Seen = told.GitVersion + "; the product asks for Kubernetes 1.27.x"
	if v, err := version.ParseGeneric(told.GitVersion); err != nil || v.LessThan(productKubernetes) {
		c.State, c.Seen = Missing, told.GitVersion+" is too old: the product asks for Kubernetes 1.27.x, and its chart refuses older ones"
		c.Remedy = "take a newer cluster"
	}
	return []Check{c}
}
