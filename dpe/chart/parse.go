package chart

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/dpesim/dpesim/sim"
)

// maxValues is the longest values file that is read, in bytes: a generated one has about three thousand.
const maxValues = 1 << 20

// document is the values.yaml that [Values.YAML] writes.
type document struct {
	Environment sim.EnvironmentID `json:"environment"`
	DPE         struct {
		Label    sim.Label    `json:"label"`
		Revision int64        `json:"revision"`
		Slots    int          `json:"slots"`
		Drivers  []sim.Driver `json:"drivers"`
	} `json:"dpe"`
	ReplicaCount int `json:"replicaCount"`
	Image        struct {
		Registry string `json:"registry"`
	} `json:"image"`
	ImageCredentials struct {
		Username string `json:"username"`
		Password string `json:"password"`
	} `json:"imageCredentials"`
	DPM struct {
		URL      string `json:"url"`
		Endpoint string `json:"endpoint"`
	} `json:"dpm"`
	ObjectStorage struct {
		URL       string `json:"url"`
		Region    string `json:"region"`
		Bucket    string `json:"bucket"`
		AccessKey string `json:"accessKey"`
		SecretKey string `json:"secretKey"`
	} `json:"objectStorage"`
	Authentication struct {
		JWTKey string `json:"jwtKey"`
	} `json:"authentication"`
	CA          string `json:"ca"`
	HostAliases []struct {
		IP        string   `json:"ip"`
		Hostnames []string `json:"hostnames"`
	} `json:"hostAliases"`
	Licence struct {
		Organisation string    `json:"organisation"`
		Environment  string    `json:"environment"`
		Replicas     int       `json:"replicas"`
		Expires      time.Time `json:"expires"`
	} `json:"licence"`
	Resources struct {
		Requests quantities `json:"requests"`
		Limits   quantities `json:"limits"`
	} `json:"resources"`
	Scratch struct {
		Size string `json:"size"`
	} `json:"scratch"`
}

type quantities struct {
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
}

// ParseValues reads a values.yaml that [Values.YAML] wrote, of any release: its Release is the newest whose chart has just
// these keys. It returns Invalid, without a value of the file, for anything else: what is malformed, incomplete, or was
// changed by hand so that the portal would not write it.
func ParseValues(text []byte) (Values, error) {
	if len(text) > maxValues {
		return Values{}, notGenerated("it is longer than a mebibyte")
	}
	var d document
	if err := yaml.UnmarshalStrict(text, &d); err != nil {
		return Values{}, notGenerated("its YAML is malformed, or has keys that the portal does not write")
	}
	v := Values{
		Environment: d.Environment, Label: d.DPE.Label, Replicas: d.ReplicaCount, Drivers: d.DPE.Drivers, Revision: d.DPE.Revision,
		ObjectStorageURL: d.ObjectStorage.URL, Region: d.ObjectStorage.Region, Bucket: d.ObjectStorage.Bucket, AccessKey: d.ObjectStorage.AccessKey,
		SecretKey: sim.Secret(d.ObjectStorage.SecretKey), Registry: d.Image.Registry, RegistryUser: d.ImageCredentials.Username,
		RegistryToken: sim.Secret(d.ImageCredentials.Password), Key: sim.Secret(d.Authentication.JWTKey), CA: []byte(d.CA),
		Licence: Licence{Organisation: d.Licence.Organisation, Environment: d.Licence.Environment, Replicas: d.Licence.Replicas, Expires: d.Licence.Expires},
	}
	var err error
	if v.Release, v.DPMURL, err = d.release(); err != nil {
		return Values{}, err
	}
	if v.Tier, v.Sizing, err = d.sizing(); err != nil {
		return Values{}, err
	}
	if a := d.HostAliases; len(a) == 1 && slices.Equal(a[0].Hostnames, []string{host(v.DPMURL), host(v.ObjectStorageURL)}) {
		v.Address = a[0].IP
	} else if len(a) > 0 {
		return Values{}, notGenerated("the portal would not write these hostAliases")
	}
	if err := v.complete(); err != nil {
		return Values{}, notGenerated("something in it is missing or malformed")
	}
	return v, nil
}

