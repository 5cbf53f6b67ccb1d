package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/durable"
)

// ports are the ports of a run. A run on a kept data directory prefers those of the run before it where the user asks
// for any free one: installed values files and the files of other programs name them. The cluster remembers its own.
type ports struct {
	HTTP  string `json:"http"`
	TLS   string `json:"tls"`
	Proxy string `json:"proxy"`
}

// recall reads the ports of the run before; none if there was none. It returns Invalid if the file is damaged.
func (d *dataDir) recall() (ports, error) {
	var p ports
	b, err := os.ReadFile(d.join("ports.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	} else if err != nil {
		return p, fmt.Errorf("read the last run's ports: %w", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return ports{}, sim.Errorf(sim.Invalid, "%s is damaged: %s", d.join("ports.json"), err).
			WithHelp("delete it: the ports of the last run are forgotten, nothing else")
	}
	return p, nil
}

// remember writes the ports of this run for the next.
func (d *dataDir) remember(p ports) error {
	if d.temporary {
		return nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write this run's ports: %w", err)
	}
	return durable.WriteFile(d.join("ports.json"), b, 0o600)
}

// bind calls open with addr; if addr asks for any free port it tries the last one first, and takes another if that
// cannot be had any more.
func bind[T any](addr, last string, open func(addr string) (T, error)) (T, error) {
	if host, port, err := net.SplitHostPort(addr); err == nil && port == "0" && last != "" {
		if v, err := open(net.JoinHostPort(host, last)); err == nil {
			return v, nil
		}
	}
	return open(addr)
}

// portOf gives the port of a listener's address.
func portOf(a net.Addr) string {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "" // a TCP address always has a port
	}
	return port
}
