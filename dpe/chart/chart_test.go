package chart_test

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	helmchart "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/release"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/sim"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testCA is PEM by its form; the chart does not look inside.
const testCA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

func testValues(r sim.Release) chart.Values {
	return chart.Values{
		Release: r, Environment: "acme-prod", Label: "finance", Tier: sim.TierM, Replicas: 2,
		Drivers: []sim.Driver{"postgresql", "s3"}, Revision: 3,
		DPMURL: "https://dpm-grpc-acme-prod.dpesim.localhost:8443", ObjectStorageURL: "https://minio-acme-prod.dpesim.localhost:8443",
		AccessKey: "AKIATEST", SecretKey: "s3/secret+key", Registry: "registry.dpesim.localhost:8443",
		RegistryUser: "finance", RegistryToken: `tok"en\`, Key: sim.Secret(base64.StdEncoding.EncodeToString([]byte(`{"kty":"EC"}`))),
		CA:      []byte(testCA),
		Licence: chart.Licence{Organisation: `Acme "Finance": a # b`, Environment: "Acme production", Replicas: 10, Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)},
	}
}

func load(t *testing.T, r sim.Release) helmchart.Charter {
	t.Helper()
	b, err := chart.Archive(r)
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadArchive(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parse(t *testing.T, v chart.Values) map[string]any {
	t.Helper()
	b, err := v.YAML()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := yaml.UnmarshalStrict(b, &m); err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	return m
}

// render does what `helm template finance CHART -n ataccama` does.
func render(t *testing.T, r sim.Release, values map[string]any) (manifest, notes string, err error) {
	t.Helper()
	kube, err := common.ParseKubeVersion("v1.34.0")
	if err != nil {
		t.Fatal(err)
	}
	in := action.NewInstall(new(action.Configuration))
	in.DryRunStrategy = action.DryRunClient
	in.ReleaseName, in.Namespace, in.KubeVersion = "finance", "ataccama", kube
	rel, err := in.RunWithContext(t.Context(), load(t, r), values)
	if err != nil {
		return "", "", err
	}
	acc, err := release.NewAccessor(rel)
	if err != nil {
		t.Fatal(err)
	}
	return acc.Manifest(), acc.Notes(), nil
}

func TestArchiveIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	for _, r := range chart.Releases() {
		a, errA := chart.Archive(r)
		b, errB := chart.Archive(r)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %d and %d bytes, %v, %v", r, len(a), len(b), errA, errB)
		}
		c := load(t, r).(*chartv2.Chart)
		if c.Name() != chart.Name || c.Metadata.Version != string(r) || c.Metadata.AppVersion != string(r) {
			t.Errorf("%s: loaded %+v", r, c.Metadata)
		}
	}
}

func TestUnknownReleaseHasNoChart(t *testing.T) {
	t.Parallel()
	_, err := chart.Archive("13.9.0")
	if sim.KindOf(err) != sim.NotFound {
		t.Errorf("Archive: %v", err)
	}
	if _, err := testValues("13.9.0").YAML(); sim.KindOf(err) != sim.NotFound {
		t.Errorf("YAML: %v", err)
	}
}

func TestRenderedManifestsAreGolden(t *testing.T) {
	t.Parallel()
	for _, r := range chart.Releases() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			manifest, notes, err := render(t, r, parse(t, testValues(r)))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, string(r)+".yaml", manifest)
			golden(t, string(r)+".notes.txt", notes)
			values, err := testValues(r).YAML()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, string(r)+".values.yaml", string(values))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs; if that is right, run the test with -update:\n%s", name, d)
	}
}

func TestChartsLintClean(t *testing.T) {
	t.Parallel()
	for _, r := range chart.Releases() {
		dir := filepath.Join(t.TempDir(), chart.Name)
		for _, f := range load(t, r).(*chartv2.Chart).Raw {
			p := filepath.Join(dir, filepath.FromSlash(f.Name))
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range lint.RunAll(dir, parse(t, testValues(r)), "ataccama").Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", r, m)
			}
		}
	}
}

