package api

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// outage is how many seconds a pod stays bound to a node that has become unreachable or not ready, unless it says so
// itself. Source: Kubernetes' admission plugin DefaultTolerationSeconds.
const outage = 300

// tolerateOutages lets p stay on a lost node for a while: most are back soon.
func tolerateOutages(p *corev1.Pod) {
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		if slices.ContainsFunc(p.Spec.Tolerations, func(t corev1.Toleration) bool {
			return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		}) {
			continue
		}
		seconds := int64(outage)
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		})
	}
}
