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
	// Check tells whether c's command line can be started at all. An error is what a container runtime says of it, such as
	// `exec: "sh": executable file not found in $PATH`; the container then ends with a StartError and Run is not called.
	Check(c Container) error

	// Run runs c until it ends by itself, c.Stop is closed (SIGTERM: finish and return) or ctx is done (SIGKILL: return
	// now). Nil is exit code 0. Any other error is exit code 1, or the one that its method ExitCode() int gives, and its
	// text becomes the container's termination message: it must not hold secrets. ctx carries the Seq of "container started" (event.Cause).
	Run(ctx context.Context, c Container) error
}

// Container is what a container finds around it.
type Container struct {
	Namespace, Pod, Name, Node, Image string

	// Labels are those of the image's configuration.
	Labels map[string]string

	// Args is the command line: the image's entry point and command, as far as the pod's command and args do not replace
	// them. Dir is the working directory: the pod's, or the image's, or "/".
	Args []string
	Dir  string

	// Env is the environment: the image's, overlaid by the pod's.
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

	// Memory reports the working set, in bytes. Above the container's memory limit the container is killed as by the
	// kernel: OOMKilled, exit code 137. It is safe for concurrent use.
	Memory func(bytes int64)
}
