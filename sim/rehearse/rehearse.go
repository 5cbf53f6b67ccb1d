// Package rehearse plays scenarios against a simulator of this process, for the command line and for Go tests alike. It knows
// no command line: the word dpesim is given to it.
package rehearse

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/diagnosis"
	"github.com/dpesim/dpesim/sim/stack"
)

// InProcess is the cluster target that every simulator has, by the name that scenarios give it.
const InProcess = "inprocess"

// Kind is the cluster target that is a real cluster in containers on this machine.
const Kind = "kind"

// Kubeconfig is the cluster target that is somebody's cluster, named by a kubeconfig.
const Kubeconfig = "kubeconfig"

// Suits tells whether sc is written for the cluster target. What runs on [Kind] runs on any real cluster.
func Suits(sc *engine.Scenario, target string) bool {
	return len(sc.Clusters) == 0 || slices.Contains(sc.Clusters, target) || target == Kubeconfig && slices.Contains(sc.Clusters, Kind)
}

// Foreign gives the error of running sc on a cluster target that it is not written for: Unavailable, with the reason that
// the scenario gives.
func Foreign(sc *engine.Scenario, target string) error {
	why := ""
	if sc.Because != "" {
		why = ". " + strings.TrimSuffix(sc.Because, ".")
	}
	return sim.Errorf(sim.Unavailable, "%s is not for the cluster %s, but for %s%s", sc.File, target, strings.Join(sc.Clusters, " and "), why).
		WithHelp("leave it out, or run it there: --cluster %s", sc.Clusters[0])
}

// Configure gives a simulator what sc asks of it.
func Configure(c *stack.Config, sc *engine.Scenario) {
	if sc.Seed != 0 {
		c.Seed = sc.Seed
	}
	if !sc.Start.IsZero() {
		c.Clock = clock.NewFrozen(sc.Start)
		c.Clock.Scale(1)
	}
}

// Options say how a scenario is played.
type Options struct {
	Dpesim    verb.Verb       // the word dpesim
	Endpoints string          // path of the endpoints file, which must be there
	Report    engine.Reporter // nil: nobody
	NoExec    bool            // as in [engine.Options]
	Keep      bool            // as in [engine.Options]
	Prove     bool            // as in [engine.Options]

	Update func(f engine.Fence, text string) // as in [engine.Options]

	Around func(word string, v verb.Verb) verb.Verb // gives what a word does instead; nil: each does what it does

	Diagnosis diagnosis.Options // what is found out where a step fails; its Stack is the one that is played on
}

// Play runs the steps of sc against s, which must be ready, in a directory below the simulator's own. It returns what
// [engine.Run] returns. Executables that use it must call [verb.Dispatch].
func Play(ctx context.Context, s *stack.Stack, sc *engine.Scenario, o Options) error {
	o.Diagnosis.Stack = s
	dir := s.Path("scenario")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	env := Variables(s.Endpoints(), o.Endpoints)
	env["HOME"] = dir // helm keeps its log-ins and caches there
	words := Words(o.Dpesim)
	if o.Around != nil {
		for w, v := range words {
			words[w] = o.Around(w, v)
		}
	}
	return engine.Run(ctx, sc, engine.Options{
		Dir:    dir,
		Verbs:  words,
		Env:    env,
		Clock:  s.Clock(),
		Pace:   s.Pace(),
		Bus:    s.Bus(),
		NoExec: o.NoExec,
		Keep:   o.Keep,
		Prove:  o.Prove,
		Report: o.Report,

		Update:   o.Update,
		Conceal:  s.Secrets().Text,
		Diagnose: diagnosis.Of(o.Diagnosis),
	})
}

// Words are what a scenario's shell knows beside its own: the tools that are linked in, and commands of dpesim.
func Words(dpesim verb.Verb) map[string]verb.Verb {
	words := map[string]verb.Verb{"dpesim": dpesim, "helm": verb.Helm, "kubectl": verb.Kubectl, "crane": verb.Crane, "jq": verb.JQ}
	for _, name := range Commands {
		words[name] = func(ctx context.Context, c verb.Call) error {
			c.Args = append([]string{name}, c.Args...)
			return dpesim(ctx, c)
		}
	}
	return words
}

// Commands are those of dpesim that are words by themselves: "expect ..." is "dpesim expect ...".
var Commands = []string{"expect", "match", "http", "grpc", "s3"}

// Variables are the environment in which programs find a simulator.
func Variables(e stack.Endpoints, endpointsFile string) map[string]string {
	return map[string]string{
		"DPESIM_SERVER":     e.Portal,
		"DPESIM_ENDPOINTS":  endpointsFile,
		"DPESIM_TOKEN_FILE": e.TokenFile,
		"DPESIM_CA":         e.CA,
		"DPESIM_REGISTRY":   e.RegistryHost(),
		"DPESIM_PROXY":      e.Proxy,
		"KUBECONFIG":        e.Kubeconfig,
	}
}
