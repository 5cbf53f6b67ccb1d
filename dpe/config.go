package dpe

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/jwk"
)

// HealthPort is the HTTP port of a DPE. Source: product-facts, "Ports and health of the modules".
const HealthPort = 8034

// Config is all that an engine needs. [Load] fills the first group; the second comes from whoever runs the engine.
type Config struct {
	Environment   sim.EnvironmentID
	Label         sim.Label
	Replica       sim.ReplicaID // name of this replica, unique in its DPE: the pod's name
	Version       sim.Release
	Drivers       []sim.Driver
	Revision      int64 // of the portal's specification; 0: not known
	Slots         int   // commands at once, at least 1
	DPMURL        string
	ObjectStorage ObjectStorage
	Key           sim.Secret // base64 JWK pair
	CA            []CAFile   // trusted beside the system's roots
	Proxy         Proxy      // between the engine and the cloud
	Licence       Licence
	CustomDrivers CustomDrivers
	DrainTimeout  time.Duration // how long jobs may take to finish after Stop
	Scratch       string        // directory for temporary files; must exist

	Stop   <-chan struct{} // closed: drain, then return; nil: never
	Dial   DialFunc        // connections to the cloud or to the proxy; nil: the machine's network
	Health net.Listener    // where health is served; Run closes it
	Clock  *clock.Clock
	Draw   *draw.Source
	Faults *fault.Set   // nil: none
	Log    *slog.Logger // nil: silent

	// Memory is told the working set, in bytes, whenever it changes: a model of the product's, see DESIGN.md. Nil: nobody
	// wants to know. It must be safe for concurrent use.
	Memory func(bytes int64)
}

// DialFunc opens a connection, as [net.Dialer.DialContext] does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// ObjectStorage is how the environment's object storage is reached.
type ObjectStorage struct {
	URL       string // https
	Region    string
	Bucket    string // for results; readiness asks for it
	AccessKey string
	SecretKey sim.Secret
}

// Licence is what the installation was told of the organisation's licence. An engine shows it and warns when it has
// expired; it works on (assumption).
type Licence struct {
	Organisation string
	Environment  string
	Replicas     int
	Expires      time.Time // zero: not known
}

// checked is what Config's texts mean.
type checked struct {
	key     *ecdsa.PrivateKey
	roots   *x509.CertPool
	dpm     *url.URL
	storage *url.URL
	proxy   *url.URL // nil: none
}

// check returns Invalid with one sentence for the first thing that keeps the engine from starting.
func (c Config) check() (checked, error) {
	var out checked
	for _, r := range []struct {
		ok   bool
		what string
	}{
		{c.Environment.Valid(), "the environment " + quoted(c.Environment) + " is not an environment id"},
		{c.Label.Valid(), "the label " + quoted(c.Label) + " is not a DPE label"},
		{c.Replica != "", "the replica has no name"},
		{c.Slots >= 1, "it needs at least one slot for commands"},
		{c.ObjectStorage.Region != "", "the region of the object storage is missing"},
		{c.ObjectStorage.Bucket != "", "the bucket for results is missing"},
		{c.ObjectStorage.AccessKey != "" && c.ObjectStorage.SecretKey != "", "the credential of the object storage is missing"},
		{c.Key != "", "the JWT key is missing"},
		{c.DrainTimeout >= 0, "the drain time-out is negative"},
		{c.Health != nil, "there is no listener for its health"},
		{c.Clock != nil && c.Draw != nil, "it has no clock or no source of draws"},
	} {
		if !r.ok {
			return out, cannotStart(r.what)
		}
	}
	if _, err := sim.ParseRelease(string(c.Version)); err != nil {
		return out, cannotStart("its version " + quoted(c.Version) + " is not a release")
	}
	if err := sim.CheckDrivers(c.Drivers); err != nil {
		msg, _ := sim.Explain(err)
		return out, cannotStart(msg)
	}
	var err error
	if out.key, err = jwk.Parse(c.Key); err != nil {
		msg, _ := sim.Explain(err)
		return out, cannotStart(msg)
	}
	if out.dpm, err = endpoint("DPM", c.DPMURL); err != nil {
		return out, err
	}
	if out.storage, err = endpoint("the object storage", c.ObjectStorage.URL); err != nil {
		return out, err
	}
	if out.proxy, err = c.Proxy.url(); err != nil {
		return out, err
	}
	if out.roots, err = roots(c.CA); err != nil {
		return out, err
	}
	if err := c.CustomDrivers.check(); err != nil {
		return out, err
	}
	return out, checkScratch(c.Scratch)
}

// cannotStart says why the engine does not start.
func cannotStart(why string) *sim.Error {
	return sim.Errorf(sim.Invalid, "the DPE cannot start: %s", why).
		WithHelp("compare the installed values with the values.yaml that the portal generated")
}

func quoted[T ~string](s T) string { return `"` + string(s) + `"` }

// endpoint reads the URL of a service of the cloud: https, a host, nothing behind it.
func endpoint(what, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return nil, cannotStart("the URL of " + what + " must look like https://host or https://host:port")
	}
	return u, nil
}

// hostPort gives host:port of an https URL.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), "443")
}

// checkScratch makes sure that files can be written in the temporary directory.
func checkScratch(dir string) error {
	if dir == "" {
		return cannotStart("it has no directory for temporary files")
	}
	f, err := os.CreateTemp(dir, "probe-*")
	if err == nil {
		err = f.Close()
		if e := os.Remove(f.Name()); err == nil {
			err = e
		}
	}
	if err != nil {
		e := cannotStart("the directory for temporary files cannot be written")
		e.Err = err
		return e.WithHelp("check the scratch volume of the pod")
	}
	return nil
}

// capabilities lists what the engine can do, sorted, with the custom drivers that it has loaded. Drivers are connectors;
// this engine has none yet that serve a job, so they are reported as drivers and not as sources.
func capabilities(custom []string) []string {
	c := []string{"job:profile", "source:csv"}
	for _, name := range custom {
		c = append(c, "driver:"+name)
	}
	slices.Sort(c)
	return c
}
