package dpe_test

import (
	"bytes"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader"
	v2loader "helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/sim"
)

const pemText = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"

func chartValues(r sim.Release) chart.Values {
	return chart.Values{
		Release: r, Environment: "acme", Label: "finance", Tier: sim.TierS, Replicas: 2, Drivers: []sim.Driver{"postgresql", "s3"}, Revision: 3_000_000,
		DPMURL: "https://dpm-grpc-acme.localhost:8443", ObjectStorageURL: "https://minio-acme.localhost:8443", Bucket: "results",
		AccessKey: "access", SecretKey: "sec/ret+=", Registry: "registry.localhost", RegistryUser: "u", RegistryToken: "t", Key: "a2V5PT0=", CA: []byte(pemText + "\n"),
		Licence: chart.Licence{Organisation: "Acme: = # \"x\"", Environment: "Acme", Replicas: 5, Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)},
	}
}

// render renders the chart of a release as helm does, and gives its documents by file. The error is of the schema or a template.
func render(tb testing.TB, r sim.Release, values map[string]any) (map[string]string, error) {
	tb.Helper()
	archive, err := chart.Archive(r)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		tb.Fatal(err)
	}
	all, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "finance", Namespace: "ataccama", IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// generated gives the values that the portal generates, as helm reads them.
func generated(tb testing.TB, v chart.Values) map[string]any {
	tb.Helper()
	text, err := v.YAML()
	if err != nil {
		tb.Fatal(err)
	}
	values, err := common.ReadValues(text)
	if err != nil {
		tb.Fatal(err)
	}
	return values
}

// pod gives what a kubelet would give to a container of the chart: its environment and its files.
func pod(tb testing.TB, docs map[string]string) (map[string]string, fs.FS) {
	tb.Helper()
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict([]byte(docs["dpe/templates/deployment.yaml"]), &deployment); err != nil {
		tb.Fatal(err)
	}
	var config corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(docs["dpe/templates/configmap.yaml"]), &config); err != nil {
		tb.Fatal(err)
	}
	secrets := map[string]map[string][]byte{}
	for doc := range strings.SplitSeq(docs["dpe/templates/secrets.yaml"], "\n---\n") {
		var secret corev1.Secret
		if err := yaml.UnmarshalStrict([]byte(doc), &secret); err != nil {
			tb.Fatal(err)
		}
		secrets[secret.Name] = secret.Data
	}
	spec := deployment.Spec.Template.Spec
	files := fstest.MapFS{}
	for _, m := range spec.Containers[0].VolumeMounts {
		dir := strings.TrimPrefix(m.MountPath, "/")
		for _, vol := range spec.Volumes {
			switch {
			case vol.Name != m.Name:
			case vol.ConfigMap != nil && vol.ConfigMap.Name == config.Name:
				for k, s := range config.Data {
					files[dir+"/"+k] = &fstest.MapFile{Data: []byte(s)}
				}
			case vol.Name == "secret" && vol.Projected != nil:
				for _, source := range vol.Projected.Sources {
					for k, b := range secrets[source.Secret.Name] {
						files[dir+"/"+k] = &fstest.MapFile{Data: b}
					}
				}
			}
		}
	}
	env := map[string]string{}
	for _, e := range spec.Containers[0].Env {
		env[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.name" {
			env[e.Name] = "finance-5d8f9c7b6d-x2x4z"
		}
	}
	return env, files
}

func podOf(tb testing.TB, v chart.Values) (map[string]string, fs.FS) {
	tb.Helper()
	docs, err := render(tb, v.Release, generated(tb, v))
	if err != nil {
		tb.Fatal(err)
	}
	return pod(tb, docs)
}

