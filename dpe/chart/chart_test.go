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
	"github.com/google/go-cmp/cmp/cmpopts"
	"helm.sh/helm/v4/pkg/action"
	helmchart "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	v2loader "helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	var all strings.Builder
	all.WriteString(acc.Manifest())
	for _, h := range acc.Hooks() {
		hook, err := release.NewHookAccessor(h)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "---\n# Source: %s\n%s\n", hook.Path(), hook.Manifest())
	}
	return all.String(), acc.Notes(), nil
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

func TestEverythingSwitchedOnIsGolden(t *testing.T) {
	t.Parallel()
	values := everything(t)
	manifest, notes, err := render(t, "15.3.0", values)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "everything.yaml", manifest)
	golden(t, "everything.notes.txt", notes)
}

// everything gives values of 15.3.0 with all that the chart can do switched on.
func everything(t *testing.T) map[string]any {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "everything.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string]any{}
	if err := yaml.UnmarshalStrict(b, &overlay); err != nil {
		t.Fatal(err)
	}
	return v2loader.MergeMaps(parse(t, testValues("15.3.0")), overlay)
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
		all := []map[string]any{parse(t, testValues(r))}
		if r == "15.3.0" {
			all = append(all, everything(t))
		}
		for _, values := range all {
			for _, m := range lint.RunAll(dir, values, "ataccama").Messages {
				if m.Severity > support.InfoSev { // what `helm lint --strict` fails for
					t.Errorf("%s: %v", r, m)
				}
			}
		}
	}
}

func TestValuesOfTheLastReleaseFailInTheNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		old, next sim.Release
		want      []string
	}{
		{"14.5.0", "15.1.0", []string{"at '/objectStorage': missing property 'bucket'"}},
		{"15.1.0", "15.3.0", []string{
			"at '/dpm': missing property 'endpoint'", "at '/dpm': additional properties 'url' not allowed", "at '/objectStorage': missing property 'region'",
		}},
		{"15.1.0", "14.5.0", []string{"at '/objectStorage': additional properties 'bucket' not allowed"}},
	} {
		_, _, err := render(t, c.next, parse(t, testValues(c.old)))
		if err == nil {
			t.Errorf("values of %s were accepted by chart %s", c.old, c.next)
			continue
		}
		for _, want := range append(c.want, "values don't meet the specifications of the schema(s)") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s -> %s: no %q in:\n%v", c.old, c.next, want, err)
			}
		}
	}
}

func TestAnOldHelmIsRefused(t *testing.T) {
	t.Parallel()
	for version, refused := range map[string]bool{"v3.12.3": true, "v3.13.0-rc.1": false, "v3.13": false, "v3.13.3": false, "v4.3": false, "": false, "(devel)": false} {
		caps := common.DefaultCapabilities.Copy()
		caps.HelmVersion.Version = version
		c := load(t, "15.3.0")
		values, err := util.ToRenderValues(c, parse(t, testValues("15.3.0")), common.ReleaseOptions{Name: "finance", Namespace: "ataccama"}, caps)
		if err != nil {
			t.Fatal(err)
		}
		_, err = engine.Render(c, values)
		if want := "this chart needs Helm 3.13 or newer, and this is Helm " + version; refused && (err == nil || !strings.Contains(err.Error(), want)) || !refused && err != nil {
			t.Errorf("Helm %q: %v", version, err)
		}
	}
}

func TestValuesThatChartsRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(v map[string]any)
		want   string
	}{
		"unknown key":            {set("replicas", 3), "additional properties 'replicas' not allowed"},
		"typo in a nested key":   {set("podDisruptionBudget.enable", true), "at '/podDisruptionBudget': additional properties 'enable' not allowed"},
		"typo in global":         {set("global.registri", "x"), "at '/global': additional properties 'registri' not allowed"},
		"typo in a toleration":   {set("tolerations", []any{map[string]any{"keys": "a"}}), "at '/tolerations/0': additional properties 'keys' not allowed"},
		"typo in an env":         {set("extraEnv", []any{map[string]any{"name": "A", "valu": "b"}}), "at '/extraEnv/0': additional properties 'valu' not allowed"},
		"the chart's own env":    {set("extraEnv", []any{map[string]any{"name": "DPE_REPLICA", "value": "b"}}), "at '/extraEnv/0/name'"},
		"the chart's own label":  {set("podLabels", map[string]any{"app.kubernetes.io/name": "x"}), "invalid propertyName 'app.kubernetes.io/name'"},
		"the chart's own volume": {set("extraVolumes", []any{map[string]any{"name": "secret", "emptyDir": map[string]any{}}}), "at '/extraVolumes/0/name'"},
		"a removed default":      {set("proxy", nil), "missing property 'proxy'"},
		"a budget of none":       {set("podDisruptionBudget.maxUnavailable", 0), "at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"},
		"two CA directories":     {set("caDirectory", map[string]any{"existingSecret": "a", "existingConfigMap": "b"}), "at '/caDirectory'"},
		"a key as a CA":          {set("extraCaCertificates", "-----BEGIN PRIVATE KEY-----"), "at '/extraCaCertificates'"},
		"a proxy's password":     {set("proxy.httpsProxy", "http://me:secret@proxy:3128"), "at '/proxy/httpsProxy'"},
		"malformed digest":       {set("customJdbcDrivers.sha256", "8CBA"), "at '/customJdbcDrivers/sha256'"},
		"plain http":             {set("dpm.endpoint", "http://dpm"), "at '/dpm/endpoint'"},
		"a second property":      {set("objectStorage.accessKey", "a\nataccama.dpe.slots=99"), "at '/objectStorage/accessKey'"},
		"a line break":           {set("licence.organisation", "Acme\nx=y"), "at '/licence/organisation'"},
		"no label":               {func(v map[string]any) { delete(v["dpe"].(map[string]any), "label") }, "at '/dpe': missing property 'label'"},
		"fewer than the least":   {set("autoscaling", map[string]any{"enabled": true, "minReplicas": 4, "maxReplicas": 2}), "autoscaling.maxReplicas (2) is less than autoscaling.minReplicas (4)"},
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

// set gives a change of one value.
func set(path string, to any) func(map[string]any) {
	return func(v map[string]any) {
		parts := strings.Split(path, ".")
		for _, p := range parts[:len(parts)-1] {
			next, ok := v[p].(map[string]any)
			if !ok {
				next = map[string]any{}
				v[p] = next
			}
			v = next
		}
		v[parts[len(parts)-1]] = to
	}
}

// Where the schema is not checked (helm --skip-schema-validation), a value still cannot become two properties.
func TestNoValueBecomesTwoProperties(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"environment", "dpe.label", "dpm.endpoint", "objectStorage.url", "objectStorage.region", "objectStorage.bucket", "objectStorage.accessKey",
		"objectStorage.secretKey", "authentication.jwtKey", "licence.organisation", "licence.environment", "licence.expires",
		"customJdbcDrivers.sha256", "customJdbcDrivers.bucket", "customJdbcDrivers.archive",
	} {
		for _, end := range []string{"\n", "\r", "\r\n", "\x00"} {
			v := parse(t, testValues("15.3.0"))
			set(path, "x"+end+"ataccama.dpe.slots=99")(v)
			c := load(t, "15.3.0")
			values, err := util.ToRenderValuesWithSchemaValidation(c, v, common.ReleaseOptions{Name: "finance", Namespace: "ataccama"}, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := engine.Render(c, values); err == nil || !strings.Contains(err.Error(), "has a line break or another control character in it") {
				t.Errorf("%s with %q: %v", path, end, err)
			}
		}
	}
}

// "no" is a DPE's label and a boolean of YAML.
func TestALabelThatYAMLTakesForSomethingElse(t *testing.T) {
	t.Parallel()
	v := testValues("15.3.0")
	v.Label = "no"
	c := load(t, v.Release)
	values, err := util.ToRenderValues(c, parse(t, v), common.ReleaseOptions{Name: "no", Namespace: "ataccama"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := engine.Render(c, values)
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range docs {
		for part := range strings.SplitSeq(doc, "\n---\n") {
			var o metav1.PartialObjectMetadata
			if err := yaml.Unmarshal([]byte(part), &o); err != nil && !strings.HasSuffix(name, ".txt") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestCertificatesAsTextOrMap(t *testing.T) {
	t.Parallel()
	for name, ca := range map[string]any{"text": testCA, "map": map[string]any{"corporate": testCA}} {
		v := parse(t, testValues("15.3.0"))
		v["extraCaCertificates"] = ca
		v["ca"] = strings.ReplaceAll(testCA, "AAAA", "CCCC")
		manifest, _, err := render(t, "15.3.0", v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := "  ca.pem: |\n    -----BEGIN CERTIFICATE-----\n    CCCC\n    -----END CERTIFICATE-----\n    -----BEGIN CERTIFICATE-----\n    AAAA\n    -----END CERTIFICATE-----\n"; !strings.Contains(manifest, want) {
			t.Errorf("%s: no %q in\n%s", name, want, manifest)
		}
	}
}

func TestValuesSurviveYAML(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		printable := rapid.StringOfN(rapid.RuneFrom([]rune(` "\'#:={}%`), unicode.L, unicode.N, unicode.P, unicode.S), 1, 40, -1)
		v := testValues(rapid.SampledFrom(chart.Releases()).Draw(rt, "release"))
		v.Tier = rapid.SampledFrom(sim.Tiers()).Draw(rt, "tier")
		v.Sizing.CPULimit = rapid.SampledFrom([]string{"", "3", "2500m"}).Draw(rt, "CPU limit")
		v.Sizing.Disk = rapid.SampledFrom([]string{"", "1Ti"}).Draw(rt, "disk")
		v.Replicas = rapid.IntRange(1, 50).Draw(rt, "replicas")
		v.Address = rapid.SampledFrom([]string{"", "172.18.0.1"}).Draw(rt, "address")
		v.Drivers = rapid.SliceOfDistinct(rapid.SampledFrom(sim.Drivers()), rapid.ID).Draw(rt, "drivers")
		v.Revision = rapid.Int64Range(1, 1<<50).Draw(rt, "revision")
		v.Licence.Organisation = "A" + printable.Draw(rt, "organisation") + "Z"
		v.RegistryToken = sim.Secret(rapid.StringN(1, 40, -1).Draw(rt, "token"))
		text, err := v.YAML()
		if err != nil {
			rt.Fatal(err)
		}
		got, err := chart.ParseValues(text)
		if err != nil {
			rt.Fatalf("%v in\n%s", err, text)
		}
		want := v
		want.Region, want.Bucket = chart.DefaultRegion, chart.DefaultBucket
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b sim.Secret) bool { return a.Reveal() == b.Reveal() }), cmpopts.EquateEmpty()); d != "" {
			rt.Fatal(d)
		}
		if _, _, err := render(t, v.Release, parse(t, v)); err != nil {
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
		"exceptional sizing": func(v *chart.Values) { v.Sizing.Disk = "1Gi\nx: y" },
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
