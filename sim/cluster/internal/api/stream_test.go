package api_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// What cannot be had says so in words that kubectl shows; a pod that is not there is still that.
func TestStreamsIntoContainersAreRefusedInWords(t *testing.T) {
	t.Parallel()
	s, c := start(t, options(t, ""))
	_ = s
	core := c.CoreV1().RESTClient()
	create(t, c, pod("p"))
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
