package cli_test

import "testing"

func TestRemovingAClusterNeedsAContainerEngine(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // kind looks for the engine there
	w := nowhere(t)
	w.fails(1, []string{"neither Docker, nor nerdctl, nor Podman", "What to do: install Docker"}, "cluster", "remove")
	w.fails(2, []string{"takes no arguments"}, "cluster", "remove", "mine")
}
