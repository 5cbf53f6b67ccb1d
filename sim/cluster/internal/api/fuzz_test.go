package api_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

// exchange sends a raw request as the operator and fails on what no input may bring about: no answer, or a server error.
func exchange(t *testing.T, c *rest.Config, hc *http.Client, method, path, kind string, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, c.Host+path, bytes.NewReader(body))
	if err != nil {
		t.Skip(err) // no such request can be sent
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := hc.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusNotImplemented && !bytes.Contains(out, []byte(typed)) {
		t.Errorf("%s %s %q: %d %s", method, path, body, resp.StatusCode, out)
	}
}

func fuzzed(f *testing.F) (*rest.Config, *http.Client) {
	f.Helper()
	s, _ := start(f, options(f, ""))
	c := s.RESTConfig(api.Operator)
	return c, ok[*http.Client](f)(rest.HTTPClientFor(c))
}

// FuzzCreate sends bodies in each encoding to each kind of collection.
func FuzzCreate(f *testing.F) {
	c, hc := fuzzed(f)
	kinds := []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor", "text/plain"}
	paths := []string{
		"/apis/apps/v1/namespaces/default/deployments", "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/services", "/api/v1/namespaces/default/secrets",
		"/api/v1/namespaces/default/persistentvolumeclaims", "/api/v1/nodes", "/apis/batch/v1/namespaces/default/jobs", "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
		"/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", "/api/v1/namespaces/default/endpoints",
		"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
	}
	for i, body := range []string{
		deploymentOf(goodPodSpec), object("Pod", "v1", `"spec":`+goodPodSpec), object("Service", "v1", `"spec":{"ports":[{"port":80,"targetPort":"http"}]}`),
		object("Secret", "v1", `"stringData":{"a":"b"}`), object("PersistentVolumeClaim", "v1", `"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}`),
		object("Node", "v1", `"status":{"capacity":{"cpu":"4"}}`), object("Job", "batch/v1", `"spec":{"template":{"spec":`+goodPodSpec+`}}`),
		object("NetworkPolicy", "networking.k8s.io/v1", `"spec":{"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8"}}]}]}`),
		object("HorizontalPodAutoscaler", "autoscaling/v2", `"spec":{"maxReplicas":3,"behavior":{"scaleUp":{}},"metrics":[{"type":"Pods"}]}`),
		object("PodDisruptionBudget", "policy/v1", `"spec":{"minAvailable":"50%"}`), object("Endpoints", "v1", `"subsets":[{"addresses":[{"ip":"10.0.0.1"}]}]`),
		object("EndpointSlice", "discovery.k8s.io/v1", `"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{}]`),
		object("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", `"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"User","name":"x"}]`),
		`{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"get"}}}`,
	} {
		f.Add(uint8(i), uint8(0), []byte(body))
		f.Add(uint8(i), uint8(1), []byte(body))
	}
	f.Add(uint8(1), uint8(2), []byte("k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x00"))
	f.Fuzz(func(t *testing.T, at, kind uint8, body []byte) {
		exchange(t, c, hc, http.MethodPost, paths[int(at)%len(paths)]+"?fieldManager=f&dryRun=All", kinds[int(kind)%len(kinds)], body)
	})
}

// FuzzPatch sends each kind of patch to an object.
func FuzzPatch(f *testing.F) {
	c, hc := fuzzed(f)
	kinds := []string{
		"application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/apply-patch+cbor",
	}
	path := "/apis/apps/v1/namespaces/default/deployments"
	exchangeSeed(f, c, hc, path, deploymentOf(goodPodSpec))
	for kind, body := range []string{
		`{"spec":{"replicas":2}}`, `[{"op":"replace","path":"/spec/replicas","value":3},{"op":"remove","path":"/spec/template/spec/containers/0"}]`,
		`{"spec":{"template":{"spec":{"containers":[{"name":"c","$patch":"delete"}],"$setElementOrder/containers":[{"name":"c"}]}}}}`,
		deploymentOf(goodPodSpec), "\xa0",
	} {
		f.Add(uint8(kind), "", []byte(body))
	}
	f.Add(uint8(0), "/scale", []byte(`{"spec":{"replicas":2}}`))
	f.Add(uint8(0), "/status", []byte(`{"status":{"replicas":2}}`))
	f.Fuzz(func(t *testing.T, kind uint8, sub string, body []byte) {
		if sub != "/scale" && sub != "/status" {
			sub = ""
		}
		exchange(t, c, hc, http.MethodPatch, path+"/web"+sub+"?fieldManager=f&force=true&dryRun=All", kinds[int(kind)%len(kinds)], body)
	})
}

func exchangeSeed(f *testing.F, c *rest.Config, hc *http.Client, path, body string) {
	f.Helper()
	r := ok[*http.Request](f)(http.NewRequestWithContext(f.Context(), http.MethodPost, c.Host+path, bytes.NewReader([]byte(body))))
	r.Header.Set("Content-Type", "application/json")
	resp := ok[*http.Response](f)(hc.Do(r))
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		f.Fatal(resp.Status)
	}
}

// FuzzList sends selectors, continue tokens and revisions.
func FuzzList(f *testing.F) {
	c, hc := fuzzed(f)
	f.Add("app=web", "status.phase=Running", "", "", uint16(2), "Exact")
	f.Add("app in (a,b),!c", "metadata.name!=x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0", "1", uint16(0), "NotOlderThan")
	f.Add("=", "=,", "x", "-1", uint16(1), "")
	f.Fuzz(func(t *testing.T, label, fields, token, revision string, limit uint16, match string) {
		q := url.Values{"labelSelector": {label}, "fieldSelector": {fields}, "continue": {token}, "resourceVersion": {revision}, "resourceVersionMatch": {match}}
		if limit > 0 {
			q.Set("limit", string(rune('0'+limit%10)))
		}
		for _, p := range []string{"/api/v1/pods?", "/api/v1/namespaces/default/events?", "/apis/apps/v1/deployments?"} {
			exchange(t, c, hc, http.MethodGet, p+q.Encode(), "", nil)
		}
	})
}
