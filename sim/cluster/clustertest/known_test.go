package clustertest_test

import "github.com/dpesim/dpesim/sim/cluster/clustertest"

// known is what the in-process cluster says differently.
var known = []clustertest.Difference{
	{
		Where: "kubectl-mistakes: kubectl apply -f budget.yaml", Real: []string{"The PodDisruptionBudget"}, Here: []string{"The PodDisruptionBudget"},
		Why: "a real API server prints its internal type, whose fields are named otherwise",
	},
	{
		Where: "kubectl-mistakes: kubectl patch secret fixed -p '{\"type\"", Real: []string{"* type: Invalid value"}, Here: []string{"* type: Invalid value"},
		Why: "the same two mistakes, in another order",
	},
	{
		Where: "kubectl-mistakes: kubectl explain deployment.spec.strategy",
		Real: []string{
			"enum: Recreate, RollingUpdate", "Possible enum values:", "- `\"Recreate\"`", "- `\"RollingUpdate\"`", "update i.e gradually", "one.",
		},
		Why: "enumerations are in no Go type, of which the OpenAPI document is made",
	},
	{
		Where: "kubectl-objects: kubectl describe namespace", Real: []string{"No resource quota.", "No LimitRange resource."},
		Why: "there are no quotas and no limit ranges",
	},
	{
		Where: "kubectl-objects: kubectl describe pvc golden", Real: []string{"Finalizers: [kubernetes.io/pvc-protection]"}, Here: []string{"Finalizers: []"},
		Why: "a claim is protected by a finalizer in a real cluster only",
	},
	labels("good"), labels("bad"), labels("slow"),
	{
		Where: "kubectl-jobs: kubectl patch job good -p '{\"spec\":{\"template\"", Real: []string{"The Job \"good\" is invalid: spec.template"},
		Here: []string{"The Job \"good\" is invalid: spec.template"},
		Why:  "a real API server prints its internal type, whose fields are named otherwise",
	},
	{
		Where: "serial-nodes: kubectl get node", Real: []string{"NODE Ready,SchedulingDisabled control-plane"}, Here: []string{"NODE Ready,SchedulingDisabled <none>"},
		Why: "the real cluster has one node, which is its control plane",
	},
}

// labels is the difference in a job's labels.
func labels(job string) clustertest.Difference {
	return clustertest.Difference{
		Where: "kubectl-jobs: kubectl describe job " + job,
		Real:  []string{"Labels: batch.kubernetes.io/controller-uid=UID", "batch.kubernetes.io/job-name=" + job, "controller-uid=UID", "job-name=" + job},
		Here:  []string{"Labels: <none>"},
		Why:   "a Job gets the labels of its pods in a real cluster only",
	}
}
