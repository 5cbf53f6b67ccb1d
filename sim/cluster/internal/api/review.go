package api

import (
	"context"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/dpesim/dpesim/sim/cluster/internal/api/rbac"
)

// review is a resource that is only ever asked, by create: nothing is stored.
type review struct {
	singular   string
	namespaced bool
	empty      func() runtime.Object
	answer     func(ctx context.Context, asked runtime.Object) (runtime.Object, error)
}

var _ rest.Creater = review{} //nolint:misspell // its name

// New gives an empty question.
func (v review) New() runtime.Object { return v.empty() }

// Destroy has nothing to give back.
func (review) Destroy() {}

// NamespaceScoped tells whether questions are asked in a namespace.
func (v review) NamespaceScoped() bool { return v.namespaced }

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

// reviewOf is a review of objects of type O.
func reviewOf[O any](singular string, answer func(ctx context.Context, asked *O) error) review {
	return review{
		singular: singular,
		empty:    func() runtime.Object { o, _ := any(new(O)).(runtime.Object); return o },
		answer: func(ctx context.Context, o runtime.Object) (runtime.Object, error) {
			asked, err := as[O](o, nil)
			if err != nil {
				return nil, err
			}
			return o, answer(ctx, asked)
		},
	}
}

// reviewer answers what users may do.
type reviewer struct{ authorizer rbac.Authorizer }

// self answers `kubectl auth can-i VERB RESOURCE`.
func (v reviewer) self() review {
	return reviewOf("selfsubjectaccessreview", func(ctx context.Context, r *authorizationv1.SelfSubjectAccessReview) (err error) {
		who, err := userOf(ctx)
		if err == nil {
			r.Status, err = v.decide(ctx, who, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
		}
		return err
	})
}

// other answers whether somebody else may do something.
func (v reviewer) other() review {
	return reviewOf("subjectaccessreview", func(ctx context.Context, r *authorizationv1.SubjectAccessReview) (err error) {
		r.Status, err = v.decideFor(ctx, &r.Spec)
		return err
	})
}

// local is other for one namespace.
func (v reviewer) local() review {
	out := reviewOf("localsubjectaccessreview", func(ctx context.Context, r *authorizationv1.LocalSubjectAccessReview) (err error) {
		if a := r.Spec.ResourceAttributes; a == nil || a.Namespace != request.NamespaceValue(ctx) {
			return apierrors.NewBadRequest("spec.resourceAttributes.namespace must match metadata.namespace")
		}
		r.Status, err = v.decideFor(ctx, &r.Spec)
		return err
	})
	out.namespaced = true
	return out
}

func (v reviewer) decideFor(ctx context.Context, s *authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
	if s.User == "" && len(s.Groups) == 0 {
		return authorizationv1.SubjectAccessReviewStatus{}, apierrors.NewBadRequest("at least one of user or group must be specified")
	}
	return v.decide(ctx, &user.DefaultInfo{Name: s.User, UID: s.UID, Groups: s.Groups}, s.ResourceAttributes, s.NonResourceAttributes)
}

// decide answers about a resource or a path.
func (v reviewer) decide(ctx context.Context, who user.Info, res *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes,
) (out authorizationv1.SubjectAccessReviewStatus, err error) {
	a := authorizer.AttributesRecord{User: who}
	switch {
	case (res == nil) == (path == nil):
		return out, apierrors.NewBadRequest("exactly one of nonResourceAttributes or resourceAttributes must be specified")
	case path != nil:
		a.Verb, a.Path = path.Verb, path.Path
	default:
		a.ResourceRequest, a.Verb, a.Namespace, a.Name = true, res.Verb, res.Namespace, res.Name
		a.APIGroup, a.APIVersion, a.Resource, a.Subresource = res.Group, res.Version, res.Resource, res.Subresource
	}
	d, reason, err := v.authorizer.Authorize(ctx, a)
	out.Allowed, out.Denied, out.Reason = d == authorizer.DecisionAllow, d == authorizer.DecisionDeny, reason
	return out, err
}

// rules answers `kubectl auth can-i --list`.
func (v reviewer) rules() review {
	return reviewOf("selfsubjectrulesreview", func(ctx context.Context, r *authorizationv1.SelfSubjectRulesReview) error {
		who, err := userOf(ctx)
		if err != nil {
			return err
		}
		if r.Spec.Namespace == "" {
			return apierrors.NewBadRequest("no namespace on request")
		}
		r.Status.ResourceRules, r.Status.NonResourceRules = []authorizationv1.ResourceRule{}, []authorizationv1.NonResourceRule{}
		for p := range slices.Values(v.authorizer.RulesFor(who, r.Spec.Namespace)) {
			r.Status.ResourceRules = append(r.Status.ResourceRules, resourceRule(p)...)
			if len(p.NonResourceURLs) > 0 {
				r.Status.NonResourceRules = append(r.Status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: p.Verbs, NonResourceURLs: p.NonResourceURLs})
			}
		}
		return nil
	})
}

func resourceRule(p rbacv1.PolicyRule) []authorizationv1.ResourceRule {
	if len(p.Resources) == 0 {
		return nil
	}
	return []authorizationv1.ResourceRule{{Verbs: p.Verbs, APIGroups: p.APIGroups, Resources: p.Resources, ResourceNames: p.ResourceNames}}
}

// whoami answers `kubectl auth whoami`.
func whoami() review {
	return reviewOf("selfsubjectreview", func(ctx context.Context, r *authenticationv1.SelfSubjectReview) error {
		who, err := userOf(ctx)
		if err == nil {
			r.Status.UserInfo = authenticationv1.UserInfo{Username: who.GetName(), Groups: who.GetGroups()}
		}
		return err
	})
}

func userOf(ctx context.Context) (user.Info, error) {
	who, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user found for request")
	}
	return who, nil
}
