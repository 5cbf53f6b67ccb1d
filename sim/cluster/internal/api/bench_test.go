package api_test

import (
	"context"
	"fmt"
	"net/http"
	goruntime "runtime"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

// BenchmarkOpenAPI is the first time that each document is asked of a server, as helm and kubectl do.
func BenchmarkOpenAPI(b *testing.B) {
	const proto = "application/com.github.proto-openapi.spec."
	for _, d := range []struct{ name, path, accept string }{
		{"v2-json", "/openapi/v2", "application/json"},
		{"v2-protobuf", "/openapi/v2", proto + "v2@v1.0+protobuf"},
		{"v3-index", "/openapi/v3", "application/json"},
		{"v3-apps-json", "/openapi/v3/apis/apps/v1", "application/json"},
		{"v3-core-json", "/openapi/v3/api/v1", "application/json"},
		{"v3-core-protobuf", "/openapi/v3/api/v1", proto + "v3@v1.0+protobuf"},
	} {
		b.Run(d.name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				b.StopTimer()
				s, stop := start(b, options(b, ""))
				b.StartTimer()
				code, body := get(b, s.RESTConfig(api.Operator), d.path, d.accept)
				b.StopTimer()
				if code != http.StatusOK {
					b.Fatalf("%d %s", code, body)
				}
				size = len(body)
				if err := stop(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(size), "B/answer")
		})
	}
}

// BenchmarkRequest is the latency of each kind of request, of one client that waits for the answer.
func BenchmarkRequest(b *testing.B) {
	for _, kept := range []bool{false, true} {
		dir, name := "", "memory"
		if kept {
			dir, name = b.TempDir(), "kept"
		}
		s, _ := start(b, options(b, dir))
		c := client(b, s).CoreV1().ConfigMaps("default")
		ctx := context.Background()
		n := 0
		run := func(what string, f func() error) {
			b.Run(name+"/"+what, func(b *testing.B) {
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("create", func() error {
			n++
			_, err := c.Create(ctx, configMap(fmt.Sprint("c", n)), metav1.CreateOptions{})
			return err
		})
		run("get", func() error {
			_, err := c.Get(ctx, "c1", metav1.GetOptions{})
			return err
		})
		run("patch", func() error {
			n++
			_, err := c.Patch(ctx, "c1", types.MergePatchType, fmt.Appendf(nil, `{"data":{"n":"%d"}}`, n), metav1.PatchOptions{})
			return err
		})
		run("apply", func() error {
			n++
			cm := coreac.ConfigMap("applied", "default").WithData(map[string]string{"n": strconv.Itoa(n)})
			_, err := c.Apply(ctx, cm, metav1.ApplyOptions{FieldManager: "bench", Force: true})
			return err
		})
		run("list500", func() error {
			_, err := c.List(ctx, metav1.ListOptions{Limit: 500})
			return err
		})
	}
}

// BenchmarkHold is what 500 pods cost in memory.
func BenchmarkHold(b *testing.B) {
	const pods = 500
	for b.Loop() {
		before := heap()
		s, stop := start(b, options(b, ""))
		c := client(b, s).CoreV1().Pods("default")
		for i := range pods {
			if _, err := c.Create(b.Context(), pod(fmt.Sprint("p", i)), metav1.CreateOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/pods, "B/pod")
		if err := stop(); err != nil {
			b.Fatal(err)
		}
	}
}

// heap gives the bytes in use after a collection, pools included, which take two.
func heap() uint64 {
	goruntime.GC()
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc
}
