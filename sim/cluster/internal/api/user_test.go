package api_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

// as gives a client that comes as a user of the server.
func as(tb testing.TB, s *api.Server, user string) *kubernetes.Clientset {
	tb.Helper()
	return ok[*kubernetes.Clientset](tb)(kubernetes.NewForConfig(s.RESTConfig(user)))
}

func TestViewerSeesEverythingButSecretsAndChangesNothing(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	viewer, core := as(t, s, api.Viewer), as(t, s, api.Viewer).CoreV1()
	_, secrets := core.Secrets("default").List(t.Context(), metav1.ListOptions{})
	_, secret := core.Secrets("default").Get(t.Context(), "pull", metav1.GetOptions{})
	_, create := core.ConfigMaps("default").Create(t.Context(), configMap("a"), metav1.CreateOptions{})
	_, apply := core.ConfigMaps("default").Patch(t.Context(), "a", "application/apply-patch+yaml", []byte("{}"), metav1.PatchOptions{FieldManager: "m"})
	remove := viewer.AppsV1().Deployments("default").Delete(t.Context(), "web", metav1.DeleteOptions{})
	_, everywhere := core.Secrets("").List(t.Context(), metav1.ListOptions{})
	cordon := viewer.RESTClient().Patch("application/merge-patch+json").AbsPath("/api/v1/nodes/n1").Body([]byte("{}")).Do(t.Context()).Error()
	exec := viewer.RESTClient().Post().AbsPath("/api/v1/namespaces/default/pods/p/exec").Do(t.Context()).Error()
	metrics := viewer.RESTClient().Get().AbsPath("/metrics").Do(t.Context()).Error()
	for want, err := range map[string]error{
		`secrets is forbidden: User "viewer" cannot list resource "secrets" in API group "" in the namespace "default"`:                          secrets,
		`secrets "pull" is forbidden: User "viewer" cannot get resource "secrets" in API group "" in the namespace "default"`:                    secret,
		`configmaps is forbidden: User "viewer" cannot create resource "configmaps" in API group "" in the namespace "default"`:                  create,
		`configmaps "a" is forbidden: User "viewer" cannot patch resource "configmaps" in API group "" in the namespace "default"`:               apply,
		`deployments.apps "web" is forbidden: User "viewer" cannot delete resource "deployments" in API group "apps" in the namespace "default"`: remove,
		`secrets is forbidden: User "viewer" cannot list resource "secrets" in API group "" at the cluster scope`:                                everywhere,
		`nodes "n1" is forbidden: User "viewer" cannot patch resource "nodes" in API group "" at the cluster scope`:                              cordon,
		`pods "p" is forbidden: User "viewer" cannot create resource "pods/exec" in API group "" in the namespace "default"`:                     exec,
		`forbidden: User "viewer" cannot get path "/metrics"`:                                                                                    metrics,
	} {
		if !apierrors.IsForbidden(err) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for _, path := range []string{
		"/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces/default/configmaps", "/apis/apps/v1/deployments", "/apis/rbac.authorization.k8s.io/v1/clusterroles",
		"/apis/storage.k8s.io/v1/storageclasses", "/openapi/v3", "/api", "/apis/apps/v1", "/version", "/readyz",
	} {
		if code, body := get(t, s.RESTConfig(api.Viewer), path, "application/json"); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestAWrongTokenIsUnauthorizedAndNoneIsAnonymous(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	list := func(token string) error {
		c := s.RESTConfig(api.Operator)
		c.BearerToken = token
		_, err := ok[*kubernetes.Clientset](t)(kubernetes.NewForConfig(c)).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		return err
	}
	if err := list("wrong"); !apierrors.IsUnauthorized(err) {
		t.Errorf("wrong token: %v", err)
	}
	want := `pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"`
	if err := list(""); err == nil || err.Error() != want {
		t.Errorf("no token: %v", err)
	}
	c := s.RESTConfig(api.Operator)
	c.BearerToken = ""
	for _, path := range []string{"/healthz", "/livez", "/readyz", "/version"} {
		if code, body := get(t, c, path, "application/json"); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestReviewsTellWhatOneMayDo(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	may := func(user, verb, resource string) authorizationv1.SubjectAccessReviewStatus {
		return ok[*authorizationv1.SelfSubjectAccessReview](t)(as(t, s, user).AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Resource: resource}},
		}, metav1.CreateOptions{})).Status
	}
	if got := may(api.Operator, "create", "pods"); !got.Allowed ||
		got.Reason != `RBAC: allowed by ClusterRoleBinding "dpesim:operators" of ClusterRole "cluster-admin" to Group "dpesim:operators"` {
		t.Errorf("operator: %+v", got)
	}
	if got := may(api.Viewer, "list", "secrets"); got.Allowed {
		t.Errorf("viewer: %+v", got)
	}
	who := func(user string) authenticationv1.UserInfo {
		return ok[*authenticationv1.SelfSubjectReview](t)(as(t, s, user).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})).Status.UserInfo
	}
	for _, user := range []string{api.Operator, api.Viewer, api.ControllerManager, api.NodeAgent} {
		if got := who(user); got.Username != user || !slices.Contains(got.Groups, "system:authenticated") {
			t.Errorf("%s is %+v", user, got)
		}
	}
	rules := ok[*authorizationv1.SelfSubjectRulesReview](t)(as(t, s, api.Viewer).AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"},
	}, metav1.CreateOptions{})).Status
	for _, r := range rules.ResourceRules {
		if slices.Contains(r.Resources, "secrets") || slices.Contains(r.Resources, "*") {
			t.Errorf("rules of the viewer: %+v", r)
		}
	}
	if len(rules.ResourceRules) < 3 || len(rules.NonResourceRules) == 0 || rules.Incomplete {
		t.Errorf("%+v", rules)
	}
}