func TestLoadReadsWhatTheChartDelivers(t *testing.T) {
	t.Parallel()
	for _, r := range chart.Releases() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			env, files := podOf(t, chartValues(r))
			got, err := dpe.Load(func(k string) string { return env[k] }, files)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Key.Equal("a2V5PT0=") || !got.ObjectStorage.SecretKey.Equal("sec/ret+=") {
				t.Errorf("secrets: key %q, secret key %q", got.Key.Reveal(), got.ObjectStorage.SecretKey.Reveal())
			}
			got.Key, got.ObjectStorage.SecretKey = "", ""
			drain := 55 * time.Second
			if r.Compare("15.1.0") < 0 {
				drain = 25 * time.Second // the default became longer with 15.1.0
			}
			want := dpe.Config{
				Environment: "acme", Label: "finance", Replica: "finance-5d8f9c7b6d-x2x4z", Version: r, Drivers: []sim.Driver{"postgresql", "s3"},
				Revision: 3_000_000, Slots: chart.Slots(sim.TierS), DPMURL: "https://dpm-grpc-acme.localhost:8443",
				ObjectStorage: dpe.ObjectStorage{URL: "https://minio-acme.localhost:8443", Region: chart.DefaultRegion, Bucket: "results", AccessKey: "access"},
				CA:            []dpe.CAFile{{Name: "/etc/dpe/config/ca.pem", PEM: []byte(pemText + "\n")}}, DrainTimeout: drain, Scratch: "/scratch",
				CustomDrivers: dpe.CustomDrivers{Bucket: "custom-drivers", Archive: "drivers.zip"},
				Licence:       dpe.Licence{Organisation: "Acme: = # \"x\"", Environment: "Acme", Replicas: 5, Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)},
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLoadReadsProxiesAndMoreCertificates(t *testing.T) {
	t.Parallel()
	v := chartValues("15.3.0")
	v.CA = nil
	env, files := podOf(t, v)
	env["HTTPS_PROXY"], env["https_proxy"], env["no_proxy"] = "http://u:p@proxy.corp:3128", "http://other", ".svc"
	f := files.(fstest.MapFS)
	for _, name := range []string{"b.crt", "a.pem", "readme.txt", "..data/a.pem"} {
		f["etc/dpe/ca.d/"+name] = &fstest.MapFile{Data: []byte(name)}
	}
	got, err := dpe.Load(func(k string) string { return env[k] }, f)
	if err != nil {
		t.Fatal(err)
	}
	wantCA := []dpe.CAFile{{Name: "/etc/dpe/ca.d/a.pem", PEM: []byte("a.pem")}, {Name: "/etc/dpe/ca.d/b.crt", PEM: []byte("b.crt")}}
	if d := cmp.Diff(wantCA, got.CA); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(dpe.Proxy{HTTPS: "http://u:p@proxy.corp:3128", NoProxy: ".svc"}, got.Proxy); d != "" {
		t.Error(d)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const config, secret = "etc/dpe/config/application.properties", "etc/dpe/secret/object-storage.properties"
	for want, change := range map[string]func(fstest.MapFS){
		"cannot be read": func(f fstest.MapFS) {
			maps.DeleteFunc(f, func(name string, _ *fstest.MapFile) bool { return strings.HasPrefix(name, "etc/dpe/secret/") })
		},
		"object-storage.access-key is missing": func(f fstest.MapFS) { delete(f, secret) },
		"line 3 of /" + config:                 func(f fstest.MapFS) { f[config].Data = []byte("# comment\n\nhello\n") },
		"ataccama.dpe.label is missing":        func(f fstest.MapFS) { replace(f, config, "ataccama.dpe.label=finance\n", "") },
		"ataccama.dpe.slots is malformed":      func(f fstest.MapFS) { replace(f, config, "slots=2", "slots=many") },
		"ataccama.dpe.colour is unknown": func(f fstest.MapFS) {
			replace(f, config, "ataccama.dpe.slots", "ataccama.dpe.colour=red\nataccama.dpe.slots")
		},
		"ataccama.dpe.environment stands twice": func(f fstest.MapFS) {
			replace(f, secret, "ataccama.dpe.object", "ataccama.dpe.environment=x\nataccama.dpe.object")
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			env, files := podOf(t, chartValues("15.3.0"))
			change(files.(fstest.MapFS))
			_, err := dpe.Load(func(k string) string { return env[k] }, files)
			if msg, help := sim.Explain(err); sim.KindOf(err) != sim.Invalid || !strings.Contains(msg, want) || help == "" {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func replace(f fstest.MapFS, name, old, text string) {
	f[name].Data = []byte(strings.Replace(string(f[name].Data), old, text, 1))
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("a=b\n# c\n!d\n\n"), []byte("ataccama.dpe.slots=1"))
	f.Add([]byte("ataccama.dpe.drivers=a,,b\nx"), []byte("=\n"))
	f.Fuzz(func(t *testing.T, config, secret []byte) {
		_, err := dpe.Load(func(string) string { return "" }, fstest.MapFS{
			"etc/dpe/config/application.properties": {Data: config}, "etc/dpe/secret/application.properties": {Data: secret},
		})
		if err != nil && sim.KindOf(err) != sim.Invalid {
			t.Fatal(err)
		}
	})
}

// FuzzValues gives any overlay of values to the chart: what passes the schema renders and loads, or fails with a sentence,
// and never sets a property that is not its own.
func FuzzValues(f *testing.F) {
	for _, overlay := range []string{
		"replicaCount: 3",
		"licence: {organisation: \"Acme\\nataccama.dpe.slots=99\"}",
		"licence: {organisation: \"A\\u0085B=C\"}",
		"licence: {organisation: \"# not a comment\"}",
		"licence: {expires: \"2027-02-31T00:00:00Z\"}",
		"dpe: {drivers: [a, b], slots: 64, revision: 1125899906842624}",
		"dpe: {drivers: []}",
		"objectStorage: {accessKey: \"a b\"}",
		"objectStorage: {secretKey: \"=#!\"}",
		"extraCaCertificates: {a: \"-----BEGIN CERTIFICATE-----\\n{{ fail }}\"}",
		"extraCaCertificates: \"-----BEGIN CERTIFICATE-----\\r\\n\\t: - &a *b\"",
		"customJdbcDrivers: {enabled: true, archive: ../x.zip}",
		"terminationGracePeriodSeconds: 86400",
		"proxy: null",
		"extraEnv: [{name: A, value: \"a: b\\n- c\"}]",
		"podAnnotations: {\"a\": \"x\\n        y: z\"}",
		"podAnnotations: {\"a: b\\nc\": \"x\"}",
		"nodeSelector: {\"a: b\": \"{}\"}",
		"topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: ScheduleAnyway}]",
		"global: {registry: \"mirror:5000/a\"}",
	} {
		f.Add(overlay)
	}
	f.Fuzz(func(t *testing.T, overlay string) {
		given := map[string]any{}
		if yaml.Unmarshal([]byte(overlay), &given) != nil {
			return
		}
		docs, err := render(t, "15.3.0", v2loader.MergeMaps(generated(t, chartValues("15.3.0")), given))
		if err != nil {
			for _, bad := range []string{"nil pointer", "panic", "runtime error", "wrong type"} {
				if strings.Contains(err.Error(), bad) {
					t.Fatal(err)
				}
			}
			return
		}
		env, files := pod(t, docs) // fatal if a value broke out of its place in the YAML
		_, err = dpe.Load(func(k string) string { return env[k] }, files)
		if err == nil {
			return
		}
		msg, help := sim.Explain(err)
		for _, bad := range []string{"is unknown", "stands twice", "is not name=value", "is missing"} {
			if strings.Contains(msg, bad) {
				t.Fatal(err)
			}
		}
		if sim.KindOf(err) != sim.Invalid || help == "" {
			t.Fatal(err)
		}
	})
}
