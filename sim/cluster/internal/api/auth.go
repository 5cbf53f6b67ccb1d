package api

import (
	"context"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/dpesim/dpesim/sim"
)

// admin is who has the token.
func admin() user.Info {
	return &user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}
}

// authenticated lets requests through that carry the token, as admin. The health endpoints are open, as in Kubernetes.
func authenticated(h http.Handler, token sim.Secret, t *types) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Bearer") && token.Equal(sim.Secret(given)) {
			h.ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), admin())))
			return
		}
		switch r.URL.Path {
		case "/healthz", "/livez", "/readyz", "/version":
			h.ServeHTTP(w, r)
		default:
			responsewriters.ErrorNegotiated(apierrors.NewUnauthorized("Unauthorized"), t.codecs, schema.GroupVersion{}, w, r)
		}
	})
}

// allowAll is the authorizer: whoever has the token may do everything. (The library's own allow-all brings in CEL.)
type allowAll struct{}

// Authorize allows.
func (allowAll) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionAllow, "", nil
}

// ConditionsAwareAuthorize allows without conditions.
func (a allowAll) ConditionsAwareAuthorize(ctx context.Context, at authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(a.Authorize(ctx, at))
}

// EvaluateConditions is never needed: no decision has conditions.
func (allowAll) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// review is a resource that is only ever asked, by create: nothing is stored.
type review struct {
	singular string
	empty    func() runtime.Object
	answer   func(ctx context.Context, asked runtime.Object) (runtime.Object, error)
}

var _ rest.Creater = review{} //nolint:misspell // its name

// New gives an empty question.
func (v review) New() runtime.Object { return v.empty() }

// Destroy has nothing to give back.
func (review) Destroy() {}

// NamespaceScoped says no.
func (review) NamespaceScoped() bool { return false }

// GetSingularName gives the name in the singular.
func (v review) GetSingularName() string { return v.singular }

// Create answers the question.
func (v review) Create(ctx context.Context, o runtime.Object, check rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	if check != nil {
		if err := check(ctx, o.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	return v.answer(ctx, o)
}

// accessReview answers `kubectl auth can-i`: yes.
func accessReview() review {
	return review{
		singular: "selfsubjectaccessreview", empty: func() runtime.Object { return &authorizationv1.SelfSubjectAccessReview{} },
		answer: func(_ context.Context, o runtime.Object) (runtime.Object, error) {
			r, ok := o.(*authorizationv1.SelfSubjectAccessReview)
			if !ok {
				return nil, apierrors.NewBadRequest("not a SelfSubjectAccessReview")
			}
			if (r.Spec.ResourceAttributes == nil) == (r.Spec.NonResourceAttributes == nil) {
				return nil, apierrors.NewBadRequest("exactly one of nonResourceAttributes or resourceAttributes must be specified")
			}
			r.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "whoever has the cluster's token may do everything"}
			return r, nil
		},
	}
}

// selfReview answers `kubectl auth whoami`.
func selfReview() review {
	return review{
		singular: "selfsubjectreview", empty: func() runtime.Object { return &authenticationv1.SelfSubjectReview{} },
		answer: func(ctx context.Context, o runtime.Object) (runtime.Object, error) {
			r, ok := o.(*authenticationv1.SelfSubjectReview)
			who, known := request.UserFrom(ctx)
			if !ok || !known {
				return nil, apierrors.NewBadRequest("no user found for request")
			}
			r.Status.UserInfo = authenticationv1.UserInfo{Username: who.GetName(), Groups: who.GetGroups()}
			return r, nil
		},
	}
}
