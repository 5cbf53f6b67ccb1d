package node

import (
	"cmp"
	"maps"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
)

// start is what a run begins with.
type start struct {
	image image
	args  []string
	dir   string
	env   map[string]string
	files files
}

// image is what a node knows of an image that it has.
type image struct {
	labels     map[string]string
	entrypoint []string
	cmd        []string
	env        map[string]string
	dir        string
}

// prepare gathers what the container refers to, and waits for what is missing. ok is false if the pod was stopped first.
func (c *container) prepare() (s start, ok bool) {
	p := c.pod
	for retry := firstRetry; !p.stopping(); retry = min(2*retry, lastRetry) {
		pod := p.current()
		src := newSources(p.agent.client, pod)
		var err error
		s.files, err = src.mount(p.ctx, c.spec, p.scratch(), filepath.Join(p.agent.dir, "claims"), p.agent.clock.Now())
		if err == nil {
			var own map[string]string
			if own, err = src.environment(p.ctx, c.spec); err == nil {
				s.command(c.spec, own)
				return s, true
			}
			c.waiting("CreateContainerConfigError", err.Error())
			c.warn("Failed", "Error: %v", err)
		} else if p.ctx.Err() == nil {
			c.waiting("ContainerCreating", "")
			p.warn("FailedMount", "%v", err)
		}
		if !p.sleep(retry) {
			break
		}
	}
	return start{}, false
}

// command completes s by what the container says of its command line, directory and environment. What it leaves out is
// the image's. Source: Kubernetes, "Define a Command and Arguments for a Container": a command of the container's own
// comes without the image's arguments.
func (s *start) command(c *corev1.Container, own map[string]string) {
	s.env = maps.Clone(s.image.env)
	if s.env == nil {
		s.env = map[string]string{}
	}
	maps.Copy(s.env, own)
	entry, args := s.image.entrypoint, s.image.cmd
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
	s.dir = cmp.Or(c.WorkingDir, s.image.dir, "/")
}
