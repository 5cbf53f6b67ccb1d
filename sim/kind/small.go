package kind

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/dpesim/dpesim/sim/cluster/survey"
)

// EnoughCPUs is how many CPUs a cluster needs to rehearse with requests as they are: three replicas of tier M and one more.
const EnoughCPUs = 9

const (
	// smallRequest is what a pod requests in a cluster that has less. It still gets what the machine has.
	smallRequest = "10m"

	smallPolicy = "dpesim-small-requests"
)

// fit lets pods request little CPU where the machine has little, since kind's nodes have what the machine has: a replica of tier
// S would not find room beside another on two cores. It is what an administrator of a test cluster does, by a policy that
// kubectl shows.
func (c *Cluster) fit(ctx context.Context, client kubernetes.Interface) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	var have resource.Quantity
	for _, n := range nodes.Items {
		have.Add(*n.Status.Allocatable.Cpu())
	}
	if have.Cmp(*resource.NewQuantity(EnoughCPUs, resource.DecimalSI)) >= 0 {
		return nil
	}
	c.small.Do(func() { // not before each scenario
		c.log.say(fmt.Sprintf("the cluster has %s CPUs: each pod requests %s of one instead of what its tier says", have.String(), smallRequest))
	})
	first := "object.spec.containers[0]"
	own := metav1.ObjectMeta{Name: smallPolicy, Labels: map[string]string{survey.ManagedBy: survey.Simulator}}
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: own,
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy: new(admissionv1.Fail), ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{metav1.NamespaceSystem}},
				}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}}},
			},
			MatchConditions: []admissionv1.MatchCondition{{
				Name:       "requests-cpu",
				Expression: fmt.Sprintf("has(%s.resources) && has(%[1]s.resources.requests) && 'cpu' in %[1]s.resources.requests", first),
			}},
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: fmt.Sprintf(`[JSONPatch{op: "replace", path: "/spec/containers/0/resources/requests/cpu", value: %q}]`, smallRequest)},
			}},
		},
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: own, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: smallPolicy},
	}
	admission := client.AdmissionregistrationV1()
	if _, err = admission.MutatingAdmissionPolicies().Create(ctx, policy, metav1.CreateOptions{}); err == nil || apierrors.IsAlreadyExists(err) {
		_, err = admission.MutatingAdmissionPolicyBindings().Create(ctx, binding, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("let pods request less CPU: %w", err)
	}
	return nil
}
