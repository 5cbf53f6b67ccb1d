package api

import (
	"context"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// streamEndpoint is pods/exec, pods/attach and pods/portforward: containers of this cluster are functions in the process,
// with nothing to attach to, so it says that instead of opening a stream.
type streamEndpoint struct {
	pods *genericregistry.Store
	what string
}

var _ rest.Connecter = streamEndpoint{}

// New gives an empty pod: the endpoint's nominal type.
func (streamEndpoint) New() runtime.Object { return &corev1.Pod{} }

// Destroy has nothing to give back.
func (streamEndpoint) Destroy() {}

// NewConnectOptions says that there are no options that would matter.
func (streamEndpoint) NewConnectOptions() (opts runtime.Object, path bool, name string) {
	return nil, false, ""
}

// ConnectMethods are those of kubectl: GET for WebSocket, POST for SPDY.
func (streamEndpoint) ConnectMethods() []string { return []string{http.MethodGet, http.MethodPost} }

// Connect refuses: with NotFound if there is no such pod.
func (e streamEndpoint) Connect(ctx context.Context, name string, _ runtime.Object, _ rest.Responder) (http.Handler, error) {
	if _, err := e.pods.Get(ctx, name, &metav1.GetOptions{}); err != nil {
		return nil, err
	}
	return nil, notModelled("containers of the in-process cluster run inside dpesim: there is nothing to " + e.what +
		". Use kubectl logs and describe, or a real cluster")
}

// notModelled is the answer to what Kubernetes can do and this cluster cannot.
func notModelled(msg string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotImplemented, Reason: "NotImplemented", Message: msg,
	}}
}
