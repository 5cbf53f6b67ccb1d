package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/pagetest"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/simtest"
)

// What the portal's pages may cost with many pods and jobs: a page that is opened for the first time, with all that it
// loads, on loopback, and what goes over the wire for it.
const (
	manyPods, manyJobs = 500, 10_000

	pageTime  = 100 * time.Millisecond
	pageBytes = 300_000
)

// BenchmarkPages opens pages of a simulator that has 500 pods, each of them a connected engine, and 10,000 jobs: for the
// first time (cold), and again with what a browser keeps (warm). Each figure stands beside its share of the limit. Run it
// with
//
//	go test -run '^$' -bench Pages -benchtime 20x .
func BenchmarkPages(b *testing.B) {
	s := crowded(b)
	e := "/environments/acme"
	for _, path := range []string{
		"/sign-in", "/environments", e + "/overview", e + "/services", e + "/settings", e + "/jobs", e + "/jobs?state=ENQUEUED", e + "/dpm", e + "/storage/sample-data", e + "/compliance", "/audit",
		"/room", "/room/cluster", "/room/timeline", "/room/timeline?text=none", "/room/why?subject=dpe/finance", "/room/controls",
	} {
		browser := pagetest.New(s.Endpoints().Portal)
		if err := browser.SignIn(b.Context(), "tess"); err != nil {
			b.Fatal(err)
		}
		for _, cache := range []string{"cold", "warm"} {
			b.Run(path+"/"+cache, func(b *testing.B) {
				var v pagetest.Visit
				for b.Loop() {
					if cache == "cold" {
						browser.Forget()
					}
					var err error
					if v, err = browser.Open(b.Context(), path); err != nil || v.Status != 200 {
						b.Fatal(v.Status, err)
					}
				}
				each := b.Elapsed() / time.Duration(b.N)
				b.ReportMetric(float64(each.Microseconds())/1000, "ms")
				b.ReportMetric(float64(each)/float64(pageTime), "of-100ms")
				b.ReportMetric(float64(v.Bytes)/1000, "kB")
				b.ReportMetric(float64(v.Bytes)/pageBytes, "of-300kB")
				b.ReportMetric(float64(v.Requests), "requests")
			})
		}
	}
}

// crowded is a simulator with [manyPods] pods and [manyJobs] jobs. The pods are a DPE that its operator has scaled far
// beyond the licence; most jobs wait for another that nobody installs.
func crowded(b *testing.B) *simtest.Sim {
	b.Helper()
	c := simtest.Config(b)
	nodes, err := cluster.ParseNodes("20x64,512Gi,20Ti")
	if err != nil {
		b.Fatal(err)
	}
	c.Nodes = nodes
	s := simtest.StartConfig(b, c)
	ctx := b.Context()
	env := s.Environment(b, api.EnvironmentSpec{Name: "Acme", Release: "15.3.0"})
	for _, name := range []string{"Finance", "HR"} {
		if _, err := s.API.AddDPE(ctx, env.ID, api.DPESpec{Name: name}); err != nil {
			b.Fatal(err)
		}
	}
	var submitters sync.WaitGroup
	for i := range 20 {
		submitters.Go(func() {
			for j := range manyJobs / 20 {
				spec := api.JobSpec{Bucket: "sample-data", Key: fmt.Sprintf("batch-%d/none-%d.csv", i, j), Label: "hr"}
				if j%100 == 0 {
					spec.Label, spec.Key, spec.MaxRecords = "finance", "birdstrikes.csv", 100
				}
				if _, err := s.API.SubmitJob(ctx, env.ID, spec); err != nil {
					b.Error(err)
				}
			}
		})
	}
	submitters.Wait()
	newTerminal(b, s).deploy(env.ID, "finance")
	config, err := clientcmd.BuildConfigFromFlags("", s.Endpoints().Kubeconfig)
	if err != nil {
		b.Fatal(err)
	}
	k, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := k.AppsV1().Deployments("dpe").Patch(ctx, "finance", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, manyPods), metav1.PatchOptions{}, "scale"); err != nil {
		b.Fatal(err)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		engines, err := s.API.Engines(ctx, env.ID)
		if err != nil {
			b.Fatal(err)
		}
		if len(engines) == manyPods {
			return s
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.Fatal("the benchmark was stopped")
		}
	}
}
