package borrowed

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/dpesim/dpesim/sim"
)

// Place says which cluster it is, as its person knows it.
type Place struct {
	Context string // of the kubeconfig
	Cluster string // by the kubeconfig's name for it
	Server  string // URL of the API server
	User    string // by the kubeconfig's name for them
}

// answerTimeout is how long an API server may take to say that it is there.
const answerTimeout = 15 * time.Second

// load reads the context from the files, and gives a kubeconfig of that context alone.
func load(files []string, name string) (Place, *rest.Config, []byte, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if len(files) > 0 {
		rules.Precedence = files
	}
	all, err := rules.Load()
	if err != nil {
		return Place{}, nil, nil, &sim.Error{Kind: sim.Invalid, Msg: fmt.Sprintf("the kubeconfig cannot be read: %v", err), Err: err, Help: "does 'kubectl config view' read it?"}
	}
	if name == "" {
		name = all.CurrentContext
	}
	c, ok := all.Contexts[name]
	if !ok {
		have := strings.Join(slices.Sorted(maps.Keys(all.Contexts)), ", ")
		if have == "" {
			return Place{}, nil, nil, sim.Errorf(sim.NotFound, "there is no kubeconfig with a context").WithHelp("name its file in KUBECONFIG, or put it into ~/.kube/config")
		}
		return Place{}, nil, nil, sim.Errorf(sim.NotFound, "the kubeconfig has no context %q", name).WithHelp("it has these: %s; name one: --cluster kubeconfig:CONTEXT", have)
	}
	all.CurrentContext = name
	if err := clientcmdapi.MinifyConfig(all); err != nil {
		return Place{}, nil, nil, sim.Errorf(sim.Invalid, "the context %s of the kubeconfig is not whole: %v", name, err).WithHelp("does 'kubectl --context %s get namespaces' work?", name)
	}
	if err := clientcmdapi.FlattenConfig(all); err != nil {
		return Place{}, nil, nil, sim.Errorf(sim.Invalid, "the files that the context %s names cannot be read: %v", name, err).WithHelp("does 'kubectl --context %s get namespaces' work?", name)
	}
	text, err := clientcmd.Write(*all)
	if err != nil {
		return Place{}, nil, nil, fmt.Errorf("write the kubeconfig: %w", err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil {
		return Place{}, nil, nil, sim.Errorf(sim.Invalid, "the context %s of the kubeconfig cannot be used: %v", name, err).WithHelp("does 'kubectl --context %s get namespaces' work?", name)
	}
	config.WarningHandler = rest.NoWarnings{} // of old kinds, which all are looked at
	config.QPS, config.Burst = 50, 100
	return Place{Context: name, Cluster: c.Cluster, Server: config.Host, User: c.AuthInfo}, config, text, nil
}

// answers returns Unavailable if the API server does not say that it is ready.
func (c *Cluster) answers(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(limited).Error(); err != nil {
		return &sim.Error{
			Kind: sim.Unavailable, Msg: fmt.Sprintf("the cluster of the context %s does not answer at %s: %v", c.place.Context, c.place.Server, err), Err: err,
			Help: fmt.Sprintf("does 'kubectl --context %s get namespaces' work?", c.place.Context),
		}
	}
	return nil
}
