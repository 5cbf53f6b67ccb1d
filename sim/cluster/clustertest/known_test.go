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
		Where: "kubectl-jobs: kubectl patch job good -p '{\"spec\":{\"template\"", Real: []string{"The Job \"good\" is invalid: spec.template"},
		Here: []string{"The Job \"good\" is invalid: spec.template"},
		Why:  "a real API server prints its internal type, whose fields are named otherwise",
	},
	{
		Where: "serial-nodes: kubectl get node", Real: []string{"NODE Ready,SchedulingDisabled control-plane"}, Here: []string{"NODE Ready,SchedulingDisabled <none>"},
		Why: "the real cluster has one node, which is its control plane",
	},
}
