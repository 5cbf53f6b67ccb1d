package verb

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// kubectlMain is kubectl's own main on its public command tree. CheckErr ends the process by itself on an error: the
// tool owns the process.
func kubectlMain(args []string) int {
	root := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		Arguments: append([]string{"kubectl"}, args...),
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
	})
	root.SetArgs(args)
	if err := cli.RunNoErrOutput(root); err != nil {
		cmdutil.CheckErr(err)
		return 1
	}
	return 0
}
