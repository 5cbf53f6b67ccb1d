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

// pod gives what a kubelet would give to a container of the chart: its environment and its files.
func pod(t *testing.T, v chart.Values) (map[string]string, fs.FS) {
	t.Helper()
	archive, err := chart.Archive(v.Release)
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	text, err := v.YAML()
	if err != nil {
		t.Fatal(err)
	}
	values, err := common.ReadValues(text)
	if err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "finance", Namespace: "ataccama", IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := engine.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict([]byte(docs["dpe/templates/deployment.yaml"]), &deployment); err != nil {
		t.Fatal(err)
	}
	var config corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(docs["dpe/templates/configmap.yaml"]), &config); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]map[string][]byte{}
	for _, doc := range strings.Split(docs["dpe/templates/secrets.yaml"], "\n---\n") {
		var secret corev1.Secret
		if err := yaml.UnmarshalStrict([]byte(doc), &secret); err != nil {
			t.Fatal(err)
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
			case vol.Projected != nil:
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

func TestLoadReadsWhatTheChartDelivers(t *testing.T) {
	t.Parallel()
	for _, r := range chart.Releases() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			env, files := pod(t, chartValues(r))
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
	env, files := pod(t, v)
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
			env, files := pod(t, chartValues("15.3.0"))
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
