package simtest_test

import (
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/kube"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/simtest"
	"github.com/dpesim/dpesim/sim/why"
)

// explained asks why and makes sure that the answer says each of says, in this order.
func explained(t *testing.T, s *simtest.Sim, subject string, says ...string) why.Explanation {
	t.Helper()
	x, err := s.API.Why(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(x.Summary + "\n")
	for _, c := range x.Chains {
		for _, step := range c.Steps {
			b.WriteString(step.Text + "\n")
		}
	}
	b.WriteString(x.Hint)
	rest := b.String()
	for _, w := range says {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Fatalf("why %s: does not say %q where it should:\n%s", subject, w, b.String())
		}
		rest = after
	}
	return x
}

func TestWhyAPodIsPending(t *testing.T) {
	t.Parallel()
	c := simtest.Config(t)
	c.Nodes = []cluster.Node{{Name: "small", CPU: "4", Memory: "1Gi"}}
	s := simtest.StartConfig(t, c)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Edge EU"})
	if err != nil {
		t.Fatal(err)
	}
	explained(t, s, "dpe/edge-eu", "dpe/acme/edge-eu: DPE isn't connected yet (0 of 1 replicas connected): nobody has installed it yet", "dpe added", "dpesim dpe commands acme edge-eu")

	installBy(t, s, d, kube.HookOnlyStrategy)
	e := await(t, s, "pod unschedulable", "namespace", "dpe")
	const reason = "0/1 nodes are available: 1 Insufficient memory."
	says := []string{"pod unschedulable: " + reason, "pod unschedulable: " + reason, "pod created", "deployment scaled", "operator ran helm install of edge-eu: helm install started (", "revision=1", "make room"}
	explained(t, s, "pod/"+e.Detail["pod"], says...)
	explained(t, s, "dpe/edge-eu", append([]string{"dpe/acme/edge-eu: DPE isn't connected yet"}, says...)...)
}

func TestWhyARemovedDPEIsRefused(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Edge EU"})
	if err != nil {
		t.Fatal(err)
	}
	install(t, s, d)
	pod := await(t, s, "pod ready", "namespace", "dpe").Detail["pod"]
	await(t, s, "dpe status changed", "to", "connected")
	explained(t, s, "dpe/edge-eu", "DPE is connected successfully (1 of 1 replicas connected)", "dpe status changed", "engine connected", "container started", "deployment scaled", "operator ran helm install of edge-eu", "nothing: it works")

	if err := s.API.RemoveDPE(t.Context(), env.ID, d.Label, 0); err != nil {
		t.Fatal(err)
	}
	await(t, s, "engine refused", "kind", "forbidden")
	explained(t, s, "dpe/acme/edge-eu", "dpe/acme/edge-eu is not in the portal: dpe removed", "container started", "helm uninstall edge-eu -n dpe")
	x := explained(t, s, "pod/"+pod, "engine disconnected: its key was revoked", "component revoked", "dpe removed")
	if removed := await(t, s, "dpe removed", "replicas_freed", "1"); x.FirstCause != removed.Seq {
		t.Errorf("the first cause is event %d, not the removal, %d", x.FirstCause, removed.Seq)
	}
}
