package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

// wideTable gives the first row of a table as kubectl asks for it, with its header, wide columns in brackets.
func wideTable(tb testing.TB, c *rest.Config, path string) string {
	tb.Helper()
	code, body := get(tb, c, path, "application/json;as=Table;v=v1;g=meta.k8s.io")
	var table metav1.Table
	if err := json.Unmarshal(body, &table); code != http.StatusOK || err != nil || len(table.Rows) == 0 {
		tb.Fatalf("%s: %d %v %s", path, code, err, body)
	}
	var head, row []string
	for i, d := range table.ColumnDefinitions {
		name := d.Name
		if d.Priority > 0 {
			name = "(" + name + ")"
		}
		head, row = append(head, name), append(row, fmt.Sprint(table.Rows[0].Cells[i]))
	}
	return strings.Join(head, "|") + "\n" + strings.Join(row, "|")
}

func TestColumnsAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	s, _ := start(t, options(t, ""))
	c := client(t, s)
	fillTables(t, c)
	for path, want := range map[string]string{
		"/api/v1/namespaces/default/endpoints": "Name|Endpoints|Age\nweb|10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more...|0s",
		"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices": "Name|AddressType|Ports|Endpoints|Age\n" +
			"web-abc|IPv4|80|10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...|0s",
		"/api/v1/namespaces/default/services/web": "Name|Type|Cluster-IP|External-IP|Port(s)|Age|(Selector)\nweb|ClusterIP|10.96.9.9|<none>|80/TCP|0s|app=web",
		"/api/v1/nodes": "Name|Status|Roles|Age|Version|(Internal-IP)|(External-IP)|(OS-Image)|(Kernel-Version)|(Container-Runtime)\n" +
			"n1|NotReady,SchedulingDisabled|<none>|0s|v1.37.2|10.1.1.1|<none>|<unknown>|6.1 (amd64)|<unknown>",
		"/apis/batch/v1/namespaces/default/jobs": "Name|Status|Completions|Duration|Age|(Containers)|(Images)|(Selector)\n" +
			"j|Running|0/1||0s|c|web:1|batch.kubernetes.io/controller-uid=UID",
		"/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers": "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age\n" +
			"h|Deployment/web|cpu: <unknown>/80%|1|3|0|0s",
		"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies":      "Name|Pod-Selector|Age\np|<none>|0s",
		"/apis/policy/v1/namespaces/default/poddisruptionbudgets":            "Name|Min Available|Max Unavailable|Allowed Disruptions|Age\nb|50%|N/A|0|0s",
		"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases":     "Name|Holder|Age\nn1|n1|0s",
		"/apis/storage.k8s.io/v1/storageclasses":                             "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age\nstandard (default)|example.com/p|Delete|Immediate|false|0s",
		"/api/v1/namespaces/default/serviceaccounts":                         "Name|Age\nbot|0s",
		"/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles":        "Name|Created At\nr|2031-05-06T07:08:09Z",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles/cr":                 "Name|Created At\ncr|2031-05-06T07:08:09Z",
		"/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings": "Name|Role|Age|(Users)|(Groups)|(ServiceAccounts)\nrb|Role/r|0s|u1, u2||default/bot",
		"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/crb":         "Name|Role|Age|(Users)|(Groups)|(ServiceAccounts)\ncrb|ClusterRole/cr|0s||g|",
		"/api/v1/namespaces/default/persistentvolumeclaims": "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|(VolumeMode)\n" +
			"c|Pending|||||<unset>|0s|Filesystem",
		"/api/v1/persistentvolumes": "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|(VolumeMode)\n" +
			"v|1Gi|RWO|Retain|Pending|||<unset>||0s|Filesystem",
		"/api/v1/namespaces/default/events": "Last Seen|Type|Reason|Object|(Subobject)|(Source)|Message|(First Seen)|(Count)|(Name)\n" +
			"60s|Normal|Pulled|pod/p|spec.containers{c}|kubelet, n1|done|2m|3|e",
	} {
		got := wideTable(t, s.RESTConfig(api.Operator), path)
		if i := strings.Index(got, "controller-uid="); i >= 0 {
			got = got[:i] + "controller-uid=UID"
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", path, got, want)
		}
	}
}

