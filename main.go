// Command dpesim rehearses the hybrid deployment of Ataccama PaaS+ with self-managed Data Processing Engines on one machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim/cli"
)

func main() {
	if code, ok := verb.Dispatch(os.Args); ok { // this process is helm or kubectl
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, cli.ProcessEnv())
	stop()
	os.Exit(code)
}
