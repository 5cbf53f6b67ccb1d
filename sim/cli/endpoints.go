package cli

import (
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim/stack"
)

func newEndpointsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "endpoints", Short: "Print where the running simulator is to be found", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		e, err := a.endpoints()
		if err != nil {
			return err
		}
		return output.print(a.Stdout, e, func(w *tabwriter.Writer) {
			row(w, "ENDPOINT", "WHERE")
			row(w, "portal", e.Portal)
			row(w, "portal_tls", e.PortalTLS)
			row(w, "registry", e.Registry)
			row(w, "edge", e.Edge)
			row(w, "proxy", e.Proxy)
			row(w, "kubernetes", e.Kubernetes)
			row(w, "kubeconfig", e.Kubeconfig)
			row(w, "ca", e.CA)
			row(w, "token_file", e.TokenFile)
			row(w, "pid", e.PID)
		})
	}
	return cmd
}

// endpoints reads the endpoints file.
func (a *app) endpoints() (stack.Endpoints, error) {
	path, err := a.endpointsPath()
	if err != nil {
		return stack.Endpoints{}, err
	}
	return stack.ReadEndpoints(path)
}
