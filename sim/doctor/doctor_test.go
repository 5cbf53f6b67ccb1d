package doctor_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/doctor"
)

// machine is a machine as a test wants it.
type machine struct {
	memory, disk uint64
	err          error
}

func (m machine) CPUs() int                             { return 2 }
func (m machine) Memory() (all, free uint64, err error) { return m.memory, m.memory, m.err }
func (m machine) Disk(string) (uint64, error)           { return m.disk, m.err }

func examine(t *testing.T, m doctor.Machine, resolved string) []doctor.Check {
	t.Helper()
	return doctor.Examine(t.Context(), doctor.Options{
		Targets: []doctor.Target{doctor.InProcess}, Dir: t.TempDir(), HTTPAddr: "localhost:0", TLSAddr: "localhost:0", Host: "portal.dpesim.localhost", Machine: m,
		Resolve: func(context.Context, string) ([]net.IPAddr, error) {
			return []net.IPAddr{{IP: net.ParseIP(resolved)}}, nil
		},
	})
}

func TestAMachineIsJudgedByWhatItHas(t *testing.T) {
	t.Parallel()
	const mib, gib = 1 << 20, 1 << 30
	for name, tc := range map[string]struct {
		machine      machine
		memory, disk doctor.State
		usable       bool
	}{
		"enough":       {machine{gib, 2 * gib, nil}, doctor.OK, doctor.OK, true},
		"tight":        {machine{300 * mib, 500 * mib, nil}, doctor.Warning, doctor.Warning, true},
		"no memory":    {machine{100 * mib, 2 * gib, nil}, doctor.Missing, doctor.OK, false},
		"a full disk":  {machine{gib, 5 * mib, nil}, doctor.OK, doctor.Missing, false},
		"says nothing": {machine{err: errors.New("not told")}, doctor.Warning, doctor.Warning, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checks := examine(t, tc.machine, "127.0.0.1")
			for check, want := range map[string]doctor.State{"memory": tc.memory, "disk": tc.disk} {
				c := checks[slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Check == check })]
				if c.State != want || (c.State == doctor.OK) != (c.Remedy == "") {
					t.Errorf("got %+v, want %s", c, want)
				}
			}
			if got := doctor.Usable(checks, doctor.InProcess); got != tc.usable {
				t.Errorf("usable is %t", got)
			}
		})
	}
}

func TestThisMachineTellsWhatItHas(t *testing.T) {
	t.Parallel()
	for _, c := range examine(t, nil, "127.0.0.1") {
		if c.Check == "memory" && !strings.Contains(c.Seen, "can be had") || c.Check == "disk" && !strings.Contains(c.Seen, "are free in") {
			t.Errorf("it does not tell: %+v", c)
		}
	}
}

func TestANameMustLeadHere(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]doctor.State{"127.0.0.1": doctor.OK, "::1": doctor.OK, "203.0.113.7": doctor.Warning} {
		checks := examine(t, nil, address)
		c := checks[slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Check == "names" })]
		if c.State != want || !strings.Contains(c.Seen, address) {
			t.Errorf("%s: got %+v, want %s", address, c, want)
		}
	}
}
