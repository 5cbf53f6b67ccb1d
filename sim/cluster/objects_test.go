package cluster_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/conceal"
)

// All objects are given but what Secrets hold, and whoever conceals secrets knows that, also when it has been replaced.
func TestObjectsAreGivenWithoutWhatSecretsHold(t *testing.T) {
	t.Parallel()
	hidden := conceal.New()
	r := open(t, func(o *cluster.Options) { o.Conceal = hidden })
	ctx := t.Context()
	r.create(t, deployment("web", "v1", 1, 1, 0))
	secrets := r.CoreV1().Secrets("default")
	s, err := secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "mine", Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "first-s3cret"}},
		StringData: map[string]string{"password": "first-s3cret"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.StringData = map[string]string{"password": "second-s3cret"}
	if _, err := secrets.Update(ctx, s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	all, err := r.Objects(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for resource, says := range map[string]string{"nodes": "name: dpesim-node-1", "deployments.apps": "image: app:v1", "namespaces": "name: kube-system", "secrets": "name: mine"} {
		if !strings.Contains(string(all[resource]), says) {
			t.Errorf("%s do not say %q:\n%s", resource, says, all[resource])
		}
	}
	for _, resource := range slices.Sorted(maps.Keys(all)) {
		if text := string(all[resource]); strings.Contains(text, "s3cret") || strings.Contains(text, "managedFields") {
			t.Errorf("%s:\n%s", resource, text)
		}
	}
	if got := hidden.Text("first-s3cret second-s3cret " + r.RESTConfig().BearerToken); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("known is %s", got)
	}
}
