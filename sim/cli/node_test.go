package cli_test

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	if got := w.ok("node", "add", "--cpu", "8", "--memory", "32Gi"); got != "node dpesim-node-4 added\n" {
		t.Errorf("add says %q", got)
	}
	list := decode[[]cluster.NodeState](t, w.ok("node", "list", "-o", "json"))
	if len(list) != 4 || list[0].Status != "Ready" || list[3].CPU.Allocatable != "8" || list[3].Disk.Allocatable != "1Ti" {
		t.Errorf("listed %+v", list)
	}
	if got := w.ok("node", "list"); !strings.HasPrefix(got, "NAME") || !strings.Contains(got, "0 of 3860m") {
		t.Errorf("list says\n%s", got)
	}
	for _, tt := range []struct{ verb, done string }{{"stop", "stopped"}, {"start", "started"}, {"remove", "removed"}} {
		if got := w.ok("node", tt.verb, "dpesim-node-4"); got != "node dpesim-node-4 "+tt.done+"\n" {
			t.Errorf("%s says %q", tt.verb, got)
		}
	}
	w.fails(1, []string{`there is no node "dpesim-node-4"`, "'dpesim node list' shows those that there are"}, "node", "start", "dpesim-node-4")
	w.fails(1, []string{"there is a node dpesim-node-1 already"}, "node", "add", "--name", "dpesim-node-1")
}
