package node

import (
	"context"
	"sync"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

// PointOOM is asked every [housekeeping] for every running container: an error kills it as out of memory.
const PointOOM fault.Point = "cluster.oom"

// instanceLabel names the DPE that a pod is of: the Helm release.
const instanceLabel = "app.kubernetes.io/instance"

// housekeeping is how often a node looks at what its containers use. Source: KubeletConfiguration, evictionMonitorPeriod
// and cAdvisor's housekeeping interval, both 10 s.
const housekeeping = 10 * time.Second

// limiter kills a run of a container that uses more memory than it may. The zero value lets everything pass.
type limiter struct {
	mu    sync.Mutex
	limit int64 // bytes, 0: none
	kill  func()
	over  bool
}

// arm sets the limit and what happens beyond it.
func (l *limiter) arm(limit int64, kill func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.kill = limit, kill
}

// report takes the working set.
func (l *limiter) report(bytes int64) {
	l.mu.Lock()
	limit := l.limit
	l.mu.Unlock()
	if limit > 0 && bytes > limit {
		l.exceed()
	}
}

// exceed kills the container as the kernel does when its memory is used up.
func (l *limiter) exceed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over && l.kill != nil {
		l.over = true
		l.kill()
	}
}

func (l *limiter) exceeded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// starve asks the fault point until ctx is done.
func (c *container) starve(ctx context.Context, exceed func()) {
	about := fault.Scope{DPE: sim.Label(c.pod.source().Labels[instanceLabel])}
	for c.pod.agent.clock.Sleep(ctx, housekeeping) == nil {
		if err := c.pod.agent.faults.At(ctx, PointOOM, about); err != nil && ctx.Err() == nil {
			exceed()
			return
		}
	}
}
