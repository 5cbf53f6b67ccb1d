package chart

import (
	"bytes"
	_ "embed" // for the template of values.yaml
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode"

	"github.com/dpesim/dpesim/sim"
)

// DefaultRegion is the object storage's region where none is given: MinIO's default (assumption).
const DefaultRegion = "us-east-1"

// DefaultBucket is the bucket for results where none is given (assumption, sim/DESIGN.md).
const DefaultBucket = "results"

// The releases in which the chart got a value, or gave it another name.
const (
	bucketSince   sim.Release = "15.1.0" // objectStorage.bucket: before, the bucket was always DefaultBucket
	regionSince   sim.Release = "15.3.0" // objectStorage.region: before, the region was always DefaultRegion
	endpointSince sim.Release = "15.3.0" // dpm.endpoint: before, dpm.url
)

// Rename is a value that the chart of a release calls otherwise than that of the release before.
type Rename struct {
	Since    sim.Release
	Old, New string // keys, with dots
}

// Renames lists the values that were renamed, oldest first.
func Renames() []Rename { return []Rename{{Since: endpointSince, Old: "dpm.url", New: "dpm.endpoint"}} }

// Renamed tells, by the keys that the chart of release to has, which key of release from each was, if it was another.
func Renamed(from, to sim.Release) map[string]string {
	out := map[string]string{}
	for _, r := range Renames() {
		if r.Since.Compare(from) <= 0 || r.Since.Compare(to) > 0 {
			continue
		}
		first, again := out[r.Old]
		if !again {
			first = r.Old
		}
		delete(out, r.Old)
		out[r.New] = first
	}
	return out
}

// Values is what the portal generates for one DPE: everything that the chart cannot know by itself.
type Values struct {
	Release          sim.Release // of the chart that the values are for
	Environment      sim.EnvironmentID
	Label            sim.Label
	Tier             sim.Tier   // sizing of each replica
	Sizing           sim.Sizing // in place of the tier's, as an exception; empty figures: the tier's
	Replicas         int
	Drivers          []sim.Driver // enabled connectors; may be empty
	Revision         int64        // of the portal's specification, reported by the engine when it connects
	DPMURL           string       // https://dpm-grpc-<host>[:port]
	ObjectStorageURL string       // https://minio-<host>[:port]
	Region           string       // of the object storage; empty: DefaultRegion
	Bucket           string       // for results; empty: DefaultBucket
	AccessKey        string       // of the object storage
	SecretKey        sim.Secret   // of the object storage
	Registry         string       // host[:port] of the images
	RegistryUser     string
	RegistryToken    sim.Secret
	Key              sim.Secret // base64 of the JWK pair, RFC 7517
	CA               []byte     // PEM; empty: the system's roots only
	Address          string     // IP address of the hosts of DPMURL and ObjectStorageURL, where no DNS tells it; empty: DNS does
	Licence          Licence
}

// Licence is what an installation is told of the organisation's licence.
type Licence struct {
	Organisation string
	Environment  string // name of the environment, as people know it
	Replicas     int    // limit of the environment, shared by all its DPEs
	Expires      time.Time
}

// Exceptional tells whether v has a sizing that is not the tier's.
func (v Values) Exceptional() bool { return v.Sizing != sim.Sizing{} }

// Slots gives how many commands one replica of a tier runs at once. The product says only that DPM knows the number
// (product-facts, "Routing"); these are our choice (assumption).
func Slots(t sim.Tier) int {
	switch t {
	case sim.TierS:
		return 2
	case sim.TierM:
		return 4
	case sim.TierL:
		return 8
	}
	return 1
}

//go:embed values.yaml.tmpl
var valuesTemplate string