// Roles and bindings that the operator writes hold from the next request on, for service accounts as for users.
func TestBindingsGiveRightsAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	c := as(t, s, api.Operator)
	bot := s.RESTConfig(api.Operator)
	bot.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:default:bot"}
	pods := func() error {
		_, err := ok[*kubernetes.Clientset](t)(kubernetes.NewForConfig(bot)).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		return err
	}
	want := `pods is forbidden: User "system:serviceaccount:default:bot" cannot list resource "pods" in API group "" in the namespace "default"`
	if err := pods(); err == nil || err.Error() != want {
		t.Errorf("before: %v", err)
	}
	ok[*rbacv1.RoleBinding](t)(c.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bot"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "bot"}},
	}, metav1.CreateOptions{}))
	if err := pods(); err == nil || err.Error() != want+`: RBAC: role.rbac.authorization.k8s.io "reader" not found` {
		t.Errorf("without the role: %v", err)
	}
	ok[*rbacv1.Role](t)(c.RbacV1().Roles("default").Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"pods"}}},
	}, metav1.CreateOptions{}))
	if err := pods(); err != nil {
		t.Errorf("with the role: %v", err)
	}
	view := s.RESTConfig(api.Viewer)
	view.Impersonate = bot.Impersonate
	_, err := ok[*kubernetes.Clientset](t)(kubernetes.NewForConfig(view)).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if want := `serviceaccounts "bot" is forbidden: User "viewer" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "default"`; err == nil || err.Error() != want {
		t.Errorf("impersonated by the viewer: %v", err)
	}
}

func TestNobodyGrantsMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	c := as(t, s, api.Operator).RbacV1()
	roles := []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "rolebindings"}}}
	ok[*rbacv1.Role](t)(c.Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "roles"}, Rules: roles}, metav1.CreateOptions{}))
	ok[*rbacv1.RoleBinding](t)(c.RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "roles"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "roles"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "eve"}},
	}, metav1.CreateOptions{}))
	config := s.RESTConfig(api.Operator)
	config.Impersonate = rest.ImpersonationConfig{UserName: "eve"}
	eve := ok[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config)).RbacV1()
	_, err := eve.Roles("default").Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}},
	}, metav1.CreateOptions{})
	want := `roles.rbac.authorization.k8s.io "mine" is forbidden: user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:` +
		"\n" + `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	_, err = eve.RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "mine"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "eve"}},
	}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `{APIGroups:["*"], Resources:["*"], Verbs:["*"]}`) {
		t.Errorf("bind: %v", err)
	}
	_, err = eve.Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "less"}, Rules: roles}, metav1.CreateOptions{})
	if err != nil {
		t.Errorf("what one has: %v", err)
	}
}

// It is not parallel: kubectl keeps flags in globals.
func TestKubectlAuth(t *testing.T) {
	s, _ := start(t, options(t, ""))
	kubeconfig := kubeconfigOf(t, s)
	ok[*corev1.ServiceAccount](t)(as(t, s, api.Operator).CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "bot"}}, metav1.CreateOptions{}))
	// What is answered with no ends kubectl, and this process with it.
	for _, c := range []struct{ want, args string }{
		{"yes", "auth can-i delete pods"},
		{"yes", "auth can-i list nodes --context dpesim-viewer"},
		{"viewer", "auth whoami --context dpesim-viewer"},
		{"*.*", "auth can-i --list"},
		{"deployments.apps/scale", "auth can-i --list --context dpesim-viewer"},
		{`Error from server (Forbidden): secrets is forbidden: User "viewer" cannot list resource "secrets" in API group "" in the namespace "default"`, "get secrets --context dpesim-viewer"},
		{"dpesim-viewer", "config get-contexts"},
		{"the in-process cluster issues no tokens for service accounts", "create token bot"},
		{`serviceaccounts "nosuch" not found`, "create token nosuch"},
	} {
		out, err := run(t, kubeconfig, strings.Fields(c.args)...)
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, c.want) {
			t.Errorf("kubectl %s: want %q in\n%s", c.args, c.want, out)
		}
	}
}

// A data directory of a dpesim that had one user goes on with its token, which is the operator's.
func TestOldIdentityFilesMigrate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, stop := start(t, options(t, dir))
	token, viewer := s.RESTConfig(api.Operator).BearerToken, s.RESTConfig(api.Viewer).BearerToken
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "identity.pem")
	now := string(ok[[]byte](t)(os.ReadFile(file)))
	old, _, found := strings.Cut(strings.Replace(now, "User: operator\n\n", "", 1), "-----BEGIN TOKEN-----\nUser: viewer")
	if !found {
		t.Fatal("no token of the viewer in the file")
	}
	if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second start reads what the first wrote
		s, stop = start(t, options(t, dir))
		if s.RESTConfig(api.Operator).BearerToken != token || s.RESTConfig(api.Viewer).BearerToken == viewer {
			t.Error("the operator's token has changed, or the viewer's has come back")
		}
		viewer = ""
		config := ok[*rest.Config](t)(clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig(0)))
		if _, err := ok[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config)).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	if info := ok[os.FileInfo](t)(os.Stat(file)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}
