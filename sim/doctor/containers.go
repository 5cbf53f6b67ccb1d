package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/kind"
)

// engineInfo is what a container engine tells of itself by its command `info`: Docker and nerdctl in one way, Podman in another.
type engineInfo struct {
	ServerVersion string
	ServerErrors  []string
	NCPU          int
	MemTotal      uint64 // bytes
	DockerRootDir string
	CgroupVersion string

	Version struct{ Version string }
	Host    struct {
		CPUs          int
		MemTotal      uint64
		CgroupVersion string
	}
	Store struct{ GraphRoot string }
}

// merged has Podman's words in the places of Docker's.
func (i engineInfo) merged() engineInfo {
	i.ServerVersion = cmp.Or(i.ServerVersion, i.Version.Version)
	i.NCPU, i.MemTotal = cmp.Or(i.NCPU, i.Host.CPUs), cmp.Or(i.MemTotal, i.Host.MemTotal)
	i.DockerRootDir = cmp.Or(i.DockerRootDir, i.Store.GraphRoot)
	i.CgroupVersion = strings.TrimPrefix(cmp.Or(i.CgroupVersion, i.Host.CgroupVersion), "v")
	return i
}

// containers looks at what kind needs. Without an engine that answers there is nothing more to be seen.
func (e *examiner) containers(ctx context.Context) []Check {
	c := Check{Check: "container engine", Target: Kind}
	name, info, err := e.engine(ctx)
	switch {
	case errors.Is(err, errAbsent):
		c.State, c.Seen = Missing, "neither docker, nor nerdctl, nor podman is on the PATH"
		c.Remedy = "install Docker and start it, or rehearse on the cluster in the process: --cluster inprocess"
		return []Check{c, e.program4Linux()}
	case err != nil:
		c.State, c.Seen, c.Remedy = Missing, name+" does not answer: "+err.Error(), kind.Remedy(err.Error())
		return []Check{c, e.program4Linux()}
	}
	c.State, c.Seen = OK, fmt.Sprintf("%s %s answers", name, info.ServerVersion)
	return []Check{c, e.program4Linux(), e.nodeImage(ctx, name), cgroups(info), engineCPUs(info), engineMemory(info), e.engineDisk(info)}
}

// engine finds the container engine that kind would use, in kind's order.
func (e *examiner) engine(ctx context.Context) (name string, info engineInfo, err error) {
	for _, name = range []string{"docker", "nerdctl", "podman"} {
		said, err := e.program(ctx, name, "-v")
		if errors.Is(err, errAbsent) || name == "docker" && err == nil && !strings.HasPrefix(said, "Docker version") { // Podman in Docker's clothes
			continue
		}
		said, err = e.program(ctx, name, "info", "--format", "{{json .}}")
		if err == nil {
			err = json.Unmarshal([]byte(said), &info)
		}
		if info = info.merged(); err == nil && info.ServerVersion == "" { // older clients end well nevertheless
			err = errors.New(cmp.Or(strings.Join(info.ServerErrors, "; "), "it does not tell its version"))
		}
		return name, info, err
	}
	return "", info, errAbsent
}

// program4Linux looks whether the engine's image can be made of the running program.
func (e *examiner) program4Linux() Check {
	c := Check{Check: "engine's image", Target: Kind, State: OK, Seen: "is made of this program"}
	if err := e.Contained(); err != nil {
		c.State, c.Seen, c.Remedy = Missing, err.Error(), "give a dpesim for Linux with --image-binary"
		if known, ok := errors.AsType[*sim.Error](err); ok {
			c.Remedy = known.Help
		}
	}
	return c
}

// nodeImage looks whether the image of the node is there. Whether it could be pulled is not tried.
func (e *examiner) nodeImage(ctx context.Context, engine string) Check {
	image := cmp.Or(e.NodeImage, kind.DefaultNodeImage)
	c := Check{Check: "node image", Target: Kind, State: OK, Seen: image + " is there"}
	if _, err := e.program(ctx, engine, "inspect", "--type=image", image); err != nil {
		c.State, c.Seen = Warning, image+" is not there: it will be pulled, some hundred MB"
		c.Remedy = fmt.Sprintf("pull it while there is a network: %s pull %s; or name one that is there: --kind-node-image, $DPESIM_KIND_NODE_IMAGE", engine, image)
	}
	return c
}

// cgroups looks how the engine limits containers.
func cgroups(i engineInfo) Check {
	c := Check{Check: "cgroups", Target: Kind, State: OK, Seen: "version " + i.CgroupVersion}
	if i.CgroupVersion != "2" {
		c.State, c.Seen = Warning, fmt.Sprintf("version %q: the kubelet of a newer Kubernetes refuses to start, unless its node image allows that", i.CgroupVersion)
		c.Remedy = "boot with cgroup v2, or use a node image of an older Kubernetes: --kind-node-image"
	}
	return c
}

// engineCPUs looks at the CPUs of a node, which has those of the engine.
func engineCPUs(i engineInfo) Check {
	c := Check{Check: "CPUs", Target: Kind, State: OK, Seen: strconv.Itoa(i.NCPU)}
	switch {
	case i.NCPU < 2:
		c.State, c.Remedy = Warning, "give the container engine two CPUs: the cluster starts slowly with less"
	case i.NCPU < kind.EnoughCPUs:
		c.Seen += fmt.Sprintf(": less than %d, so pods request little of one instead of what their tier says", kind.EnoughCPUs)
	}
	return c
}

// nodeMemory is what a node takes for itself, with some room.
const nodeMemory = 1 * gib

// engineMemory looks how many replicas of each tier have room in a node, which has the memory of the engine.
func engineMemory(i engineInfo) Check {
	var rooms []string
	least := uint64(0)
	for _, t := range sim.Tiers() {
		s, err := t.Sizing()
		if err != nil {
			continue
		}
		q := resource.MustParse(s.MemoryRequest)
		replica := uint64(q.Value())
		if least == 0 {
			least = replica
		}
		rooms = append(rooms, fmt.Sprintf("%d of tier %s", (max(i.MemTotal, nodeMemory)-nodeMemory)/replica, t))
	}
	c := Check{Check: "memory", Target: Kind, Seen: fmt.Sprintf("%s: room for %s", size(i.MemTotal), strings.Join(rooms, ", or "))}
	if c.State = enough(i.MemTotal, 2*gib, nodeMemory+2*least); c.State != OK {
		c.Remedy = "give the container engine " + size(nodeMemory+2*least) + ": the node, a replica of tier S, and the one more that an update starts"
	}
	return c
}

// engineDisk looks at the disk of images and volumes, if it is of this machine.
func (e *examiner) engineDisk(i engineInfo) Check {
	c := Check{Check: "disk", Target: Kind}
	if _, err := os.Stat(i.DockerRootDir); err != nil {
		c.State, c.Seen, c.Remedy = Warning, "the container engine's is in a virtual machine, and not seen from here", "see that 5 GiB are free there: docker system df"
		return c
	}
	free, err := e.Machine.Disk(i.DockerRootDir)
	if err != nil {
		c.State, c.Seen, c.Remedy = Warning, "the system does not tell: "+err.Error(), "see that 5 GiB are free: docker system df"
		return c
	}
	if c.State, c.Seen = enough(free, 1*gib, 5*gib), fmt.Sprintf("%s are free in %s", size(free), i.DockerRootDir); c.State != OK {
		c.Remedy = "make room for 5 GiB: 'docker system df' shows what takes how much"
	}
	return c
}
