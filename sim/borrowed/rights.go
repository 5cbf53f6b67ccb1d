package borrowed

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/cluster/survey"
)

// Subject is who rehearses, as RBAC names them.
type Subject struct {
	Kind      string // "User", "Group" or "ServiceAccount"
	Name      string
	Namespace string // of a ServiceAccount
}

// Names of what [Role] makes.
const (
	lookRole = "dpesim-look"
	workRole = "dpesim-work"
)

var (
	readOnly = []string{"get", "list", "watch"}
	all      = []string{"get", "list", "watch", "create", "update", "patch", "delete"}
)

func rule(group string, verbs []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

// lookRules are what is needed in the whole cluster.
func lookRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", readOnly, "nodes", "namespaces", "persistentvolumes"),
		rule("storage.k8s.io", readOnly, "storageclasses"),
		rule("", []string{"create"}, "namespaces"), // Helm 3's --create-namespace asks for it, also where the namespace is there
	}
}

// workRules are what is needed in each namespace that is worked in: the chart's kinds, Helm's records, and what an operator
// looks at and does.
func workRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", []string{"get", "patch"}, "namespaces"), // this one alone: Helm 4's --create-namespace applies it
		rule("", all, "secrets", "configmaps", "services", "serviceaccounts", "pods"),
		rule("apps", all, "deployments"),
		rule("apps", []string{"get", "update", "patch"}, "deployments/scale"),
		rule("policy", all, "poddisruptionbudgets"),
		rule("networking.k8s.io", all, "networkpolicies"),
		rule("autoscaling", all, "horizontalpodautoscalers"),
		rule("", []string{"get"}, "pods/log"),
		rule("", readOnly, "events", "persistentvolumeclaims", "resourcequotas", "limitranges", "endpoints"),
		rule("apps", readOnly, "replicasets"),
		rule("discovery.k8s.io", readOnly, "endpointslices"),
	}
}

// homeRules are what is needed in [Home].
func homeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", []string{"get", "list", "watch", "create", "delete"}, "pods"),
		rule("", []string{"get"}, "pods/log"),
		rule("", []string{"create", "delete"}, "secrets"),
	}
}

// Role gives, in YAML for the cluster's administrator, what lets who rehearse in the namespaces: these namespaces, [Home] with the
// mark of a cluster for rehearsals, and the least rights that suffice. A ServiceAccount in Home is made, too.
func Role(who Subject, namespaces []string) ([]byte, error) {
	labels := map[string]string{survey.ManagedBy: survey.Simulator}
	subjects := []rbacv1.Subject{{Kind: who.Kind, Name: who.Name, Namespace: who.Namespace}}
	if who.Kind != rbacv1.ServiceAccountKind {
		subjects[0].APIGroup = rbacv1.GroupName
	}
	core := metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}
	rbac := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
	}
	marked := map[string]string{survey.ManagedBy: survey.Simulator, Mark: "true"}
	objects := []any{corev1.Namespace{TypeMeta: core, ObjectMeta: metav1.ObjectMeta{Name: Home, Labels: marked}}}
	for _, n := range namespaces {
		objects = append(objects, corev1.Namespace{TypeMeta: core, ObjectMeta: metav1.ObjectMeta{Name: n, Labels: labels}})
	}
	if who.Kind == rbacv1.ServiceAccountKind && who.Namespace == Home {
		objects = append(objects, corev1.ServiceAccount{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Name: who.Name, Namespace: Home, Labels: labels},
		})
	}
	objects = append(objects,
		rbacv1.ClusterRole{TypeMeta: rbac("ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: lookRole, Labels: labels}, Rules: lookRules()},
		rbacv1.ClusterRoleBinding{
			TypeMeta: rbac("ClusterRoleBinding"), ObjectMeta: metav1.ObjectMeta{Name: lookRole, Labels: labels}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: lookRole},
		},
		rbacv1.Role{TypeMeta: rbac("Role"), ObjectMeta: metav1.ObjectMeta{Name: workRole, Namespace: Home, Labels: labels}, Rules: homeRules()},
	)
	for _, n := range append([]string{Home}, namespaces...) {
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: workRole}
		if n == Home {
			ref.Kind = "Role"
		}
		objects = append(objects, rbacv1.RoleBinding{
			TypeMeta: rbac("RoleBinding"), ObjectMeta: metav1.ObjectMeta{Name: workRole, Namespace: n, Labels: labels}, Subjects: subjects, RoleRef: ref,
		})
	}
	objects = append(objects, rbacv1.ClusterRole{TypeMeta: rbac("ClusterRole"), ObjectMeta: metav1.ObjectMeta{Name: workRole, Labels: labels}, Rules: workRules()})
	var out bytes.Buffer
	for i, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("write the role: %w", err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		for line := range strings.Lines(string(text)) { // what the API server fills in
			if !strings.HasPrefix(line, "status:") && !strings.HasPrefix(line, "spec: {}") && !strings.HasSuffix(line, "creationTimestamp: null\n") {
				out.WriteString(line)
			}
		}
	}
	return out.Bytes(), nil
}

// may tells whether the user of the kubeconfig has a right; an empty namespace is all of them, or the cluster.
func (c *Cluster) may(ctx context.Context, verb, group, resource, namespace string) (bool, error) {
	review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Namespace: namespace}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask which rights there are: %w", err)
	}
	return review.Status.Allowed, nil
}

// rights finds out in which namespaces may be worked, and returns Forbidden if too much is missing.
func (c *Cluster) rights(ctx context.Context) error {
	var missing []string
	need := func(verb, group, resource, namespace string) error {
		ok, err := c.may(ctx, verb, group, resource, namespace)
		if err == nil && !ok {
			right := verb + " " + resource
			if namespace != "" {
				right += " in the namespace " + namespace
			}
			missing = append(missing, right)
		}
		return err
	}
	for _, r := range lookRules() {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				if err := need(verb, r.APIGroups[0], resource, ""); err != nil {
					return err
				}
			}
		}
	}
	for _, verb := range []string{"create", "watch", "delete"} {
		if err := need(verb, "", "pods", Home); err != nil {
			return err
		}
	}
	if missing == nil {
		if err := c.places(ctx); err != nil {
			return err
		}
		if c.namespaces != nil && len(c.namespaces) == 0 {
			missing = append(missing, "create deployments in any namespace")
		}
	}
	if missing != nil {
		return sim.Errorf(sim.Forbidden, "the user %s of the context %s has too few rights in the cluster: missing is %s", c.place.User, c.place.Context, strings.Join(missing, ", ")).
			WithHelp("'dpesim cluster role' prints what suffices, for the cluster's administrator")
	}
	return nil
}

// places finds the namespaces that may be worked in; nil if all may.
func (c *Cluster) places(ctx context.Context) error {
	if everywhere, err := c.may(ctx, "create", "apps", "deployments", ""); err != nil || everywhere {
		return err
	}
	there, err := c.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	c.namespaces = []string{}
	for _, n := range there.Items {
		ok, err := c.may(ctx, "create", "apps", "deployments", n.Name)
		if err != nil {
			return err
		}
		if ok {
			c.namespaces = append(c.namespaces, n.Name)
		}
	}
	return nil
}
