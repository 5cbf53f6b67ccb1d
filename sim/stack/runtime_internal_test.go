package stack

import (
	"testing"

	"github.com/dpesim/dpesim/dpe/image"
	"github.com/dpesim/dpesim/sim/cluster"
)

// The label decides what runs, not the name: a mirror of the image runs, another image does not.
func TestOnlyTheEnginesImageAndProgramRun(t *testing.T) {
	t.Parallel()
	engine := map[string]string{image.LabelKind: image.Kind}
	for _, tt := range []struct {
		labels map[string]string
		args   []string
		want   string
	}{
		{engine, []string{"/dpesim", "dpe", "run"}, ""},
		{engine, []string{"sh", "-c", "true"}, `exec: "sh": executable file not found in $PATH`},
		{engine, []string{"bin/sh"}, `exec: "bin/sh": stat /bin/sh: no such file or directory`},
		{engine, nil, "no command specified"},
		{nil, []string{"/dpesim"}, "exec format error: the image mirror.example/x:1 is not one of dpesim's engine (label dev.dpesim.image=dpe), and the in-process cluster runs no other"},
	} {
		got := ""
		if err := (engines{}).Check(cluster.Container{Image: "mirror.example/x:1", Dir: "/", Labels: tt.labels, Args: tt.args}); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.args, got, tt.want)
		}
	}
}
