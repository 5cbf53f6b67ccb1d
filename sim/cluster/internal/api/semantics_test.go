package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

func TestDeletionPoliciesAreFinalizers(t *testing.T) {
	c := started(t).AppsV1().Deployments("default")
	for policy, want := range map[metav1.DeletionPropagation]string{
		metav1.DeletePropagationForeground: metav1.FinalizerDeleteDependents, metav1.DeletePropagationOrphan: metav1.FinalizerOrphanDependents,
	} {
		name := strings.ToLower(string(policy))
		ok[*appsv1.Deployment](t)(c.Create(t.Context(), deployment(name), metav1.CreateOptions{}))
		if err := c.Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
			t.Fatal(err)
		}
		d := ok[*appsv1.Deployment](t)(c.Get(t.Context(), name, metav1.GetOptions{}))
		if d.DeletionTimestamp == nil || fmt.Sprint(d.Finalizers) != fmt.Sprintf("[%s]", want) {
			t.Errorf("%s: deleted %v, finalizers %v", policy, d.DeletionTimestamp, d.Finalizers)
		}
	}
	ok[*appsv1.Deployment](t)(c.Create(t.Context(), deployment("gone"), metav1.CreateOptions{}))
	background, wrong := metav1.DeletePropagationBackground, metav1.DeletionPropagation("Later")
	if err := c.Delete(t.Context(), "gone", metav1.DeleteOptions{PropagationPolicy: &wrong}); err == nil || !strings.Contains(err.Error(), `propagationPolicy: Unsupported value: "Later": supported values: "Foreground", "Background", "Orphan", "nil"`) {
		t.Errorf("unknown policy: %v", err)
	}
	if err := c.Delete(t.Context(), "gone", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(t.Context(), "gone", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("in the background: %v", err)
	}
}

func TestPreconditionsAndCollections(t *testing.T) {
	c := started(t).CoreV1().ConfigMaps("default")
	for i, l := range []string{"a", "a", "b"} {
		cm := configMap(fmt.Sprint("c", i))
		cm.Labels = map[string]string{"set": l}
		ok[*corev1.ConfigMap](t)(c.Create(t.Context(), cm, metav1.CreateOptions{}))
	}
	other := types.UID("other")
	err := c.Delete(t.Context(), "c0", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}})
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "the UID in the precondition (other) does not match the UID in record") {
		t.Errorf("another object's uid: %v", err)
	}
	if err := c.DeleteCollection(t.Context(), metav1.DeleteOptions{DryRun: []string{"All"}}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	if err := c.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "set=a"}); err != nil {
		t.Error(err)
	}
	l := ok[*corev1.ConfigMapList](t)(c.List(t.Context(), metav1.ListOptions{}))
	if len(l.Items) != 1 || l.Items[0].Name != "c2" {
		t.Errorf("%+v", l.Items)
	}
	for range 3 {
		cm := configMap("")
		cm.GenerateName = "gen-"
		cm = ok[*corev1.ConfigMap](t)(c.Create(t.Context(), cm, metav1.CreateOptions{}))
		if !strings.HasPrefix(cm.Name, "gen-") || len(cm.Name) != len("gen-")+5 {
			t.Errorf("generated %q", cm.Name)
		}
	}
}

// typed begins the answer to an apply that has fields which are not there. As in Kubernetes, its status is 500.
const typed = "failed to create typed patch object"

// What is asked for wrongly, outside of bodies.
func TestRequestsAreRefusedInKubernetesWords(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	c := as(t, s, api.Operator).RESTClient()
	ok[*appsv1.Deployment](t)(as(t, s, api.Operator).AppsV1().Deployments("default").Create(t.Context(), deployment("web"), metav1.CreateOptions{FieldManager: "helm"}))
	const web = "/apis/apps/v1/namespaces/default/deployments/web"
	for _, tt := range []struct{ verb, path, kind, body, want string }{
		{"GET", "/api/v1/pods?fieldSelector=spec.image=x", "", "", "field label not supported: spec.image"},
		{"GET", "/api/v1/configmaps?fieldSelector=data=x", "", "", `"data" is not a known field selector: only "metadata.name", "metadata.namespace"`},
		{"GET", "/apis/batch/v1/jobs?fieldSelector=x=y", "", "", `field label "x" not supported for Job`},
		{"GET", "/api/v1/pods?labelSelector=a%20b", "", "", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"},
		{"GET", "/api/v1/pods?continue=xyz", "", "", "continue key is not valid"},
		{"GET", "/api/v1/pods?resourceVersion=abc", "", "", "invalid resource version"},
		{"GET", "/api/v1/pods?limit=many", "", "", "strconv.ParseInt"},
		{"GET", "/api/v1/namespaces/default/pods/nosuch", "", "", `pods "nosuch" not found`},
		{"GET", "/apis/apps/v1/namespaces/default/statefulsets", "", "", "the server could not find the requested resource"},
		{"DELETE", web + "?dryRun=some", "", "", `dryRun: Unsupported value: ["some"]: supported values: "All"`},
		{"POST", "/api/v1/namespaces/nosuch/configmaps", "application/json", object("ConfigMap", "v1", `"data":{}`), `namespaces "nosuch" not found`},
		{"POST", "/api/v1/namespaces/default/configmaps", "application/json", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}`, `Secret in version "v1" cannot be handled as a ConfigMap`},
		{"POST", "/api/v1/namespaces/default/configmaps", "text/plain", `x`, "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"},
		{"PATCH", web, "application/json-patch+json", `[{"op":"replace","path":"/spec/nosuch/x","value":1}]`, "the server rejected our request due to an error in our request"},
		{
			"PATCH", web, "application/apply-patch+yaml", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[{"name":"c","image":"web:2"}]}}}}`,
			"Apply failed with 1 conflict: conflict with \"helm\" using apps/v1: .spec.template.spec.containers[name=\"c\"].image",
		},
		{"PATCH", web, "application/apply-patch+yaml", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replica":1}}`, typed + " (/web; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema"},
		{"POST", "/api/v1/namespaces/default/pods/nosuch/exec", "application/json", "", `pods "nosuch" not found`},
	} {
		q := "?"
		if strings.Contains(tt.path, "?") {
			q = "&"
		}
		r := c.Verb(tt.verb).RequestURI(tt.path + q + "fieldManager=kubectl").Body([]byte(tt.body)).MaxRetries(0)
		if tt.kind != "" {
			r = r.SetHeader("Content-Type", tt.kind)
		}
		code := 0
		err := r.Do(t.Context()).StatusCode(&code).Error()
		if err == nil || code >= http.StatusInternalServerError && !strings.HasPrefix(err.Error(), typed) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s %s\ngot  %d %v\nwant %s", tt.verb, tt.path, tt.body, code, err, tt.want)
		}
	}
}