// fillTables creates one object of each kind.
func fillTables(t *testing.T, c *kubernetes.Clientset) {
	t.Helper()
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	opts := metav1.CreateOptions{}
	addresses := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}
	subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Port: 80}}}
	var endpoints []discoveryv1.Endpoint
	for a := range slices.Values(addresses) {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: a})
		endpoints = append(endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	core, rbac := c.CoreV1(), c.RbacV1()
	ok[*corev1.Endpoints](t)(core.Endpoints("default").Create(t.Context(), &corev1.Endpoints{ObjectMeta: meta("web"), Subsets: []corev1.EndpointSubset{subset}}, opts))
	ok[*discoveryv1.EndpointSlice](t)(c.DiscoveryV1().EndpointSlices("default").Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta: meta("web-abc"), AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints, Ports: []discoveryv1.EndpointPort{{Port: ptr.To[int32](80)}},
	}, opts))
	ok[*corev1.Service](t)(core.Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: meta("web"), Spec: corev1.ServiceSpec{ClusterIP: "10.96.9.9", Ports: []corev1.ServicePort{{Port: 80}}, Selector: map[string]string{"app": "web"}},
	}, opts))
	ok[*corev1.Node](t)(core.Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: map[string]string{"dpesim.dev/power": "off"}}, Spec: corev1.NodeSpec{Unschedulable: true},
		Status: corev1.NodeStatus{
			Capacity:   corev1.ResourceList{"cpu": resource.MustParse("4")},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.1.1.1"}},
			NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1.37.2", KernelVersion: "6.1", Architecture: "amd64"},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}},
		},
	}, opts))
	ok[*batchv1.Job](t)(c.BatchV1().Jobs("default").Create(t.Context(), &batchv1.Job{ObjectMeta: meta("j"), Spec: batchv1.JobSpec{
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: podSpec().Containers}},
	}}, opts))
	ok[*autoscalingv2.HorizontalPodAutoscaler](t)(c.AutoscalingV2().HorizontalPodAutoscalers("default").Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: meta("h"), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MaxReplicas: 3, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
		},
	}, opts))
	ok[*networkingv1.NetworkPolicy](t)(c.NetworkingV1().NetworkPolicies("default").Create(t.Context(), &networkingv1.NetworkPolicy{ObjectMeta: meta("p")}, opts))
	ok[*policyv1.PodDisruptionBudget](t)(c.PolicyV1().PodDisruptionBudgets("default").Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: meta("b"), Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromString("50%"))},
	}, opts))
	ok[*coordinationv1.Lease](t)(c.CoordinationV1().Leases("kube-node-lease").Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: meta("n1"), Spec: coordinationv1.LeaseSpec{HolderIdentity: new("n1")},
	}, opts))
	ok[*storagev1.StorageClass](t)(c.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "standard", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}}, Provisioner: "example.com/p",
	}, opts))
	ok[*corev1.ServiceAccount](t)(core.ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta("bot")}, opts))
	rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	ok[*rbacv1.Role](t)(rbac.Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: meta("r"), Rules: rules}, opts))
	ok[*rbacv1.ClusterRole](t)(rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta("cr"), Rules: rules}, opts))
	ok[*rbacv1.RoleBinding](t)(rbac.RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta("rb"), RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "r"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "u1"}, {Kind: "User", Name: "u2"}, {Kind: "ServiceAccount", Name: "bot", Namespace: "default"}},
	}, opts))
	ok[*rbacv1.ClusterRoleBinding](t)(rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta("crb"), RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "cr"}, Subjects: []rbacv1.Subject{{Kind: "Group", Name: "g"}},
	}, opts))
	storage := corev1.ResourceList{"storage": resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	ok[*corev1.PersistentVolumeClaim](t)(core.PersistentVolumeClaims("default").Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: meta("c"), Spec: corev1.PersistentVolumeClaimSpec{AccessModes: modes, Resources: corev1.VolumeResourceRequirements{Requests: storage}},
	}, opts))
	ok[*corev1.PersistentVolume](t)(core.PersistentVolumes().Create(t.Context(), &corev1.PersistentVolume{ObjectMeta: meta("v"), Spec: corev1.PersistentVolumeSpec{
		AccessModes: modes, Capacity: storage, PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}},
	}}, opts))
	ok[*corev1.Event](t)(core.Events("default").Create(t.Context(), &corev1.Event{
		ObjectMeta: meta("e"), Type: "Normal", Reason: "Pulled", Message: "done ", Count: 3, Source: corev1.EventSource{Component: "kubelet", Host: "n1"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "p", FieldPath: "spec.containers{c}"},
		FirstTimestamp: metav1.NewTime(epoch.Add(-120e9)), LastTimestamp: metav1.NewTime(epoch.Add(-60e9)),
	}, opts))
}