// YAML writes values.yaml for the chart of v.Release: keys in a fixed order, each block with a comment that says what it
// is. This is the one place that reveals the secrets of v. It returns NotFound if the release has no chart, and Invalid
// if v is incomplete.
func (v Values) YAML() ([]byte, error) {
	if err := v.complete(); err != nil {
		return nil, err
	}
	base, err := v.Tier.Sizing()
	if err != nil {
		return nil, err
	}
	t, err := template.New("values.yaml").Funcs(template.FuncMap{
		"quote":   quote,
		"host":    host,
		"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"indent":  func(b []byte) string { return "  " + strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "\n  ") },
		"atLeast": func(r sim.Release) bool { return v.Release.Compare(r) >= 0 },
	}).Parse(valuesTemplate)
	if err != nil {
		return nil, fmt.Errorf("parse the template of values.yaml: %w", err)
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, struct {
		Values
		Resources sim.Sizing
		Slots     int
	}{v, v.Sizing.Or(base), Slots(v.Tier)}); err != nil {
		return nil, fmt.Errorf("write values.yaml of %s: %w", v.Label, err)
	}
	return buf.Bytes(), nil
}

// complete fills in the defaults. It returns NotFound or Invalid as check does.
func (v *Values) complete() error {
	if v.Region == "" {
		v.Region = DefaultRegion
	}
	if v.Bucket == "" {
		v.Bucket = DefaultBucket
	}
	return v.check()
}

// check returns NotFound or Invalid, naming the first thing that is wrong.
func (v Values) check() error {
	if err := known(v.Release); err != nil {
		return err
	}
	if err := sim.CheckDrivers(v.Drivers); err != nil {
		return err
	}
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{v.Environment.Valid(), "the environment's id"},
		{v.Label.Valid(), "the label"},
		{v.Replicas >= 1, "the number of replicas"},
		{v.Revision >= 1, "the revision of the specification"},
		{isHTTPS(v.DPMURL), "the URL of DPM"},
		{isHTTPS(v.ObjectStorageURL), "the URL of the object storage"},
		{v.AccessKey != "" && v.SecretKey != "", "the credential of the object storage"},
		{v.Registry != "" && v.RegistryUser != "" && v.RegistryToken != "", "the registry with its access token"},
		{v.Key != "", "the key for JWTs"},
		{areQuantities(v.Sizing), "the exceptional sizing"},
		{v.Release.Compare(regionSince) >= 0 || v.Region == DefaultRegion, "the region, which is a value since " + string(regionSince) + ","},
		{v.Release.Compare(bucketSince) >= 0 || v.Bucket == DefaultBucket, "the bucket, which is a value since " + string(bucketSince) + ","},
		{len(v.CA) == 0 || isPEM(v.CA), "the CA certificate"},
		{v.Address == "" || isAddress(v.Address), "the address of the endpoints"},
		{isLine(v.Licence.Organisation) && isLine(v.Licence.Environment) && v.Licence.Replicas >= 1 && !v.Licence.Expires.IsZero(), "the licence"},
	} {
		if !c.ok {
			return sim.Errorf(sim.Invalid, "values for DPE %q cannot be written: %s is missing or malformed", string(v.Label), c.what).
				WithHelp("complete the DPE's specification")
		}
	}
	return nil
}

// isLine tells whether s is text of one line without space around it, as a property can hold it.
func isLine(s string) bool {
	return s != "" && s == strings.TrimSpace(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// areQuantities tells whether the figures of s are quantities or empty.
func areQuantities(s sim.Sizing) bool {
	for _, q := range []string{s.CPURequest, s.CPULimit, s.MemoryRequest, s.MemoryLimit, s.Disk} {
		if _, ok := ParseQuantity(q); q != "" && !ok {
			return false
		}
	}
	return true
}

// host gives the host of a URL that is one.
func host(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func isHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func isPEM(b []byte) bool {
	p, _ := pem.Decode(b)
	return p != nil
}

// quote writes a YAML double-quoted scalar: YAML knows every escape that Go uses. Secrets are revealed here.
func quote(v any) string {
	if secret, ok := v.(sim.Secret); ok {
		return strconv.Quote(secret.Reveal())
	}
	return strconv.Quote(fmt.Sprint(v))
}
