package cli_test

import (
	"testing"

	"github.com/dpesim/dpesim/sim/simtest"
)

func TestClockAndFaultsByTheCommandLine(t *testing.T) {
	t.Parallel()
	w := with(t, simtest.Start(t))
	before := decode[map[string]any](t, w.ok("clock", "show", "-o", "json"))
	after := decode[map[string]any](t, w.ok("clock", "advance", "90d", "-o", "json"))
	if before["mode"] != "real" || after["mode"] != "offset" || after["offset"] != "2160h0m0s" {
		t.Errorf("before %v, after %v", before, after)
	}
	frozen := decode[map[string]any](t, w.ok("clock", "freeze", "-o", "json"))
	again := decode[map[string]any](t, w.ok("clock", "show", "-o", "json"))
	if frozen["mode"] != "frozen" || frozen["now"] != again["now"] {
		t.Errorf("frozen %v, later %v", frozen, again)
	}
	w.ok("clock", "scale", "10")
	w.ok("clock", "set", "2030-01-01T00:00:00Z")
	w.ok("clock", "real")
	w.fails(2, []string{"is no time"}, "clock", "set", "tomorrow")
	w.fails(2, []string{"is no rate"}, "clock", "scale", "0")
	w.fails(1, []string{"is no span of time"}, "clock", "advance", "soon")

	w.ok("fault", "points")
	w.ok("fault", "arm", "dpm.connect", "--name", "cut", "--times", "2")
	w.fails(1, []string{"armed already"}, "fault", "arm", "dpm.connect", "--name", "cut")
	w.fails(1, []string{"nothing can be broken at"}, "fault", "arm", "no.where")
	if list := decode[[]map[string]any](t, w.ok("fault", "list", "-o", "json")); len(list) != 1 || list[0]["name"] != "cut" || list[0]["error"] != "it is broken on purpose" {
		t.Errorf("armed are %v", list)
	}
	w.ok("fault", "disarm", "cut")
	w.fails(1, []string{"cut"}, "fault", "disarm", "cut")
	w.fails(1, []string{"trainer"}, "clock", "freeze", "--as", "mia")
}
