package dpe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/sim"
)

// FuzzSpecification sends specifications all the way from the portal to an engine: values.yaml, the chart of a release,
// what a pod gets, the engine's loader. One that values.yaml can be written of and that the schema takes arrives as it was.
func FuzzSpecification(f *testing.F) {
	f.Add(uint8(0), "acme", "finance", "postgresql,s3", 2, int64(7), "https://dpm.example:8443", "access", "sec/ret+=", "a2V5", "Acme: = # \"x\"", int64(1_800_000_000))
	f.Add(uint8(1), "a-1", "b", "", 1000, int64(1)<<50, "https://[::1]/", "!", "~", "_-=", "\\u0041 {{ fail }} $X", int64(0))
	f.Add(uint8(2), "on", "1e3", "mysql", 1, int64(1), "https://DPM.example/", "null", "0x10", "0", "'a' | > & *b # c", int64(253_402_300_799))
	f.Add(uint8(2), "null", "0123", "s3", 9, int64(9), "https://x", "\\n", "%41", "yes", "Ünïcødé 株式会社", int64(-1))
	f.Fuzz(func(t *testing.T, release uint8, env, label, drivers string, replicas int, revision int64, url, access, secret, key, organisation string, expires int64) {
		v := chartValues(chart.Releases()[int(release)%len(chart.Releases())])
		v.Environment, v.Label, v.Replicas, v.Revision, v.DPMURL, v.ObjectStorageURL = sim.EnvironmentID(env), sim.Label(label), replicas, revision, url, url
		v.AccessKey, v.SecretKey, v.Key, v.Drivers = access, sim.Secret(secret), sim.Secret(key), nil
		v.Licence = chart.Licence{Organisation: organisation, Environment: organisation, Replicas: replicas, Expires: time.Unix(expires, 0).UTC()}
		for d := range strings.SplitSeq(drivers, ",") {
			if d != "" {
				v.Drivers = append(v.Drivers, sim.Driver(d))
			}
		}
		if _, err := v.YAML(); err != nil {
			if _, help := sim.Explain(err); sim.KindOf(err) != sim.Invalid || help == "" {
				t.Fatal(err)
			}
			return
		}
		docs, err := render(t, v.Release, generated(t, v))
		if err != nil {
			if !strings.Contains(err.Error(), "values don't meet the specifications of the schema(s)") {
				t.Fatal(err)
			}
			return
		}
		pod, files := pod(t, docs)
		got, err := dpe.Load(func(k string) string { return pod[k] }, files)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Key.Equal(v.Key) || !got.ObjectStorage.SecretKey.Equal(v.SecretKey) {
			t.Errorf("the secrets arrive as %q and %q, they were %q and %q", got.Key.Reveal(), got.ObjectStorage.SecretKey.Reveal(), key, secret)
		}
		want := dpe.Config{
			Environment: v.Environment, Label: v.Label, Replica: got.Replica, Version: v.Release, Drivers: v.Drivers, Revision: revision,
			Slots: chart.Slots(v.Tier), DPMURL: url, Key: got.Key, CA: got.CA, DrainTimeout: got.DrainTimeout, Scratch: got.Scratch,
			ObjectStorage: dpe.ObjectStorage{URL: url, Region: chart.DefaultRegion, Bucket: v.Bucket, AccessKey: access, SecretKey: got.ObjectStorage.SecretKey},
			CustomDrivers: got.CustomDrivers, Licence: dpe.Licence(v.Licence),
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}
