package doctor

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/edge"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// size says bytes in words.
func size(bytes uint64) string {
	if bytes < gib {
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/gib)
}

// enough judges a figure: below must it is missing, below wish it is a warning.
func enough(have, must, wish uint64) State {
	switch {
	case have < must:
		return Missing
	case have < wish:
		return Warning
	}
	return OK
}

// thisMachine is the machine that this process runs on.
type thisMachine struct{}

// CPUs heeds what a container engine allows this process.
func (thisMachine) CPUs() int { return runtime.GOMAXPROCS(0) }

// ports looks whether the ports are free that `up` listens on where nobody says otherwise.
func (e *examiner) ports(ctx context.Context) []Check {
	var out []Check
	for _, p := range []struct{ check, flag, addr string }{{"port of the portal", "--http", e.HTTPAddr}, {"port of the cloud", "--tls", e.TLSAddr}} {
		c := Check{Check: p.check, Target: All, State: OK, Seen: p.addr + " is free"}
		ln, err := edge.ListenTCP(ctx, p.addr, p.flag)
		if err == nil {
			err = ln.Close()
		}
		if err != nil { // 'scenario run', 'exec' and 'demo' take free ones by themselves
			c.State = Warning
			c.Seen, c.Remedy = sim.Explain(err)
			c.Remedy = "for 'dpesim up': " + c.Remedy
		}
		out = append(out, c)
	}
	return out
}

// names looks whether this machine's programs find the simulator by its names.
func (e *examiner) names(ctx context.Context) []Check {
	c := Check{Check: "names", Target: All, State: OK}
	addrs, err := e.Resolve(ctx, e.Host)
	switch {
	case err != nil || len(addrs) == 0:
		c.State, c.Seen = Warning, e.Host+" is not known to this machine's resolver"
		c.Remedy = "browsers, curl and dpesim know names under .localhost by themselves; for other programs use the proxy that 'dpesim endpoints' names, or write '127.0.0.1 " + e.Host + "' into the hosts file"
	case !addrs[0].IP.IsLoopback():
		c.State, c.Seen = Warning, e.Host+" leads to "+addrs[0].String()+", which is not this machine"
		c.Remedy = "use a name under .localhost (--domain), or write '127.0.0.1 " + e.Host + "' into the hosts file"
	default:
		c.Seen = e.Host + " leads to " + addrs[0].String()
	}
	return []Check{c}
}

// What the simulator takes with the cluster in its process: some 130 MiB when idle, and files of a few MiB; engines of
// big rehearsals, their jobs and results need more.
const (
	memoryMust, memoryWish = 256 * mib, 512 * mib
	diskMust, diskWish     = 64 * mib, 1 * gib
)

// machine looks at what the cluster in the process takes.
func (e *examiner) machine(context.Context) []Check {
	cpus := Check{Check: "CPUs", Target: InProcess, State: OK, Seen: fmt.Sprintf("%d; its nodes have what --nodes says, whatever the machine has", e.Machine.CPUs())}
	memory := Check{Check: "memory", Target: InProcess}
	if _, free, err := e.Machine.Memory(); err != nil {
		memory.State, memory.Seen, memory.Remedy = Warning, "the system does not tell: "+err.Error(), "see yourself that "+size(memoryWish)+" are free"
	} else if memory.State, memory.Seen = enough(free, memoryMust, memoryWish), size(free)+" can be had"; memory.State != OK {
		memory.Remedy = "end other programs: a rehearsal wants " + size(memoryWish)
	}
	folder := os.TempDir()
	disk := Check{Check: "disk", Target: InProcess}
	if free, err := e.Machine.Disk(folder); err != nil {
		disk.State, disk.Seen, disk.Remedy = Warning, "the system does not tell: "+err.Error(), "see yourself that "+size(diskWish)+" are free in "+folder
	} else if disk.State, disk.Seen = enough(free, diskMust, diskWish), fmt.Sprintf("%s are free in %s", size(free), folder); disk.State != OK {
		disk.Remedy = "make room for " + size(diskWish) + ", or keep the state elsewhere: --data, or the variable TMPDIR (TEMP on Windows)"
	}
	return []Check{cpus, memory, disk}
}
