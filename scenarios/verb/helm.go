package verb

import (
	"errors"
	"fmt"
	"os"

	"helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs of cloud clusters name these
)

// helmMain is Helm's own main on its public command tree. Helm prints its errors itself.
func helmMain(args []string) int {
	kube.ManagedFieldsManager = "helm" // who owns the fields, whatever this executable is called
	root, err := cmd.NewRootCmd(os.Stdout, args, cmd.SetupLogging)
	if err != nil {
		fmt.Fprintf(os.Stderr, "Error: %v\n", err)
		return 1
	}
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		if e, ok := errors.AsType[cmd.CommandError](err); ok {
			return e.ExitCode
		}
		return 1
	}
	return 0
}
