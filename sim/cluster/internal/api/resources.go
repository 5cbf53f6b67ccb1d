package api

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
)

// newResources lists what the server keeps. Whatever is not here is answered with 404, as by an API server without it.
func newResources() []*resource {
	core, apps := corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion

	namespaces := of[corev1.Namespace, corev1.NamespaceList](core, "Namespace", "namespaces", "namespace", "ns")
	namespaces.namespaced = false
	namespaces.rules, namespaces.columns = namespaceRules(), namespaceColumns()
	namespaces.selectable = []string{"status.phase"}
	namespaces.fields = on(func(n *corev1.Namespace) fields.Set { return fields.Set{"status.phase": string(n.Status.Phase)} })

	nodes := of[corev1.Node, corev1.NodeList](core, "Node", "nodes", "node", "no")
	nodes.namespaced, nodes.rules, nodes.columns = false, nodeRules(), nodeColumns()
	nodes.selectable = []string{"spec.unschedulable"}
	nodes.fields = on(func(n *corev1.Node) fields.Set {
		return fields.Set{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
	})

	pods := of[corev1.Pod, corev1.PodList](core, "Pod", "pods", "pod", "po")
	pods.all, pods.rules, pods.columns = true, podRules(), podColumns()
	pods.selectable = []string{"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName"}
	pods.fields = on(func(p *corev1.Pod) fields.Set {
		return fields.Set{
			"spec.nodeName": p.Spec.NodeName, "spec.restartPolicy": string(p.Spec.RestartPolicy), "spec.schedulerName": p.Spec.SchedulerName,
			"spec.serviceAccountName": p.Spec.ServiceAccountName, "spec.hostNetwork": strconv.FormatBool(p.Spec.HostNetwork),
			"status.phase": string(p.Status.Phase), "status.podIP": p.Status.PodIP, "status.nominatedNodeName": p.Status.NominatedNodeName,
		}
	})

	secrets := of[corev1.Secret, corev1.SecretList](core, "Secret", "secrets", "secret")
	secrets.rules, secrets.columns = secretRules(), secretColumns()
	secrets.selectable = []string{"type"}
	secrets.fields = on(func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} })

	configMaps := of[corev1.ConfigMap, corev1.ConfigMapList](core, "ConfigMap", "configmaps", "configmap", "cm")
	configMaps.rules, configMaps.columns = configMapRules(), configMapColumns()

	accounts := of[corev1.ServiceAccount, corev1.ServiceAccountList](core, "ServiceAccount", "serviceaccounts", "serviceaccount", "sa")
	accounts.name, accounts.columns = apivalidation.ValidateServiceAccountName, serviceAccountColumns()

	services := of[corev1.Service, corev1.ServiceList](core, "Service", "services", "service", "svc")
	services.all, services.rules, services.columns = true, serviceRules(), serviceColumns()
	services.selectable = []string{"spec.clusterIP", "spec.type"}
	services.fields = on(func(s *corev1.Service) fields.Set {
		return fields.Set{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
	})

	claims := of[corev1.PersistentVolumeClaim, corev1.PersistentVolumeClaimList](core, "PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim", "pvc")
	claims.rules, claims.columns = claimRules(), claimColumns()

	volumes := of[corev1.PersistentVolume, corev1.PersistentVolumeList](core, "PersistentVolume", "persistentvolumes", "persistentvolume", "pv")
	volumes.namespaced, volumes.rules, volumes.columns = false, volumeRules(), volumeColumns()

	events := of[corev1.Event, corev1.EventList](core, "Event", "events", "event", "ev")
	events.volatile, events.ttl, events.rules, events.columns = true, eventTTL, eventRules(), eventColumns()
	events.selectable = []string{
		"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
		"involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
	}
	events.fields = on(eventFields)

	deployments := of[appsv1.Deployment, appsv1.DeploymentList](apps, "Deployment", "deployments", "deployment", "deploy")
	deployments.all, deployments.scale, deployments.rules, deployments.columns = true, true, deploymentRules(), deploymentColumns()

	replicaSets := of[appsv1.ReplicaSet, appsv1.ReplicaSetList](apps, "ReplicaSet", "replicasets", "replicaset", "rs")
	replicaSets.all, replicaSets.scale, replicaSets.rules, replicaSets.columns = true, true, replicaSetRules(), replicaSetColumns()

	jobs := of[batchv1.Job, batchv1.JobList](batchv1.SchemeGroupVersion, "Job", "jobs", "job")
	jobs.all, jobs.rules, jobs.columns = true, jobRules(), jobColumns()
	jobs.selectable = []string{"status.successful"}
	jobs.fields = on(func(j *batchv1.Job) fields.Set {
		return fields.Set{"status.successful": strconv.Itoa(int(j.Status.Succeeded))}
	})

	leases := of[coordinationv1.Lease, coordinationv1.LeaseList](coordinationv1.SchemeGroupVersion, "Lease", "leases", "lease")
	leases.volatile, leases.rules, leases.columns = true, leaseRules(), leaseColumns()

	policies := of[networkingv1.NetworkPolicy, networkingv1.NetworkPolicyList](networkingv1.SchemeGroupVersion, "NetworkPolicy", "networkpolicies", "networkpolicy", "netpol")
	policies.rules, policies.columns = networkPolicyRules(), networkPolicyColumns()

	budgets := of[policyv1.PodDisruptionBudget, policyv1.PodDisruptionBudgetList](policyv1.SchemeGroupVersion, "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget", "pdb")
	budgets.rules, budgets.columns = budgetRules(), budgetColumns()

	scalers := of[autoscalingv2.HorizontalPodAutoscaler, autoscalingv2.HorizontalPodAutoscalerList](autoscalingv2.SchemeGroupVersion, "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", "hpa")
	scalers.all, scalers.rules, scalers.columns = true, scalerRules(), scalerColumns()

	classes := of[storagev1.StorageClass, storagev1.StorageClassList](storagev1.SchemeGroupVersion, "StorageClass", "storageclasses", "storageclass", "sc")
	classes.namespaced, classes.rules, classes.columns, classes.preferred = false, classRules(), classColumns(), on(defaultClass)

	endpoints := of[corev1.Endpoints, corev1.EndpointsList](core, "Endpoints", "endpoints", "endpoints", "ep")
	endpoints.rules, endpoints.columns = endpointsRules(), endpointsColumns()

	endpointSlices := of[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](discoveryv1.SchemeGroupVersion, "EndpointSlice", "endpointslices", "endpointslice")
	endpointSlices.rules, endpointSlices.columns = endpointSliceRules(), endpointSliceColumns()

	quotas := of[corev1.ResourceQuota, corev1.ResourceQuotaList](core, "ResourceQuota", "resourcequotas", "resourcequota", "quota")
	ranges := of[corev1.LimitRange, corev1.LimitRangeList](core, "LimitRange", "limitranges", "limitrange", "limits")
	for _, r := range []*resource{quotas, ranges} {
		r.refused, r.columns = r.kind.Kind+" is not supported by this cluster: remove it, or use the kind or kubeconfig target", columns{ageColumn()}
	}

	return append([]*resource{
		namespaces, nodes, pods, secrets, configMaps, accounts, services, endpoints, endpointSlices, claims, volumes, events,
		deployments, replicaSets, jobs, leases, policies, budgets, scalers, classes, quotas, ranges,
	}, rbacResources()...)
}

