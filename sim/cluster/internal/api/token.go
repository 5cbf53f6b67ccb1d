package api

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// tokenEndpoint is serviceaccounts/token: nobody here would accept a service account's token, so none is given.
type tokenEndpoint struct{ accounts *genericregistry.Store }

var (
	_ rest.NamedCreater             = tokenEndpoint{}
	_ rest.GroupVersionKindProvider = tokenEndpoint{}
)

// New gives an empty TokenRequest.
func (tokenEndpoint) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy has nothing to give back.
func (tokenEndpoint) Destroy() {}

// GroupVersionKind is that of TokenRequest: the parent is of another group.
func (tokenEndpoint) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// Create refuses: with NotFound if there is no such account.
func (e tokenEndpoint) Create(ctx context.Context, name string, _ runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	if _, err := e.accounts.Get(ctx, name, &metav1.GetOptions{}); err != nil {
		return nil, err
	}
	return nil, notModelled("the in-process cluster issues no tokens for service accounts: its users are those of the kubeconfig. " +
		"Use --as=system:serviceaccount:NAMESPACE:NAME to try what an account may do, or a real cluster")
}
