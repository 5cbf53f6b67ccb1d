package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
)

// tolerationSeconds is how long a pod stays on a node that is lost unless it says otherwise.
// Source: kube-apiserver's flags --default-not-ready-toleration-seconds and --default-unreachable-toleration-seconds.
const tolerationSeconds = 300

// systemPriorities are the priority classes that every cluster has.
// Source: Kubernetes documentation, "Pod Priority and Preemption".
func systemPriorities() map[string]int32 {
	return map[string]int32{"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}
}

// admitPods does what the admission plugins of a real cluster do to new pods: ServiceAccount, Priority and
// DefaultTolerationSeconds. Tokens are not mounted: nobody here would accept one.
func (reg *registry) admitPods(ctx context.Context, o runtime.Object, opts *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
	finish, err := reg.requireNamespace(ctx, o, opts)
	if err != nil {
		return nil, err
	}
	p, err := as[corev1.Pod](o, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(reg.admitAccount(p), admitPriority(p)); err != nil {
		return nil, apierrors.NewForbidden(corev1.Resource("pods"), or(p.GenerateName, p.Name), err)
	}
	tolerateLostNodes(p)
	return finish, nil
}

// admitAccount gives a pod its service account and that account's pull secrets. The account must exist, but for the
// default one, which a controller may be about to make.
func (reg *registry) admitAccount(p *corev1.Pod) error {
	fill(&p.Spec.ServiceAccountName, "default")
	p.Spec.DeprecatedServiceAccount = p.Spec.ServiceAccountName
	name := p.Spec.ServiceAccountName
	account, ok := reg.peek("serviceaccounts", p.Namespace, name).(*corev1.ServiceAccount)
	switch {
	case !ok && name != "default":
		return fmt.Errorf("error looking up service account %s/%s: %w", p.Namespace, name, apierrors.NewNotFound(corev1.Resource("serviceaccount"), name))
	case ok && len(p.Spec.ImagePullSecrets) == 0:
		p.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return nil
}

// admitPriority says how much a pod matters.
func admitPriority(p *corev1.Pod) error {
	value, known := systemPriorities()[p.Spec.PriorityClassName]
	if p.Spec.PriorityClassName != "" && !known {
		return fmt.Errorf("no PriorityClass with name %s was found", p.Spec.PriorityClassName)
	}
	fillPtr(&p.Spec.Priority, value)
	fillPtr(&p.Spec.PreemptionPolicy, corev1.PreemptLowerPriority)
	return nil
}

// tolerateLostNodes lets a pod stay a while on a node that does not answer, unless it says something about that itself.
func tolerateLostNodes(p *corev1.Pod) {
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		said := slices.ContainsFunc(p.Spec.Tolerations, func(t corev1.Toleration) bool {
			return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		})
		if said {
			continue
		}
		seconds := int64(tolerationSeconds)
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		})
	}
}