// rbacResources are the kinds that say who may do what.
func rbacResources() []*resource {
	rbac := rbacv1.SchemeGroupVersion
	roles := of[rbacv1.Role, rbacv1.RoleList](rbac, "Role", "roles", "role")
	roles.rules, roles.columns = roleRules(), roleColumns()

	bindings := of[rbacv1.RoleBinding, rbacv1.RoleBindingList](rbac, "RoleBinding", "rolebindings", "rolebinding")
	bindings.rules, bindings.columns = roleBindingRules(), roleBindingColumns()

	clusterRoles := of[rbacv1.ClusterRole, rbacv1.ClusterRoleList](rbac, "ClusterRole", "clusterroles", "clusterrole")
	clusterRoles.namespaced, clusterRoles.rules, clusterRoles.columns = false, clusterRoleRules(), roleColumns()

	clusterBindings := of[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBindingList](rbac, "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding")
	clusterBindings.namespaced, clusterBindings.rules, clusterBindings.columns = false, clusterRoleBindingRules(), clusterRoleBindingColumns()

	return []*resource{roles, bindings, clusterRoles, clusterBindings}
}

func eventFields(e *corev1.Event) fields.Set {
	i := e.InvolvedObject
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.kind": i.Kind, "involvedObject.namespace": i.Namespace, "involvedObject.name": i.Name, "involvedObject.uid": string(i.UID),
		"involvedObject.apiVersion": i.APIVersion, "involvedObject.resourceVersion": i.ResourceVersion, "involvedObject.fieldPath": i.FieldPath,
		"reason": e.Reason, "reportingComponent": e.ReportingController, "source": source, "type": e.Type,
	}
}
