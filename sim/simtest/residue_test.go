package simtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/residue"
	"github.com/dpesim/dpesim/sim/simtest"
)

// uninstall uninstalls a release as an operator does, and waits until its objects are gone.
func uninstall(tb testing.TB, s *simtest.Sim, release string) {
	tb.Helper()
	u := action.NewUninstall(helmConfig(tb, s))
	u.WaitStrategy, u.Timeout = kube.StatusWatcherStrategy, time.Minute
	if _, err := u.Run(release); err != nil {
		tb.Fatal(err)
	}
}

// client is an operator's client of the cluster.
func client(tb testing.TB, s *simtest.Sim) kubernetes.Interface {
	tb.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.Endpoints().Kubeconfig)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// eventually looks at the residue after each event, and now, until holds says what it wants.
func eventually(t *testing.T, s *simtest.Sim, what string, holds func([]residue.Entry) bool) []residue.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond) // the cluster's collector tells no event
	defer poll.Stop()
	for {
		got, err := s.API.Residue(t.Context(), residue.Filter{All: true})
		if err != nil {
			t.Fatal(err)
		}
		if holds(got) {
			return got
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("%s: not so:\n%s", what, strings.Join(told(got, ""), "\n"))
		}
	}
}

// told lists entries of a class; "": of all but gone ones.
func told(entries []residue.Entry, c residue.Class) []string {
	var out []string
	for _, e := range entries {
		if e.Class == c || c == "" && e.Class != residue.Gone {
			out = append(out, fmt.Sprintf("%s: %s %s %s (%s)", e.Class, e.Side, e.Kind, e.Name, e.Reason))
		}
	}
	return out
}

func nothingLeaked(e []residue.Entry) bool { return len(told(e, residue.Leaked)) == 0 }

// has tells whether an entry of a class has this side and kind.
func has(entries []residue.Entry, c residue.Class, side residue.Side, kind string) bool {
	return slices.ContainsFunc(entries, func(e residue.Entry) bool { return e.Class == c && e.Side == side && e.Kind == kind })
}

func TestResidueOfAnInstallation(t *testing.T) {
	t.Parallel()
	c := simtest.Config(t)
	c.DataDir = t.TempDir()
	s := simtest.StartConfig(t, c)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Edge EU"})
	if err != nil {
		t.Fatal(err)
	}
	install(t, s, d)
	await(t, s, "dpe status changed", "to", "connected")
	job, err := s.API.SubmitJob(t.Context(), env.ID, api.JobSpec{Bucket: "sample-data", Key: "airports.csv"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, "job succeeded", "job_id", string(job.ID))

	got := eventually(t, s, "everything is in use", func(e []residue.Entry) bool {
		return nothingLeaked(e) && has(e, residue.InUse, residue.SideStorage, residue.KindResults) && has(e, residue.InUse, residue.SideCluster, "Pod")
	})
	for _, w := range []struct {
		side residue.Side
		kind string
	}{
		{residue.SidePortal, residue.KindDPE},
		{residue.SidePortal, residue.KindRevision},
		{residue.SideDPM, residue.KindKey},
		{residue.SideDPM, residue.KindStream},
		{residue.SideDPM, residue.KindJobs},
		{residue.SideStorage, residue.KindCredential},
		{residue.SideStorage, residue.KindBucket},
		{residue.SideRegistry, residue.KindToken},
		{residue.SideCluster, residue.KindRelease},
		{residue.SideCluster, residue.KindNamespace},
		{residue.SideCluster, "Deployment"},
		{residue.SideCluster, "ReplicaSet"},
		{residue.SideCluster, "Secret"},
		{residue.SideCluster, "ConfigMap"},
		{residue.SideCluster, "ServiceAccount"},
		{residue.SideCluster, "PersistentVolumeClaim"},
		{residue.SideCluster, "PersistentVolume"},
	} {
		if !has(got, residue.InUse, w.side, w.kind) {
			t.Errorf("no %s %s is in use:\n%s", w.side, w.kind, strings.Join(told(got, ""), "\n"))
		}
	}
	for _, e := range got {
		if e.Side == residue.SidePortal && e.Kind == residue.KindDPE && (e.By != "dpe added" || e.Cause == 0 || e.Created.IsZero()) {
			t.Errorf("the DPE's row does not say what made it: %+v", e)
		}
		if e.Kind == "Deployment" && (e.By != "operator ran helm install of edge-eu" || e.Cause == 0 || e.Environment != env.ID || e.DPE != d.Label) {
			t.Errorf("the deployment does not say what made it: %+v", e)
		}
		if e.Kind == residue.KindRelease && e.By != "operator ran helm install of edge-eu" {
			t.Errorf("the release does not say what made it: %+v", e)
		}
		if e.Kind == "ReplicaSet" && (e.By == "" || strings.Contains(e.By, " ran ")) {
			t.Errorf("a controller made it: %+v", e)
		}
	}

	_, err = client(t, s).CoreV1().Secrets("dpe").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.API.RemoveDPE(t.Context(), env.ID, d.Label, 0); err != nil {
		t.Fatal(err)
	}
	removed := func(e []residue.Entry) bool {
		for _, kind := range []string{residue.KindRelease, "Deployment", "Pod", "Secret"} {
			if !has(e, residue.Leaked, residue.SideCluster, kind) {
				return false
			}
		}
		cloudLeaks := slices.ContainsFunc(e, func(x residue.Entry) bool { return x.Class == residue.Leaked && x.Side != residue.SideCluster })
		return !cloudLeaks && has(e, residue.Foreign, residue.SideCluster, "Secret") &&
			has(e, residue.Kept, residue.SideStorage, residue.KindResults) && has(e, residue.Kept, residue.SideDPM, residue.KindJobs) &&
			has(e, residue.Gone, residue.SideDPM, residue.KindKey) && has(e, residue.Gone, residue.SideRegistry, residue.KindToken)
	}
	eventually(t, s, "the cluster's part leaks, the cloud's does not", removed)
	if kept, err := s.API.Residue(t.Context(), residue.Filter{Environment: "acme", DPE: "edge-eu"}); err != nil || len(told(kept, residue.Foreign)) != 0 || len(told(kept, residue.Leaked)) == 0 {
		t.Errorf("of the DPE alone: %v\n%s", err, strings.Join(told(kept, ""), "\n"))
	}

	uninstall(t, s, "edge-eu")
	got = eventually(t, s, "nothing leaked", nothingLeaked)
	if !has(got, residue.Kept, residue.SideCluster, residue.KindNamespace) || !has(got, residue.Foreign, residue.SideCluster, "Secret") || !has(got, residue.Gone, residue.SideCluster, "Deployment") {
		t.Errorf("after all:\n%s", strings.Join(told(got, ""), "\n"))
	}
}

func TestResidueOfAnUninstallationAlone(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Edge EU"})
	if err != nil {
		t.Fatal(err)
	}
	install(t, s, d)
	uninstall(t, s, "edge-eu")
	got := eventually(t, s, "nothing leaked", nothingLeaked)
	if !has(got, residue.InUse, residue.SidePortal, residue.KindDPE) || !has(got, residue.InUse, residue.SideDPM, residue.KindKey) {
		t.Errorf("the DPE is not in use:\n%s", strings.Join(told(got, ""), "\n"))
	}
}
