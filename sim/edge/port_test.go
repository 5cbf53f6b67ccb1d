package edge_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/edge"
)

func TestATakenPortIsExplained(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_, err = edge.Open(t.Context(), edge.Options{Addr: addr, Flag: "--tls", Clock: clock.New()})
	if sim.KindOf(err) != sim.Conflict {
		t.Fatalf("%v", err)
	}
	msg, help := sim.Explain(err)
	if !strings.Contains(msg, "port "+port) || !strings.Contains(help, "--tls") {
		t.Errorf("%q, %q", msg, help)
	}
	if want := fmt.Sprintf("(pid %d)", os.Getpid()); runtime.GOOS == "linux" && !strings.Contains(msg, want) {
		t.Errorf("%q does not name the owner %s", msg, want)
	}
	if _, err := edge.ListenTCP(t.Context(), "localhost:"+port, "--http"); runtime.GOOS == "linux" {
		if msg, _ := sim.Explain(err); !strings.Contains(msg, "pid") {
			t.Errorf("by name: %q", msg)
		}
	}
}

func TestAddressesThatCannotBeListenedOnAreExplained(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"192.0.2.1:0", "nonsense", "127.0.0.1:notaport", "127.0.0.1:70000"} {
		ln, err := edge.ListenTCP(t.Context(), addr, "--http")
		if ln != nil || sim.KindOf(err) != sim.Invalid {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if msg, help := sim.Explain(err); !strings.Contains(msg, addr) || !strings.Contains(help, "--http") {
			t.Errorf("%s: %q, %q", addr, msg, help)
		}
	}
	if _, err := edge.Open(t.Context(), edge.Options{Addr: "127.0.0.1:0"}); sim.KindOf(err) != sim.Invalid {
		t.Errorf("without a clock: %v", err)
	}
}
