package cluster_test

import (
	"errors"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/storage/driver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim/cluster"
)

const manifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers:
      - name: main
        image: app:{{ .Values.tag }}
        resources: {requests: {cpu: {{ .Values.cpu | default "10m" }}}}
        ports: [{name: http, containerPort: 8080}]
        envFrom: [{secretRef: {name: {{ .Release.Name }}}}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}}
stringData: {TOKEN: {{ .Values.tag }}}
`

func tiny() *chart.Chart {
	return &chart.Chart{
		Metadata:  &chart.Metadata{APIVersion: chart.APIVersionV2, Name: "tiny", Version: "1.0.0"},
		Templates: []*common.File{{Name: "templates/all.yaml", Data: []byte(manifest)}},
	}
}

// helm gives Helm's configuration for the cluster.
func (r *rig) helm(tb testing.TB) *action.Configuration {
	tb.Helper()
	config := r.RESTConfig()
	flags := genericclioptions.NewConfigFlags(false)
	flags.APIServer, flags.BearerToken = &config.Host, &config.BearerToken
	flags.WrapConfigFn = func(*rest.Config) *rest.Config { return config }
	cfg := action.NewConfiguration()
	if err := cfg.Init(flags, "default", "secret"); err != nil {
		tb.Fatal(err)
	}
	return cfg
}

func TestHelmInstallsUpgradesRollsBackAndUninstalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := func(o *cluster.Options) { o.Dir = dir }
	r := open(t, kept)

	install := action.NewInstall(r.helm(t))
	install.ReleaseName, install.Namespace, install.WaitStrategy, install.Timeout = "web", "default", kube.StatusWatcherStrategy, 20*time.Second
	if _, err := install.RunWithContext(t.Context(), tiny(), map[string]any{"replicas": 2, "tag": "v1"}); err != nil {
		t.Fatal(err)
	}
	images := func(want string, n int) {
		t.Helper()
		pods := r.pods(t, "web")
		if len(pods) != n {
			t.Errorf("%d pods, want %d", len(pods), n)
		}
		for i := range pods {
			if got := pods[i].Spec.Containers[0].Image; got != want || !ready(&pods[i]) {
				t.Errorf("%s runs %s, ready %t", pods[i].Name, got, ready(&pods[i]))
			}
		}
	}
	images("app:v1", 2)

	if err := r.Close(); err != nil { // the release is still there after a restart
		t.Fatal(err)
	}
	r = open(t, kept)
	upgrade := action.NewUpgrade(r.helm(t))
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout = "default", kube.StatusWatcherStrategy, 20*time.Second
	if _, err := upgrade.RunWithContext(t.Context(), "web", tiny(), map[string]any{"replicas": 3, "tag": "v2"}); err != nil {
		r.dump(t)
		t.Fatal(err)
	}
	images("app:v2", 3)

	rollback := action.NewRollback(r.helm(t))
	rollback.Version, rollback.WaitStrategy, rollback.Timeout = 1, kube.StatusWatcherStrategy, 20*time.Second
	if err := rollback.Run("web"); err != nil {
		t.Fatal(err)
	}
	images("app:v1", 2)
	if sets := r.sets(t, "web"); len(sets) != 2 {
		t.Errorf("%d replica sets: the rollback made a new one", len(sets))
	}

	uninstall := action.NewUninstall(r.helm(t))
	uninstall.WaitStrategy, uninstall.Timeout, uninstall.DeletionPropagation = kube.StatusWatcherStrategy, 20*time.Second, "background"
	if _, err := uninstall.Run("web"); err != nil {
		t.Fatal(err)
	}
	r.until(t, "pods gone", func() bool { return len(r.pods(t, "web")) == 0 && len(r.sets(t, "web")) == 0 })
	secrets, err := r.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(secrets.Items) != 0 {
		t.Errorf("%d secrets left, %v", len(secrets.Items), err)
	}
	if _, err := r.helm(t).Releases.Last("web"); !errors.Is(err, driver.ErrReleaseNotFound) {
		t.Errorf("release: %v", err)
	}
}
