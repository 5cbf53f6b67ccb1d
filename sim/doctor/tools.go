package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
	"mvdan.cc/sh/v3/interp"
)

// What the product asks for. Source: seed, "Helm charts": Helm 3.13.x, and a cluster with Kubernetes 1.27.x, both "subject to
// change". It asks for no kubectl; one is for API servers of a minor version older to one newer.
var (
	productHelm       = version.MustParseGeneric("3.13")
	productKubernetes = version.MustParseGeneric("1.27")
	oldestKubectl     = version.MustParseGeneric("1.26")
)

// errAbsent says that a program is not on the PATH.
var errAbsent = errors.New("not on the PATH")

// program runs a program of the person and gives what it printed. The error of one that failed is the last line that it said.
func (e *examiner) program(ctx context.Context, name string, args ...string) (string, error) {
	path, err := interp.LookPathDir(e.Dir, e.vars, name)
	if err != nil {
		return "", errAbsent
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = e.Env, e.Dir, &stdout, &stderr, time.Second
	err = cmd.Run()
	switch {
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("it did not answer within %s", patience)
	case err != nil && line(stderr.String()) != "":
		err = errors.New(line(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), err
}

// helm looks at the person's own helm.
func (e *examiner) helm(ctx context.Context) []Check {
	return []Check{e.tool(ctx, tool{
		name: "helm", args: []string{"version", "--template", "{{.Version}}"},
		oldest: productHelm, wanted: "the product asks for Helm 3.13.x",
	})}
}

// kubectl looks at the person's own kubectl.
func (e *examiner) kubectl(ctx context.Context) []Check {
	return []Check{e.tool(ctx, tool{
		name: "kubectl", args: []string{"version", "--client", "--output", "json"}, read: kubectlVersion,
		oldest: oldestKubectl, wanted: "the product asks for Kubernetes 1.27.x, whose kubectl are 1.26 to 1.28",
	})}
}

// kubectlVersion reads what kubectl tells of itself; "" if that is something else.
func kubectlVersion(text string) string {
	var v struct {
		ClientVersion struct{ GitVersion string }
	}
	_ = json.Unmarshal([]byte(text), &v) // then there is no version
	return v.ClientVersion.GitVersion
}

// tool is a program that is linked into dpesim, too.
type tool struct {
	name   string
	args   []string                 // that print its version
	read   func(text string) string // finds it in what is printed; nil: it is nothing else
	oldest *version.Version
	wanted string
}

func (e *examiner) tool(ctx context.Context, t tool) Check {
	c := Check{Check: t.name, Target: All, State: OK}
	linked := fmt.Sprintf("'dpesim %s' is the real one, linked in", t.name)
	text, err := e.program(ctx, t.name, t.args...)
	if errors.Is(err, errAbsent) {
		c.Seen = "not on the PATH, and not needed: " + linked
		return c
	}
	if t.read != nil {
		text = t.read(text)
	}
	v, parseErr := version.ParseGeneric(text)
	switch {
	case err != nil:
		c.State, c.Seen = Warning, "it does not tell its version: "+err.Error()
	case parseErr != nil:
		c.State, c.Seen = Warning, "it does not tell its version"
	case v.LessThan(t.oldest):
		c.State, c.Seen = Warning, fmt.Sprintf("%s is too old: %s", text, t.wanted)
	default:
		c.Seen = fmt.Sprintf("%s; %s", text, t.wanted)
	}
	if c.State != OK {
		c.Remedy = "install another one; until then, " + linked
	}
	return c
}
