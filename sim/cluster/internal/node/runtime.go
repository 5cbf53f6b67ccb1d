package node

import (
	"context"
	"io"
	"io/fs"
	"net"
)

// DialFunc opens a connection on behalf of a container.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Runtime runs containers. It is the seam between Kubernetes and what really happens inside a pod. It must be safe for
// concurrent use.
type Runtime interface {
	// Run runs c until it ends by itself, c.Stop is closed (SIGTERM: finish and return) or ctx is done (SIGKILL: return
	// now). Nil is exit code 0. Any other error is exit code 1, and its text becomes the container's termination
	// message: it must not hold secrets. ctx carries the Seq of "container started" (event.Cause).
	Run(ctx context.Context, c Container) error
}

// Container is what a container finds around it.
type Container struct {
	Namespace, Pod, Name, Node, Image string

	// Env is the environment: the image's is empty, so this is the pod's alone.
	Env map[string]string

	// Files holds the mounted secrets, config maps, projected and downward API volumes, rooted at "/": the file
	// /etc/dpe/key is "etc/dpe/key" here. It is read once, when the container starts, and does not follow later changes.
	Files fs.FS

	// Scratch is a real directory that stands for "/" of the writable volumes: an emptyDir mounted at /tmp/work is the
	// directory Scratch/tmp/work, which exists. It lives as long as the pod.
	Scratch string

	// Stop is closed when the container is asked to end.
	Stop <-chan struct{}

	// Listen opens a port on the pod's address. The network is in memory: the agent's probes and callers of
	// [Agent.Dial] reach it, nobody else does. The listener is closed when the container ends.
	Listen func(port int) (net.Listener, error)

	// Dial opens outgoing connections.
	Dial DialFunc

	// Log takes the container's standard output and error.
	Log io.Writer
}
