package node

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/dpesim/dpesim/sim/cluster/internal/image"
)

// start is what a run begins with.
type start struct {
	image *image.Image
	args  []string
	dir   string
	env   map[string]string
	files files
}

// prepare gathers what the container needs, in a kubelet's order: volumes, the image, the configuration. It waits for what
// is missing; ok is false if the pod was stopped first.
func (c *container) prepare() (s start, ok bool) {
	p := c.pod
	for retry := firstRetry; !p.stopping(); retry = min(2*retry, lastRetry) {
		src := newSources(p.agent.client, p.current())
		if s.files, c.mounted = c.mounted, nil; s.files == nil {
			if s.files, ok = c.mount(src); !ok {
				p.sleep(retry)
				continue
			}
		}
		if s.image = c.obtain(); s.image == nil {
			break
		}
		err := p.mayRun(c.spec, &s.image.Config)
		var own map[string]string
		if err == nil {
			own, err = src.environment(p.ctx, c.spec)
		}
		if err == nil {
			s.command(c.spec, own)
			return s, true
		}
		c.waiting("CreateContainerConfigError", err.Error())
		c.warn("Failed", "Error: %v", err)
		c.trouble("container not configured", err.Error())
		p.sleep(retry)
	}
	return start{}, false
}

// volumes waits until what the containers mount is there, as a kubelet does before it makes a pod's sandbox. It is false
// if the pod was stopped first.
func (p *pod) volumes() bool {
	for retry := firstRetry; !p.stopping(); retry = min(2*retry, lastRetry) {
		src := newSources(p.agent.client, p.current())
		missing := slices.ContainsFunc(p.containers, func(c *container) bool {
			if c.finished {
				return false
			}
			var ok bool
			c.mounted, ok = c.mount(src)
			return !ok
		})
		if !missing {
			return true
		}
		p.sleep(retry)
	}
	return false
}

// mount sets up what the container mounts, or tells what is missing.
func (c *container) mount(src *sources) (files, bool) {
	p := c.pod
	f, err := src.mount(p.ctx, c.spec, p.scratch(), filepath.Join(p.agent.dir, "claims"), p.agent.clock.Now())
	if err == nil {
		return f, true
	}
	if p.ctx.Err() == nil {
		c.waiting("ContainerCreating", "")
		p.warn("FailedMount", "%v", err)
		c.trouble("volume not mounted", err.Error())
	}
	return nil, false
}

// mayRun holds the image's user against what the pod demands. Source: kubelet, kuberuntime/security_context_others.go.
func (p *pod) mayRun(c *corev1.Container, image *v1.Config) error {
	nonRoot, user := (*bool)(nil), (*int64)(nil)
	if s := p.source().Spec.SecurityContext; s != nil {
		nonRoot, user = s.RunAsNonRoot, s.RunAsUser
	}
	if s := c.SecurityContext; s != nil {
		nonRoot, user = cmp.Or(s.RunAsNonRoot, nonRoot), cmp.Or(s.RunAsUser, user)
	}
	if nonRoot == nil || !*nonRoot {
		return nil
	}
	name, _, _ := strings.Cut(image.User, ":")
	uid, err := strconv.ParseInt(cmp.Or(name, "0"), 10, 64)
	switch {
	case user != nil && *user == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy (pod: %q, container: %s)", p.full(), c.Name)
	case user != nil:
		return nil
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (pod: %q, container: %s)", name, p.full(), c.Name)
	case uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root (pod: %q, container: %s)", p.full(), c.Name)
	}
	return nil
}

// command completes s by what the container says of its command line, directory and environment. What it leaves out is
// the image's. Source: Kubernetes, "Define a Command and Arguments for a Container": a command of the container's own
// comes without the image's arguments.
func (s *start) command(c *corev1.Container, own map[string]string) {
	s.env = map[string]string{}
	for _, e := range s.image.Config.Env {
		if name, value, ok := strings.Cut(e, "="); ok {
			s.env[name] = value
		}
	}
	maps.Copy(s.env, own)
	entry, args := s.image.Config.Entrypoint, s.image.Config.Cmd
	if len(c.Command) > 0 {
		entry, args = c.Command, nil
	}
	if len(c.Args) > 0 {
		args = c.Args
	}
	s.args = nil
	for _, a := range entry {
		s.args = append(s.args, expand(a, own))
	}
	for _, a := range args {
		s.args = append(s.args, expand(a, own))
	}
	s.dir = cmp.Or(c.WorkingDir, s.image.Config.WorkingDir, "/")
}