func TestValuesOfTheLastReleaseFailInTheNext(t *testing.T) {
	t.Parallel()
	_, _, err := render(t, "15.3.0", parse(t, testValues("15.1.0")))
	if err == nil {
		t.Fatal("values of 15.1.0 were accepted by chart 15.3.0")
	}
	for _, want := range []string{
		"values don't meet the specifications of the schema(s)",
		"at '/dpm': missing property 'endpoint'",
		"at '/dpm': additional properties 'url' not allowed",
		"at '/objectStorage': missing property 'region'",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestValuesThatChartsRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(v map[string]any)
		want   string
	}{
		"unknown key":      {func(v map[string]any) { v["replicas"] = 3 }, "additional properties 'replicas' not allowed"},
		"malformed digest": {func(v map[string]any) { v["customJdbcDrivers"] = map[string]any{"enabled": false, "sha256": "8CBA"} }, "at '/customJdbcDrivers/sha256'"},
		"plain http":       {func(v map[string]any) { v["dpm"] = map[string]any{"endpoint": "http://dpm"} }, "at '/dpm/endpoint'"},
		"no label":         {func(v map[string]any) { delete(v["dpe"].(map[string]any), "label") }, "at '/dpe': missing property 'label'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := parse(t, testValues("15.3.0"))
			c.change(v)
			if _, _, err := render(t, "15.3.0", v); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}

func TestValuesSurviveYAML(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		printable := rapid.StringOfN(rapid.RuneFrom([]rune(` "\'#:={}%`), unicode.L, unicode.N, unicode.P, unicode.S), 1, 40, -1)
		v := testValues(rapid.SampledFrom(chart.Releases()).Draw(rt, "release"))
		v.Tier = rapid.SampledFrom(sim.Tiers()).Draw(rt, "tier")
		v.Replicas = rapid.IntRange(1, 50).Draw(rt, "replicas")
		v.Revision = rapid.Int64Range(1, 1<<50).Draw(rt, "revision")
		v.Licence.Organisation = "A" + printable.Draw(rt, "organisation") + "Z"
		v.RegistryToken = sim.Secret(rapid.StringN(1, 40, -1).Draw(rt, "token"))
		m := parse(t, v)
		sizing, _ := v.Tier.Sizing()
		get := func(path string) any {
			var at any = m
			for k := range strings.SplitSeq(path, ".") {
				at = at.(map[string]any)[k]
			}
			return at
		}
		for path, want := range map[string]any{
			"environment": string(v.Environment), "dpe.label": string(v.Label), "dpe.revision": v.Revision, "replicaCount": int64(v.Replicas),
			"dpe.slots": int64(chart.Slots(v.Tier)), "image.registry": v.Registry, "imageCredentials.username": v.RegistryUser, "imageCredentials.password": v.RegistryToken.Reveal(),
			"objectStorage.url": v.ObjectStorageURL, "objectStorage.accessKey": v.AccessKey, "objectStorage.secretKey": v.SecretKey.Reveal(),
			"authentication.jwtKey": v.Key.Reveal(), "ca": testCA, "licence.organisation": v.Licence.Organisation, "licence.expires": "2027-01-02T03:04:05Z",
			"resources.requests.cpu": sizing.CPURequest, "resources.limits.cpu": sizing.CPULimit, "resources.limits.memory": sizing.MemoryLimit, "scratch.size": sizing.Disk,
		} {
			got := get(path)
			if f, ok := got.(float64); ok {
				got = int64(f)
			}
			if got != want {
				rt.Fatalf("%s: got %v, want %v", path, got, want)
			}
		}
		if _, _, err := render(t, v.Release, m); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestSecretsShowInYAMLOnly(t *testing.T) {
	t.Parallel()
	v := testValues("15.3.0")
	v.RegistryToken = "registry-token"
	shown := fmt.Sprintf("%v %+v %#v", v, v, v)
	for _, s := range []sim.Secret{v.Key, v.SecretKey, v.RegistryToken} {
		if strings.Contains(shown, s.Reveal()) {
			t.Errorf("printing the values shows %s", s.Reveal())
		}
	}
}

func TestPodsRollWhenConfigurationChanges(t *testing.T) {
	t.Parallel()
	checksums := func(change func(*chart.Values)) string {
		v := testValues("15.3.0")
		change(&v)
		manifest, _, err := render(t, v.Release, parse(t, v))
		if err != nil {
			t.Fatal(err)
		}
		var sums []string
		for line := range strings.Lines(manifest) {
			if strings.Contains(line, "checksum/") {
				sums = append(sums, line)
			}
		}
		return strings.Join(sums, "")
	}
	before := checksums(func(*chart.Values) {})
	for what, c := range map[string]struct {
		change func(*chart.Values)
		rolls  bool
	}{
		"replicas alone": {func(v *chart.Values) { v.Replicas++ }, false},
		"drivers":        {func(v *chart.Values) { v.Drivers = v.Drivers[:1] }, true},
		"key":            {func(v *chart.Values) { v.Key = "YQ==" }, true},
		"registry token": {func(v *chart.Values) { v.RegistryToken = "new" }, true},
		"revision":       {func(v *chart.Values) { v.Revision++ }, true},
	} {
		if rolls := checksums(c.change) != before; rolls != c.rolls {
			t.Errorf("%s: rolls %v, want %v", what, rolls, c.rolls)
		}
	}
}

func TestIncompleteValuesAreRefused(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*chart.Values){
		"the label":          func(v *chart.Values) { v.Label = "" },
		"the URL of DPM":     func(v *chart.Values) { v.DPMURL = "http://dpm" },
		"the key for JWTs":   func(v *chart.Values) { v.Key = "" },
		"the CA certificate": func(v *chart.Values) { v.CA = []byte("x") },
		"the licence":        func(v *chart.Values) { v.Licence.Organisation = "a\nb" },
		"unknown driver":     func(v *chart.Values) { v.Drivers = []sim.Driver{"dbase"} },
		"sizing tier":        func(v *chart.Values) { v.Tier = "XL" },
	} {
		v := testValues("15.3.0")
		change(&v)
		_, err := v.YAML()
		if msg, _ := sim.Explain(err); sim.KindOf(err) != sim.Invalid || !strings.Contains(msg, want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
