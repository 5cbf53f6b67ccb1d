package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/durable"
)

// Endpoints is where to find a running simulator: what `up` prints and writes.
type Endpoints struct {
	Portal     string `json:"portal"`     // plain HTTP on loopback: UI and API
	PortalTLS  string `json:"portal_tls"` // the same through the edge
	Registry   string `json:"registry"`   // charts and images, through the edge
	Edge       string `json:"edge"`       // host:port of the one TLS port
	Proxy      string `json:"proxy"`      // CONNECT proxy that knows the simulator's names
	Kubernetes string `json:"kubernetes"` // API server of the in-process cluster
	Kubeconfig string `json:"kubeconfig"` // path of the file for helm and kubectl
	CA         string `json:"ca"`         // path of the CA certificate that signed every cloud endpoint
	TokenFile  string `json:"token_file"` // path of the file with the portal's token for who runs the simulator
	DataDir    string `json:"data_dir"`   // where state is
	Temporary  bool   `json:"temporary"`  // whether the state is gone when the simulator stops
	Domain     string `json:"domain"`     // parent of the host names
	Seed       uint64 `json:"seed"`       // of the run's draws
	PID        int    `json:"pid"`        // the process to stop
}

// RegistryHost gives the registry as host:port, as helm and images name it.
func (e Endpoints) RegistryHost() string { return strings.TrimPrefix(e.Registry, "https://") }

// WriteFile writes e to path as JSON, whole or not at all.
func (e Endpoints) WriteFile(path string) error {
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("encode endpoints: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the endpoints file's folder: %w", err)
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}

// ReadEndpoints reads what [Endpoints.WriteFile] wrote. It returns NotFound if there is no such file.
func ReadEndpoints(path string) (Endpoints, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Endpoints{}, sim.Errorf(sim.NotFound, "no running simulator was found (no file %s)", path).
			WithHelp("start one with 'dpesim up', or name one with --server or --endpoints-file")
	} else if err != nil {
		return Endpoints{}, fmt.Errorf("read endpoints: %w", err)
	}
	var e Endpoints
	if err := json.Unmarshal(b, &e); err != nil || e.Portal == "" {
		return Endpoints{}, sim.Errorf(sim.Invalid, "%s is not an endpoints file", path).WithHelp("name the file that 'dpesim up' wrote")
	}
	return e, nil
}
