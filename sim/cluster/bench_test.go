package cluster_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim/cluster"
)

// roomy gives nodes for n small pods.
func roomy(n int) func(*cluster.Options) {
	return func(o *cluster.Options) {
		nodes, err := cluster.ParseNodes(fmt.Sprintf("%dx64,256Gi,10Ti", n/100+2))
		if err == nil {
			o.Nodes = nodes
		}
	}
}

// BenchmarkInstallToGreen is the time from the making of a Deployment of three replicas until all are available.
func BenchmarkInstallToGreen(b *testing.B) {
	r := open(b)
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprint("web-", i)
		r.create(b, deployment(name, "v1", 3, 1, 0))
		r.available(b, name)
		b.StopTimer()
		r.clear(b, name)
		b.StartTimer()
	}
}

// BenchmarkRoll50 is the time of a rolling update of 50 replicas with a surge of one, as the chart asks for, and of a quarter.
func BenchmarkRoll50(b *testing.B) {
	for _, surge := range []int{1, 13} {
		b.Run(fmt.Sprint("surge=", surge), func(b *testing.B) {
			r := open(b, roomy(100))
			r.create(b, deployment("web", "v0", 50, surge, 0))
			r.available(b, "web")
			for i := 1; b.Loop(); i++ {
				r.patch(b, "web", fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:v%d"}]}}}}`, i))
				r.available(b, "web")
			}
		})
	}
}

// BenchmarkHold500 is the time until 500 pods are available, and what the process holds for each then.
func BenchmarkHold500(b *testing.B) {
	const n = 500
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	for b.Loop() {
		b.StopTimer()
		r := open(b, roomy(n))
		before := heap()
		b.StartTimer()
		r.create(b, deployment("web", "v1", n, 1, 0))
		r.available(b, "web")
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/n, "bytes/pod")
		b.StartTimer()
	}
}

// BenchmarkView500 is a look of the control room at a cluster of 500 pods.
func BenchmarkView500(b *testing.B) {
	const n = 500
	r := open(b, roomy(n))
	r.create(b, deployment("web", "v1", n, 1, 0))
	r.available(b, "web")
	v := r.View()
	for b.Loop() {
		if is, err := v.Read(b.Context()); err != nil || len(is.Pods) != n {
			b.Fatalf("%d pods, %v", len(is.Pods), err)
		}
	}
}

// available waits until every replica of a Deployment is of the present version and available: as long as the benchmark may
// take.
func (r *rig) available(b *testing.B, name string) {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		d := r.get(b, name)
		if n, s := *d.Spec.Replicas, d.Status; s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n {
			return
		}
		select {
		case <-tick.C:
		case <-b.Context().Done():
			b.Fatal("the benchmark was stopped")
		}
	}
}

// clear deletes a Deployment and waits until its pods are gone.
func (r *rig) clear(tb testing.TB, name string) {
	tb.Helper()
	background := metav1.DeletePropagationBackground
	if err := r.AppsV1().Deployments("default").Delete(context.WithoutCancel(tb.Context()), name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		tb.Fatal(err)
	}
	r.until(tb, name+" gone", func() bool { return len(r.pods(tb, name)) == 0 })
}
