package cli

import (
	"errors"
	"io"
	"os"
	"os/signal"

	"github.com/dpesim/dpesim/dpe/image"
)

// Env is the world as a command sees it. Nothing in this package touches the process' own arguments, streams,
// environment or working directory but through it, so that commands run in a test, or many at once in one process.
type Env struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        func() []string // for child processes
	Dir            string          // relative file names start here; empty: the process' working directory

	// Interrupts takes over what Ctrl-C does: instead of ending the context of Main it is sent, until stop is called. nil: it
	// cannot be taken over.
	Interrupts func() (interrupts <-chan os.Signal, stop func())

	// Contained tells why the running program cannot run in a container, nil if it can. nil: it is looked at.
	Contained func() error
}

// contained returns Invalid, with the reason and the remedy, if the running program cannot run in a container.
func (e Env) contained() error {
	if e.Contained != nil {
		return e.Contained()
	}
	self, err := image.Self()
	if err != nil {
		return err
	}
	return errors.Join(self.Contained(), self.Close())
}

// ProcessEnv is the environment of this process.
func ProcessEnv() Env {
	return Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Environ: os.Environ, Interrupts: takeInterrupts,
	}
}

// takeInterrupts takes interrupts from whoever was told of them before.
func takeInterrupts() (<-chan os.Signal, func()) {
	signal.Reset(os.Interrupt)
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	return c, func() { signal.Stop(c) }
}
