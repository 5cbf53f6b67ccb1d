package cluster_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
)

func TestNodesAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	like := cluster.DefaultNodes()[0]
	node := func(i int, cpu, memory, disk string) cluster.Node {
		return cluster.Node{Name: fmt.Sprintf("dpesim-node-%d", i), CPU: cpu, Memory: memory, Disk: disk}
	}
	for in, want := range map[string][]cluster.Node{
		"3":                       cluster.DefaultNodes(),
		"1x2cpu,4Gi,150Gi":        {node(1, "2", "4Gi", "150Gi")},
		"1x3500m,4Gi":             {node(1, "3500m", "4Gi", like.Disk)},
		"1 + 1 x 8cpu, 32Gi, 2Ti": {node(1, like.CPU, like.Memory, like.Disk), node(2, "8", "32Gi", "2Ti")},
	} {
		got, err := cluster.ParseNodes(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
	for in, want := range map[string]string{
		"":              `"" describes no nodes: the number of nodes must be 1 to 200`,
		"0":             `"0" describes no nodes: the number of nodes must be 1 to 200`,
		"150+51":        `"150+51" describes no nodes: the number of nodes must be 1 to 200`,
		"many":          `"many" describes no nodes: the number of nodes must be 1 to 200`,
		"2x4cpu":        `"2x4cpu" describes no nodes: a size is CPU,memory or CPU,memory,disk`,
		"2x4cpu,much":   `"2x4cpu,much" describes no nodes: the memory "much" is no Kubernetes quantity above zero`,
		"2x0,4Gi":       `"2x0,4Gi" describes no nodes: the CPU "0" is no Kubernetes quantity above zero`,
		"2x4,4Gi,-1Gi":  `"2x4,4Gi,-1Gi" describes no nodes: the disk "-1Gi" is no Kubernetes quantity above zero`,
		"1x4,4Gi,1Gi,1": `"1x4,4Gi,1Gi,1" describes no nodes: a size is CPU,memory or CPU,memory,disk`,
	} {
		if _, err := cluster.ParseNodes(in); sim.KindOf(err) != sim.Invalid || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func FuzzParseNodes(f *testing.F) {
	for _, s := range []string{"3", "2x2cpu,4Gi,150Gi", "1x4,16Gi+2", "x", "1x1,1,1e99"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		nodes, err := cluster.ParseNodes(s)
		if err != nil {
			return
		}
		names := map[string]bool{}
		for _, n := range nodes {
			names[n.Name] = true
		}
		if len(names) != len(nodes) || len(nodes) == 0 || slices.ContainsFunc(nodes, func(n cluster.Node) bool { return n.CPU == "" || n.Memory == "" || n.Disk == "" }) {
			t.Errorf("%q gives %+v", s, nodes)
		}
	})
}
