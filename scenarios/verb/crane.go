package verb

import (
	"context"
	"os"
	"os/signal"

	"github.com/google/go-containerregistry/cmd/crane/cmd"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/logs"
)

// Crane is the command tree of crane, which copies images between registries and serves one, run in a child process of this
// executable, which must call [Dispatch].
func Crane(ctx context.Context, c Call) error { return tool(ctx, "crane", c) }

var _ Verb = Crane

// craneMain is crane's own main on its public command tree. crane prints its errors itself.
func craneMain(args []string) int {
	logs.Warn.SetOutput(os.Stderr)     //nolint:forbidigo // as its own main does
	logs.Progress.SetOutput(os.Stderr) //nolint:forbidigo // the same
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root := cmd.New("crane", "Crane is a tool for managing container images", []crane.Option{})
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return 1
	}
	return 0
}
