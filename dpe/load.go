package dpe

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Where the chart of dpe/chart mounts what it delivers, relative to the root (our choice).
const (
	configFiles = "etc/dpe/config/*.properties"
	secretFiles = "etc/dpe/secret/*.properties" // one per Secret: jwt, object-storage, licence
	caFile      = "etc/dpe/config/ca.pem"       // may be empty
	caDirectory = "etc/dpe/ca.d"                // *.pem and *.crt; may be missing
)

// keyProperty is the product's own name (product-facts, "Trust"). All other properties are our choice, as are the
// environment variables DPE_REPLICA, DPE_VERSION and DPE_SCRATCH. The variables of proxies are everybody's.
const keyProperty = "ataccama.authentication.internal.jwt.generator.key"

// Load reads the configuration that the chart delivers: environment variables that tell a pod who it is, and mounted
// property files. files is rooted at "/". It returns Invalid for what is missing, unknown or malformed; what the values
// mean together is checked by [Run]. The caller adds the fields of [Config] that no chart can give.
func Load(getenv func(string) string, files fs.FS) (Config, error) {
	props := map[string]string{}
	for _, pattern := range []string{configFiles, secretFiles} {
		if err := readAll(files, pattern, props); err != nil {
			return Config{}, err
		}
	}
	ca, err := readCA(files)
	if err != nil {
		return Config{}, err
	}
	variable := func(names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	c := Config{
		Replica: sim.ReplicaID(getenv("DPE_REPLICA")),
		Version: sim.Release(getenv("DPE_VERSION")),
		Scratch: getenv("DPE_SCRATCH"),
		CA:      ca,
		Proxy: Proxy{
			HTTPS: sim.Secret(variable("HTTPS_PROXY", "https_proxy")), HTTP: sim.Secret(variable("HTTP_PROXY", "http_proxy")),
			NoProxy: variable("NO_PROXY", "no_proxy"),
		},
	}
	err = c.set(props)
	return c, err
}

// readCA gives the files of certificates.
func readCA(files fs.FS) ([]CAFile, error) {
	var out []CAFile
	names, err := fs.Glob(files, caDirectory+"/*")
	if err != nil {
		return nil, unreadable("/"+caDirectory, err)
	}
	for _, name := range append([]string{caFile}, names...) {
		if ext := path.Ext(name); ext != ".pem" && ext != ".crt" {
			continue
		}
		text, err := fs.ReadFile(files, name)
		switch {
		case name == caFile && (errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(text)) == 0):
		case err != nil:
			return nil, unreadable("/"+name, err)
		default:
			out = append(out, CAFile{Name: "/" + name, PEM: text})
		}
	}
	return out, nil
}

func unreadable(name string, cause error) error {
	e := cannotStart("its configuration " + name + " cannot be read")
	e.Err = cause
	return e
}

// readAll adds the properties of all files of a pattern to props, which must be one at least.
func readAll(files fs.FS, pattern string, props map[string]string) error {
	names, err := fs.Glob(files, pattern)
	if err == nil && len(names) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return unreadable("/"+pattern, err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return unreadable("/"+name, err)
		}
		if err := readProperties(name, b, props); err != nil {
			return err
		}
	}
	return nil
}

// set takes every property; none may be missing, none may be left.
func (c *Config) set(props map[string]string) error {
	var failed error
	take := func(name string, use func(string) error) {
		v, ok := props[name]
		delete(props, name)
		switch {
		case failed != nil:
		case !ok:
			failed = cannotStart("the property " + name + " is missing")
		default:
			if err := use(v); err != nil {
				failed = cannotStart("the property " + name + " is malformed") // no value: it may be a secret
			}
		}
	}
	text := func(p *string) func(string) error { return func(s string) error { *p = s; return nil } }
	number := func(p *int) func(string) error {
		return func(s string) (err error) { *p, err = strconv.Atoi(s); return err }
	}
	const dpe = "ataccama.dpe."
	take(dpe+"environment", text((*string)(&c.Environment)))
	take(dpe+"label", text((*string)(&c.Label)))
	take(dpe+"drivers", func(s string) error {
		for d := range strings.SplitSeq(s, ",") {
			if d = strings.TrimSpace(d); d != "" {
				c.Drivers = append(c.Drivers, sim.Driver(d))
			}
		}
		return nil
	})
	take(dpe+"configuration-revision", func(s string) (err error) { c.Revision, err = strconv.ParseInt(s, 10, 64); return err })
	take(dpe+"slots", number(&c.Slots))
	take(dpe+"drain-timeout", func(s string) (err error) { c.DrainTimeout, err = time.ParseDuration(s); return err })
	take(dpe+"dpm.url", text(&c.DPMURL))
	take(dpe+"object-storage.url", text(&c.ObjectStorage.URL))
	take(dpe+"object-storage.region", text(&c.ObjectStorage.Region))
	take(dpe+"object-storage.bucket", text(&c.ObjectStorage.Bucket))
	take(dpe+"object-storage.access-key", text(&c.ObjectStorage.AccessKey))
	take(dpe+"object-storage.secret-key", text((*string)(&c.ObjectStorage.SecretKey)))
	take(dpe+"custom-drivers.enabled", func(s string) (err error) { c.CustomDrivers.Enabled, err = strconv.ParseBool(s); return err })
	take(dpe+"custom-drivers.sha256", text(&c.CustomDrivers.SHA256))
	take(dpe+"custom-drivers.bucket", text(&c.CustomDrivers.Bucket))
	take(dpe+"custom-drivers.archive", text(&c.CustomDrivers.Archive))
	take(dpe+"licence.organisation", text(&c.Licence.Organisation))
	take(dpe+"licence.environment", text(&c.Licence.Environment))
	take(dpe+"licence.replicas", number(&c.Licence.Replicas))
	take(dpe+"licence.expires", func(s string) (err error) { c.Licence.Expires, err = time.Parse(time.RFC3339, s); return err })
	take(keyProperty, text((*string)(&c.Key)))
	if failed == nil && len(props) > 0 {
		for name := range props {
			failed = cannotStart("the property " + name + " is unknown")
			break
		}
	}
	return failed
}

// readProperties adds the lines "name=value" of a file to props. Blank lines and lines that begin with # or ! are
// comments; there are no escapes and no continued lines, unlike in Java's format. It returns Invalid for any other line
// and for a name that stands twice, without its value.
func readProperties(file string, b []byte, props map[string]string) error {
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return cannotStart("line " + strconv.Itoa(n) + " of /" + file + " is not name=value")
		}
		if _, twice := props[name]; twice {
			return cannotStart("the property " + name + " stands twice, the second time in /" + file)
		}
		props[name] = strings.TrimSpace(value)
	}
	if lines.Err() != nil {
		return cannotStart("a line of /" + file + " is longer than 1 MiB")
	}
	return nil
}