func notGenerated(why string) *sim.Error {
	return sim.Errorf(sim.Invalid, "this is not a values file that the portal generated: %s", why).
		WithHelp("download the current one; put changes of your own into a second file")
}

// release tells of which release the keys are, and gives the URL of DPM.
func (d document) release() (r sim.Release, dpm string, err error) {
	for _, r := range slices.Backward(Releases()) {
		dpm, other := d.DPM.URL, d.DPM.Endpoint
		if r.Compare(endpointSince) >= 0 {
			dpm, other = other, dpm
		}
		if dpm != "" && other == "" &&
			(d.ObjectStorage.Region != "") == (r.Compare(regionSince) >= 0) && (d.ObjectStorage.Bucket != "") == (r.Compare(bucketSince) >= 0) {
			return r, dpm, nil
		}
	}
	return "", "", notGenerated("no release has these keys under dpm and objectStorage")
}

// sizing tells of which sizing tier the replicas are, by their slots, and which figures are not that tier's.
func (d document) sizing() (sim.Tier, sim.Sizing, error) {
	for _, t := range sim.Tiers() {
		if Slots(t) != d.DPE.Slots {
			continue
		}
		base, err := t.Sizing()
		if err != nil {
			return "", sim.Sizing{}, err
		}
		own := sim.Sizing{
			CPURequest: d.Resources.Requests.CPU, CPULimit: d.Resources.Limits.CPU,
			MemoryRequest: d.Resources.Requests.Memory, MemoryLimit: d.Resources.Limits.Memory, Disk: d.Scratch.Size,
		}
		if own.Or(base) != own {
			break // a figure is missing
		}
		return t, own.Except(base), nil
	}
	return "", sim.Sizing{}, notGenerated("its sizing is of no tier")
}

// Difference is a key of a values file that is not as in another.
type Difference struct {
	Key  string `json:"key"`  // with dots, as in dpm.endpoint
	Have string `json:"have"` // [Hidden] if it may be a secret; empty if the key is missing
	Want string `json:"want"` // likewise; empty if the key is unknown
}

// Hidden stands for a value that is not shown.
const Hidden = "(not shown)"

// CompareValues says where have, a values file from anywhere, is not as want, a file that the portal generated, sorted by
// key. Values are shown only for keys of want that hold no secret. It returns Invalid if have is not YAML.
func CompareValues(have, want []byte) ([]Difference, error) {
	h, err := flatten(have)
	if err != nil {
		return nil, err
	}
	w, err := flatten(want)
	if err != nil {
		return nil, err
	}
	var out []Difference
	for _, k := range slices.Sorted(maps.Keys(w)) {
		got, ok := h[k]
		if ok && got == w[k] {
			continue
		}
		d := Difference{Key: k, Want: w[k]}
		if ok {
			d.Have = got
		}
		if !shown(k) {
			d.Want = Hidden
			if ok {
				d.Have = Hidden
			}
		}
		out = append(out, d)
	}
	for k := range h {
		if _, ok := w[k]; !ok {
			out = append(out, Difference{Key: k, Have: Hidden})
		}
	}
	slices.SortFunc(out, func(a, b Difference) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// shown tells whether the value of a generated key may be shown: it is no secret, and short.
func shown(key string) bool {
	return !slices.Contains([]string{"imageCredentials.password", "objectStorage.secretKey", "authentication.jwtKey", "ca"}, key)
}

// flatten gives the scalars of a YAML document by their path. A list is one scalar.
func flatten(text []byte) (map[string]string, error) {
	bad := sim.Errorf(sim.Invalid, "the values file is not YAML with keys").WithHelp("give a values.yaml")
	if len(text) > maxValues {
		return nil, bad
	}
	var doc map[string]any
	if err := yaml.UnmarshalStrict(bytes.TrimSpace(text), &doc); err != nil {
		bad.Err = errors.New("malformed") // the parser's words quote the file
		return nil, bad
	}
	out := map[string]string{}
	var walk func(path string, at any)
	walk = func(path string, at any) {
		m, ok := at.(map[string]any)
		if !ok || len(m) == 0 && path != "" {
			out[path] = fmt.Sprint(at)
			return
		}
		for k, x := range m {
			walk(strings.TrimPrefix(path+"."+k, "."), x)
		}
	}
	walk("", doc)
	delete(out, "")
	return out, nil
}
