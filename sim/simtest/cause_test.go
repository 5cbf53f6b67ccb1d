package simtest_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/dpesim/dpesim/dpe/chart"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// install installs a DPE into the in-process cluster as an operator does: the chart with the portal's values, by Helm. It
// waits until it is ready.
func install(tb testing.TB, s *simtest.Sim, d api.DPE) {
	tb.Helper()
	installBy(tb, s, d, kube.StatusWatcherStrategy)
}

// installBy is [install] with another way to wait.
func installBy(tb testing.TB, s *simtest.Sim, d api.DPE, wait kube.WaitStrategy) {
	tb.Helper()
	archive, err := chart.Archive(d.Release)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		tb.Fatal(err)
	}
	text, err := s.API.Values(tb.Context(), d.Environment, d.Label, "")
	if err != nil {
		tb.Fatal(err)
	}
	values, err := common.ReadValues(text)
	if err != nil {
		tb.Fatal(err)
	}
	i := action.NewInstall(helmConfig(tb, s))
	i.ReleaseName, i.Namespace, i.CreateNamespace, i.WaitStrategy, i.Timeout = string(d.Label), "dpe", true, wait, time.Minute
	if _, err := i.RunWithContext(tb.Context(), c, values); err != nil {
		tb.Fatal(err)
	}
}

// helmConfig is how an operator's Helm finds the cluster, in the namespace dpe.
func helmConfig(tb testing.TB, s *simtest.Sim) *action.Configuration {
	tb.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	kubeconfig := s.Endpoints().Kubeconfig
	flags.KubeConfig = &kubeconfig
	flags.Namespace = new("dpe")
	cfg := action.NewConfiguration()
	if err := cfg.Init(flags, "dpe", "secret"); err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// await waits for the first event that is what, with the detail key=value.
func await(tb testing.TB, s *simtest.Sim, what, key, value string) sim.Event {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	for sub := s.Bus().Subscribe(0); ; {
		e, err := sub.Next(ctx)
		if err != nil {
			tb.Fatalf("wait for %q with %s=%s: %v", what, key, value, err)
		}
		if e.What == what && e.Detail[key] == value {
			return e
		}
	}
}

// chain gives what led to e, the latest first.
func chain(s *simtest.Sim, e sim.Event) []string {
	all := s.Bus().Since(0)
	out := []string{e.What}
	for e.Cause != 0 {
		e = all[e.Cause-1]
		out = append(out, e.What)
	}
	return out
}

// Every event leads back to what a person did: what the portal shows to an installation, a result to the job's submission.
func TestCausesChainThroughTheWholeSimulator(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Demo"})
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Finance"})
	if err != nil {
		t.Fatal(err)
	}
	install(t, s, d)
	want := []string{
		"dpe status changed", "engine connected", "container started", "pod started", "pod scheduled", "pod created", "deployment scaled",
		"helm install started",
	}
	if diff := cmp.Diff(want, chain(s, await(t, s, "dpe status changed", "to", "connected"))); diff != "" {
		t.Errorf("chain of the connection (-want +got):\n%s", diff)
	}

	job, err := s.API.SubmitJob(t.Context(), env.ID, api.JobSpec{Bucket: "sample-data", Key: "birdstrikes.csv"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, "job succeeded", "job_id", string(job.ID))
	want = []string{"object stored", "job dispatched", "job submitted"}
	if diff := cmp.Diff(want, chain(s, await(t, s, "object stored", "bucket", "results"))); diff != "" {
		t.Errorf("chain of the result (-want +got):\n%s", diff)
	}
}
