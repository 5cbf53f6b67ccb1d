package api_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What cannot be had says so in words that kubectl shows; a pod that is not there is still that.
func TestStreamsIntoContainersAreRefusedInWords(t *testing.T) {
	c := started(t)
	core := c.CoreV1().RESTClient()
	ok[*corev1.Pod](t)(c.CoreV1().Pods("default").Create(t.Context(), pod("p"), metav1.CreateOptions{}))
	for path, want := range map[string]string{"exec": "execute in", "attach": "attach to", "portforward": "forward a port to"} {
		err := core.Post().Namespace("default").Resource("pods").Name("p").SubResource(path).Do(t.Context()).Error()
		if err == nil || !strings.Contains(err.Error(), "nothing to "+want) {
			t.Errorf("%s: %v", path, err)
		}
		err = core.Post().Namespace("default").Resource("pods").Name("nosuch").SubResource(path).Do(t.Context()).Error()
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s of no pod: %v", path, err)
		}
	}
}
