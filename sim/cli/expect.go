package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/dpesim/dpesim/scenarios/expect"
	"github.com/dpesim/dpesim/scenarios/verb"
	"github.com/dpesim/dpesim/sim"
)

// objectHelp says how an object is named.
const objectHelp = `An object of the portal is environment/NAME, dpe/ENVIRONMENT/LABEL, job/ENVIRONMENT/ID, managed/ENVIRONMENT or
allowlist/ENVIRONMENT; everything else is what kubectl knows, as pod/NAME, deployment/NAME or pods for a list. "-" is JSON on
the standard input.`

func newExpectCommand(a *app) *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use: "expect OBJECT CONDITION...", Short: "Succeed if an object is as expected",
		Long: `Succeed if an object's fields are as expected, else say how they are instead and exit with 1.

` + objectHelp + `

A CONDITION is FIELD=VALUE, in one word. FIELD is a path as jq has it, and may go on as a filter of jq. Also: != (is not), ~ and !~
(matches a regular expression, or does not), > >= < <= (numbers). A list of plain values is written with commas.`,
		Example: `  dpesim expect dpe/acme/finance status.state=connected replicas_wanted!=0
  dpesim expect deployment/finance -n dpe 'status.readyReplicas>=2'
  dpesim expect pods -n dpe 'items|length=3'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage(fmt.Errorf("usage: %s; an object and at least one condition", cmd.UseLine()))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "of an object of the cluster (default: that of the kubeconfig)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var conditions []expect.Condition
		for _, text := range args[1:] {
			c, err := expect.Parse(text)
			if err != nil {
				return usage(sim.Errorf(sim.Invalid, "%v", err).WithHelp("see 'dpesim expect --help'"))
			}
			conditions = append(conditions, c)
		}
		object, err := a.object(cmd.Context(), args[0], namespace)
		if err != nil {
			return err
		}
		var wrong []string
		for _, c := range conditions {
			is, holds, err := c.Holds(cmd.Context(), object)
			if err != nil {
				return err
			}
			if !holds {
				wrong = append(wrong, fmt.Sprintf("%s: is %s", c.Text, is))
			}
		}
		return notAsExpected(args[0], wrong)
	}
	return cmd
}

func newMatchCommand(a *app) *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use: "match FILE OBJECT", Short: "Succeed if an object contains what a file says",
		Long: `Succeed if an object contains what a file (YAML or JSON) says, else say where it does not and exit with 1. The object may have more
keys; entries of a list in FILE must be found in the object's list in this order, with any others between them.

` + objectHelp,
		Example: "  dpesim match pod.yaml pod/finance-0 -n dpe\n  dpesim kubectl get deployments -n dpe -o json | dpesim match expected.yaml -",
		Args:    exactArgs(2),
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "of an object of the cluster (default: that of the kubeconfig)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		src, err := os.ReadFile(a.path(args[0]))
		if err != nil {
			return usage(sim.Errorf(sim.Invalid, "the file with what is expected cannot be read: %v", err))
		}
		var want any
		if err := yaml.Unmarshal(src, &want); err != nil {
			return usage(sim.Errorf(sim.Invalid, "%s is no YAML: %v", args[0], err))
		}
		object, err := a.object(cmd.Context(), args[1], namespace)
		if err != nil {
			return err
		}
		var wrong []string
		for _, d := range expect.Subset(want, object) {
			wrong = append(wrong, d.String())
		}
		return notAsExpected(args[1], wrong)
	}
	return cmd
}

// notAsExpected tells what is wrong with an object, if anything.
func notAsExpected(object string, wrong []string) error {
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s is not as expected\n  %s", object, strings.Join(wrong, "\n  "))
}

// object finds what a person named, as JSON has it.
func (a *app) object(ctx context.Context, name, namespace string) (any, error) {
	if name == "-" {
		return decoded(io.LimitReader(a.Stdin, maxObject))
	}
	words := strings.Split(name, "/")
	get, parts := a.ofPortal(ctx, words)
	if get == nil {
		return a.ofCluster(ctx, name, namespace)
	}
	if len(words) != parts {
		return nil, usage(sim.Errorf(sim.Invalid, "%q names no %s", name, words[0]).WithHelp("%s", objectHelp))
	}
	if namespace != "" {
		return nil, usage(sim.Errorf(sim.Invalid, "%s is in the portal, where there are no namespaces", name).WithHelp("leave --namespace out"))
	}
	v, err := get()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return decoded(bytes.NewReader(text))
}

// maxObject bounds what is read as one object, in bytes.
const maxObject = 64 << 20

func decoded(r io.Reader) (any, error) {
	var v any
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		return nil, sim.Errorf(sim.Invalid, "what should be compared is no JSON: %v", err)
	}
	return v, nil
}

// ofPortal gives how to get what words name, and how many words that takes; nil if it is nothing of the portal's.
func (a *app) ofPortal(ctx context.Context, words []string) (get func() (any, error), parts int) {
	c, err := a.client()
	of := func(n int, f func() (any, error)) (func() (any, error), int) {
		if err != nil {
			return func() (any, error) { return nil, err }, n
		}
		return f, n
	}
	env := func() sim.EnvironmentID { return sim.EnvironmentID(words[1]) }
	switch words[0] {
	case "environment":
		return of(2, func() (any, error) { return c.Environment(ctx, env()) })
	case "dpe":
		return of(3, func() (any, error) { return c.DPE(ctx, env(), sim.Label(words[2])) })
	case "job":
		return of(3, func() (any, error) { return c.Job(ctx, env(), sim.JobID(words[2])) })
	case "managed":
		return of(2, func() (any, error) { return c.Managed(ctx, env()) })
	case "allowlist":
		return of(2, func() (any, error) { return c.Allowlist(ctx, env()) })
	}
	return nil, 0
}

// ofCluster gets an object, or a list, by kubectl.
func (a *app) ofCluster(ctx context.Context, name, namespace string) (any, error) {
	call, err := a.clusterCall()
	if err != nil {
		return nil, err
	}
	call.Args = []string{"get", name, "-o", "json"}
	if namespace != "" {
		call.Args = append(call.Args, "--namespace", namespace)
	}
	var out, says bytes.Buffer
	call.Stdout, call.Stderr = &out, &says
	if err := verb.Kubectl(ctx, call); err != nil {
		exit, ok := errors.AsType[*verb.ExitError](err)
		if !ok {
			return nil, err
		}
		_, _ = says.WriteTo(a.Stderr) // what it says where it succeeds is of no interest here
		return nil, &exitError{code: exit.Code}
	}
	return decoded(&out)
}
