package api

import (
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/dpesim/dpesim/sim"
)

// authenticated finds out who asks. No token is anonymous, as in Kubernetes; a wrong one is refused.
func authenticated(h http.Handler, u *users, t *types) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := anonymous()
		if given := r.Header.Get("Authorization"); given != "" {
			scheme, token, _ := strings.Cut(given, " ")
			found, ok := u.find(sim.Secret(strings.TrimSpace(token)))
			if !ok || !strings.EqualFold(scheme, "Bearer") {
				responsewriters.ErrorNegotiated(apierrors.NewUnauthorized("Unauthorized"), t.codecs, schema.GroupVersion{}, w, r)
				return
			}
			who = found
		}
		r.Header.Del("Authorization") // nothing behind needs it
		h.ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), who)))
	})
}

// authorized lets through what the user may do, and says in Kubernetes' words what not.
func authorized(h http.Handler, z authorizer.Authorizer, t *types) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := attributesOf(r)
		d, reason, err := z.Authorize(r.Context(), a)
		switch {
		case err != nil:
			responsewriters.InternalError(w, r, err)
		case d != authorizer.DecisionAllow:
			responsewriters.Forbidden(a, w, r, reason, t.codecs)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// attributesOf says who wants to do what in a request.
func attributesOf(r *http.Request) authorizer.AttributesRecord {
	a := authorizer.AttributesRecord{}
	a.User, _ = request.UserFrom(r.Context())
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok {
		return a
	}
	a.ResourceRequest, a.Path, a.Verb = info.IsResourceRequest, info.Path, info.Verb
	a.APIGroup, a.APIVersion, a.Resource, a.Subresource = info.APIGroup, info.APIVersion, info.Resource, info.Subresource
	a.Namespace, a.Name = info.Namespace, info.Name
	return a
}

// impersonated lets who may "impersonate" come as somebody else, as `kubectl --as` asks.
func impersonated(h http.Handler, z authorizer.Authorizer, t *types) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		as, groups := r.Header.Get(impersonateUser), r.Header.Values(impersonateGroup)
		if as == "" {
			if len(groups) > 0 {
				err := apierrors.NewBadRequest("requested [{Group  " + groups[0] + "  }] without impersonating a user")
				responsewriters.ErrorNegotiated(err, t.codecs, schema.GroupVersion{}, w, r)
				return
			}
			h.ServeHTTP(w, r)
			return
		}
		who, _ := request.UserFrom(r.Context())
		asked := []authorizer.AttributesRecord{{Resource: "users", Name: as}}
		all := append([]string{user.AllAuthenticated}, groups...)
		if ns, name, ok := serviceAccount(as); ok {
			asked = []authorizer.AttributesRecord{{Resource: "serviceaccounts", Namespace: ns, Name: name}}
			all = append(all, "system:serviceaccounts", "system:serviceaccounts:"+ns)
		}
		for _, g := range groups {
			asked = append(asked, authorizer.AttributesRecord{Resource: "groups", Name: g})
		}
		for _, a := range asked {
			a.User, a.Verb, a.APIVersion, a.ResourceRequest = who, "impersonate", "v1", true
			if d, reason, err := z.Authorize(r.Context(), a); err != nil || d != authorizer.DecisionAllow {
				responsewriters.Forbidden(a, w, r, reason, t.codecs)
				return
			}
		}
		if as == user.Anonymous {
			all = append([]string{user.AllUnauthenticated}, groups...)
		}
		info := &user.DefaultInfo{Name: as, Groups: all}
		h.ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), info)))
	})
}

// The headers of impersonation.
// Source: Kubernetes documentation, "User impersonation".
const impersonateUser, impersonateGroup, impersonateExtra = "Impersonate-User", "Impersonate-Group", "Impersonate-Extra-"

// serviceAccount takes the user name of a service account apart.
func serviceAccount(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}
