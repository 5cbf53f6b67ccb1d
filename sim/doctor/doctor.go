// Package doctor looks at the machine, before anything is stood up: what it has and what it lacks for each cluster that a
// simulator can work on. It changes nothing and needs no network.
package doctor

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/expand"

	"github.com/dpesim/dpesim/sim/clock"
)

// Target is a cluster that a simulator can work on, by the name that --cluster has for it.
type Target string

// The targets. All is none: what is of that target is needed on every one.
const (
	All        Target = "all"
	InProcess  Target = "inprocess"
	Kind       Target = "kind"
	Kubeconfig Target = "kubeconfig"
)

// State is what a look at one thing has come to.
type State string

// The states.
const (
	OK      State = "ok"
	Warning State = "warning" // it works, but not as one may expect
	Missing State = "missing" // the target cannot be used
)

// Check is what was seen of one thing.
type Check struct {
	Check  string `json:"check"`  // "container engine"
	Target Target `json:"target"` // that needs it
	State  State  `json:"state"`
	Seen   string `json:"seen"`             // what is there, in words
	Remedy string `json:"remedy,omitempty"` // what to do, unless the state is ok
}

// Machine is what a machine has.
type Machine interface {
	// CPUs is how many of them this process may use.
	CPUs() int
	// Memory gives how much there is and how much of it programs could still take, in bytes.
	Memory() (all, available uint64, err error)
	// Disk gives how much can still be written to the file system of a folder, in bytes.
	Disk(folder string) (uint64, error)
}

// Options say what is looked at.
type Options struct {
	Targets []Target // nil: each
	Env     []string // of the person: KEY=VALUE, as PATH, HOME, DOCKER_HOST and KUBECONFIG
	Dir     string   // where the person is; programs may be found relative to it

	HTTPAddr, TLSAddr string // where a simulator would listen, as the flags --http and --tls have it
	Host              string // name under which it would be reached, which should lead to this machine
	NodeImage         string // of kind; empty: its own
	Context           string // of the kubeconfig; empty: its current one

	Contained func() error // tells why the running program cannot run in a container, nil if it can; for the target kind
	Machine   Machine      // nil: this one
	Resolve   func(ctx context.Context, host string) ([]net.IPAddr, error)
}

// patience is how long one thing may take to answer.
const patience = 10 * time.Second

// Examine looks at everything that the targets need, at the same time, and tells of it in a fixed order.
func Examine(ctx context.Context, o Options) []Check {
	if o.Machine == nil {
		o.Machine = thisMachine{}
	}
	if o.Resolve == nil {
		o.Resolve = net.DefaultResolver.LookupIPAddr
	}
	e := &examiner{Options: o, vars: expand.ListEnviron(o.Env...)}
	looks := []struct {
		target Target
		look   func(context.Context) []Check
	}{
		{All, e.ports},
		{All, e.names},
		{All, e.helm},
		{All, e.kubectl},
		{InProcess, e.machine},
		{Kind, e.containers},
		{Kubeconfig, e.kubeconfig},
	}
	found := make([][]Check, len(looks))
	var wg sync.WaitGroup
	for i, l := range looks {
		if l.target != All && o.Targets != nil && !slices.Contains(o.Targets, l.target) {
			continue
		}
		wg.Go(func() {
			ctx, cancel := clock.New().WithTimeout(ctx, patience)
			defer cancel()
			found[i] = l.look(ctx)
		})
	}
	wg.Wait()
	return slices.Concat(found...)
}

// Usable tells whether nothing is missing that the target needs.
func Usable(checks []Check, t Target) bool {
	return !slices.ContainsFunc(checks, func(c Check) bool { return c.State == Missing && (c.Target == t || c.Target == All) })
}

// examiner is one look at a machine.
type examiner struct {
	Options
	vars expand.Environ
}

// env gives a variable of the person's environment.
func (e *examiner) env(name string) string { return e.vars.Get(name).String() }

// line gives the last line of what a program said: the one that tells what went wrong.
func line(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
