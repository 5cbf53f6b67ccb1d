package simtest_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/residue"
	"github.com/dpesim/dpesim/sim/simtest"
)

// What a release of a removed DPE leaves in the cluster is found: in a namespace and of the whole cluster, a volume by its
// claim, also when the claim has gone, and a record of the release that says that it is installed. Each says who made it.
func TestLeaksOfTheClusterAreFound(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"})
	d, err := s.API.AddDPE(t.Context(), env.ID, api.DPESpec{Name: "Edge EU"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "the ledger knows that there is a DPE", func(e []residue.Entry) bool { return has(e, residue.InUse, residue.SidePortal, residue.KindDPE) })
	if err := s.API.RemoveDPE(t.Context(), env.ID, d.Label, 0); err != nil {
		t.Fatal(err)
	}

	c := client(t, s)
	left := metav1.ObjectMeta{Name: "left", Annotations: map[string]string{"meta.helm.sh/release-name": "edge-eu", "meta.helm.sh/release-namespace": "default"}}
	claim, err := c.CoreV1().PersistentVolumeClaims("default").Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: left, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	volume := "pvc-" + string(claim.UID)
	_, err = c.CoreV1().PersistentVolumes().Create(t.Context(), &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volume}, Spec: corev1.PersistentVolumeSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/left"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: left}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	record := metav1.ObjectMeta{Name: "sh.helm.release.v1.edge-eu.v1", Labels: map[string]string{"owner": "helm", "name": "edge-eu", "status": "deployed", "version": "1"}}
	if _, err = c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.CoreV1().Secrets("other").Create(t.Context(), &corev1.Secret{ObjectMeta: record}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	const uninstalled, installed = "its Helm release was uninstalled", "the DPE was removed in the portal, its Helm release is still installed"
	finds := func(says map[string]string) func([]residue.Entry) bool {
		return func(entries []residue.Entry) bool {
			found := map[string]residue.Entry{}
			for _, e := range entries {
				if e.Class == residue.Leaked {
					found[e.Kind+" "+e.Name] = e
				}
			}
			for what, reason := range says {
				if e, ok := found[what]; !ok || e.Reason != reason || e.DPE != "edge-eu" || e.Environment != "acme" || e.By == "" {
					return false
				}
			}
			return len(found) == len(says)
		}
	}
	got := eventually(t, s, "all leaks are found", finds(map[string]string{
		"PersistentVolumeClaim default/left": uninstalled, "PersistentVolume " + volume: uninstalled, "ClusterRole left": uninstalled,
		"HelmRelease other/edge-eu": installed, "Secret other/sh.helm.release.v1.edge-eu.v1": installed,
	}))
	for _, e := range got {
		if e.Kind == "ClusterRole" && (!strings.HasPrefix(e.By, "operator ran ") || !strings.HasSuffix(e.By, " create on clusterroles/left") || e.Cause == 0) {
			t.Errorf("who made the role: %q, event %d", e.By, e.Cause)
		}
	}
	if err := c.CoreV1().PersistentVolumeClaims("default").Delete(t.Context(), "left", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.CoreV1().Secrets("other").Delete(t.Context(), record.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "the volume and the role are left", finds(map[string]string{"PersistentVolume " + volume: uninstalled, "ClusterRole left": uninstalled}))
	if err := c.CoreV1().PersistentVolumes().Delete(t.Context(), volume, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.RbacV1().ClusterRoles().Delete(t.Context(), "left", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "nothing is left", nothingLeaked)
}
