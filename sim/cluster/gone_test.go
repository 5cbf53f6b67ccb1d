package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster"
)

func TestWhatIsToGoIsAwaited(t *testing.T) {
	t.Parallel()
	r := open(t)
	maps := r.CoreV1().ConfigMaps("default")
	for _, name := range []string{"goes", "stays"} {
		if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	awaited := 0
	err := cluster.AwaitGone(t.Context(), "configmaps", maps, metav1.ListOptions{}, func(m metav1.Object) bool {
		if m.GetName() != "goes" {
			return false
		}
		awaited++
		if err := maps.Delete(t.Context(), "goes", metav1.DeleteOptions{}); err != nil { // after it was listed
			t.Error(err)
		}
		return true
	})
	if err != nil || awaited != 1 {
		t.Errorf("awaited %d times: %v", awaited, err)
	}

	stays := metav1.ListOptions{FieldSelector: "metadata.name=stays"}
	ctx, cancel := context.WithCancel(t.Context())
	err = cluster.AwaitGone(ctx, "configmaps", maps, stays, func(metav1.Object) bool {
		cancel()
		return true
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	over, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err = cluster.AwaitGone(over, "configmaps", maps, stays, func(metav1.Object) bool {
		<-over.Done()
		return true
	})
	if e, ok := errors.AsType[*sim.Error](err); !ok || e.Kind != sim.Unavailable || !strings.HasSuffix(e.Msg, "configmaps are not gone yet: stays") {
		t.Errorf("too late: %v", err)
	}
	if err := cluster.AwaitGone(t.Context(), "configmaps", maps, stays, func(metav1.Object) bool { return false }); err != nil {
		t.Errorf("none is awaited: %v", err)
	}
}
