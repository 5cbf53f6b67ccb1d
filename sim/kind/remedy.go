package kind

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kind/pkg/exec"

	"github.com/dpesim/dpesim/sim"
)

// ailment is something that goes wrong with containers, known by words of who says it.
type ailment struct {
	signs []string
	help  string
	lost  bool // there is no use in waiting
}

// ailments are looked through in this order. The words are those of Docker, Podman and kind.
var ailments = []ailment{
	{
		signs: []string{"permission denied while trying to connect", "dial unix /var/run/docker.sock: connect: permission denied"}, lost: true,
		help: "you may not use the container engine. On Linux, your user must be in the group docker: 'sudo usermod -aG docker $USER', then log in anew; 'docker ps' shows whether it works",
	},
	{
		signs: []string{"Cannot connect", "error during connect", "unable to connect to Podman socket", "docker daemon is not running"}, lost: true,
		help: "start the container engine, and see that 'docker ps' answers; DOCKER_HOST and 'docker context' say which one is asked",
	},
	{
		signs: []string{"no space left on device"},
		help:  "the disk is full: 'docker system df' shows what takes how much, 'docker system prune' removes what nothing uses; a cluster takes 5 GiB",
	},
	{
		signs: []string{"toomanyrequests"},
		help:  "the registry of the node image has had enough of you for now: log in ('docker login'), wait, or name an image that is there: --kind-node-image",
	},
	{
		signs: []string{"no matching manifest"},
		help:  "the node image is not for this machine's processor: name another with --kind-node-image",
	},
	{
		signs: []string{"failed to pull image", "docker pull", "podman pull", "nerdctl pull", "No such image", "pull access denied", "manifest unknown"},
		help:  "the node image cannot be had: name one that is there with --kind-node-image or DPESIM_KIND_NODE_IMAGE, or bring it without the network ('docker save', 'docker load')",
	},
	{
		signs: []string{"port is already allocated", "address already in use", "ports are not available"},
		help:  "another program has a port that the cluster wants: 'docker ps' shows those of containers; stop it, and try again",
	},
	{
		signs: []string{"non-overlapping IPv4 address pool", "all predefined address pools have been fully subnetted"},
		help:  "the container engine has no address left for a network: remove those that nothing uses, 'docker network prune'",
	},
	{
		signs: []string{"is already in use by container", "node(s) already exist"},
		help:  "somebody makes a cluster of the same name just now: give another (--kind-name)",
	},
	{
		signs: []string{"is not running", "No such container", "no such container", "no container with name or ID"}, lost: true,
		help: "the node was stopped, or ended by itself: is there enough memory (2 GiB)? 'docker ps --all' and 'docker logs' of the node say more; run it again to have a new one",
	},
	{
		signs: []string{slowNode, "too many open files", "inotify"},
		help:  "the node's system did not start: on Linux mostly since inotify's limits are low, 'sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512'",
	},
	{
		signs: []string{"cgroup"},
		help:  "the container engine cannot limit memory and CPU as the node wants it: boot with cgroup v2; rootless engines need delegation (see 'kind: rootless')",
	},
	{
		signs: []string{"cni plugin not initialized", "NetworkPluginNotReady", "NetworkReady=false"},
		help:  "the node's network was not set up: is the node image one of kind's? Name another with --kind-node-image",
	},
}

// Remedy tells what to do about what a container engine, or kind, said as it failed.
func Remedy(cause string) string {
	for _, a := range ailments {
		if a.in(cause) {
			return a.help
		}
	}
	return "is there enough memory (2 GiB) and disk (5 GiB) for a node? 'dpesim doctor --cluster kind' looks; see also 'kind: known issues'"
}

func (a ailment) in(text string) bool {
	return slices.ContainsFunc(a.signs, func(sign string) bool { return strings.Contains(text, sign) })
}

// lost tells whether waiting is of no use.
func lost(cause string) bool {
	return slices.ContainsFunc(ailments, func(a ailment) bool { return a.lost && a.in(cause) })
}

// said gives the words of what failed, one line: kind's own error has only the command and its exit status.
func said(err error) string {
	e, ok := errors.AsType[*exec.RunError](err)
	if !ok {
		return err.Error()
	}
	last := ""
	for line := range strings.Lines(string(e.Output)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "To see the stack trace") {
			continue
		}
		last = line
		if slices.ContainsFunc(ailments, func(a ailment) bool { return a.in(line) }) {
			break
		}
	}
	if last == "" {
		return err.Error()
	}
	return last
}

// failed is the error of something that went wrong with the cluster: what is a part of a sentence about it.
func (c *Cluster) failed(what string, err error) error {
	phase, seen := c.log.current()
	if phase != "" {
		what += " (" + lower(phase) + ")"
	}
	msg := fmt.Sprintf("the kind cluster %s %s: %s", c.opts.Name, what, said(err))
	if seen != "" && seen != said(err) && !strings.HasPrefix(phase, pulling) {
		msg += "; seen before that: " + seen
	}
	return &sim.Error{Kind: sim.Unavailable, Msg: msg, Err: err, Help: Remedy(said(err) + "\n" + err.Error())}
}
