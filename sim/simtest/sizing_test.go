package simtest_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/simtest"
)

// TestExceptionalSizingReachesThePods: "an exceptional sizing can be set (if allowed by Ataccama) as value override to the
// default values" (seed, "Sizing and resource requirements"): from the portal through values.yaml and helm to the pod.
func TestExceptionalSizingReachesThePods(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme", ExceptionalSizing: true})
	_, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Edge EU", ExceptionalSizing: sim.Sizing{CPURequest: "0.7", MemoryRequest: "2500Mi", MemoryLimit: "2.5G", Disk: "120Gi"}})
	if sim.KindOf(err) != sim.Invalid {
		t.Fatalf("2.5G is less than 2500Mi, and that is taken: %v", err)
	}
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Edge EU", ExceptionalSizing: sim.Sizing{CPURequest: "0.7", MemoryRequest: "2500Mi", MemoryLimit: "3Gi", Disk: "120Gi"}})
	if err != nil {
		t.Fatal(err)
	}
	install(t, s, d)
	await(t, s, "dpe status changed", "to", "connected")
	cluster := client(t, s).CoreV1()
	pods, err := cluster.Pods("dpe").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("pods: %v, %v", pods, err)
	}
	r := pods.Items[0].Spec.Containers[0].Resources
	for want, got := range map[string]string{
		"700m": r.Requests.Cpu().String(), "1600m": r.Limits.Cpu().String(), "2500Mi": r.Requests.Memory().String(), "3Gi": r.Limits.Memory().String(),
	} {
		if got != want {
			t.Errorf("the pod has %s where %s is wanted: %+v", got, want, r)
		}
	}
	claims, err := cluster.PersistentVolumeClaims("dpe").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 1 {
		t.Fatalf("claims: %v, %v", claims, err)
	}
	if disk := claims.Items[0].Spec.Resources.Requests.Storage().String(); disk != "120Gi" {
		t.Errorf("the disk has %s", disk)
	}
	again, err := s.API.EditDPE(t.Context(), env.ID, d.Label, api.DPEEdit{ExceptionalSizing: &sim.Sizing{}}, d.Revision)
	if err != nil || !again.Status.RedeployNeeded || again.Status.Differences[0].Field != "sizing" {
		t.Errorf("the tier's again: %+v, %v", again.Status, err)
	}
}
