package cluster_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A claim in use is Terminating until its last pod has gone, and so is its volume until the claim has.
func TestStorageInUseStays(t *testing.T) {
	t.Parallel()
	r := open(t)
	claims, volumes := r.CoreV1().PersistentVolumeClaims("default"), r.CoreV1().PersistentVolumes()
	claim, err := claims.Create(t.Context(), &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.place(t, "user", func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	})
	r.on(t, "user")
	volume := "pvc-" + string(claim.UID)
	for name, remove := range map[string]func() error{
		"claim":  func() error { return claims.Delete(t.Context(), "data", metav1.DeleteOptions{}) },
		"volume": func() error { return volumes.Delete(t.Context(), volume, metav1.DeleteOptions{}) },
	} {
		if err := remove(); err != nil {
			t.Fatalf("delete the %s: %v", name, err)
		}
	}
	r.place(t, "late", func(s *corev1.PodSpec) {
		s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	})
	want := `0/3 nodes are available: persistentvolumeclaim "data" is being deleted. not found`
	if got := r.why(t, "late"); got != want { // the controllers have had their turn
		t.Errorf("told %q\nwant %q", got, want)
	}
	c, err := claims.Get(t.Context(), "data", metav1.GetOptions{})
	if err != nil || c.DeletionTimestamp == nil || !slices.Equal(c.Finalizers, []string{"kubernetes.io/pvc-protection"}) {
		t.Errorf("claim: %v, deleted %v, finalizers %v", err, c.DeletionTimestamp, c.Finalizers)
	}
	v, err := volumes.Get(t.Context(), volume, metav1.GetOptions{})
	if err != nil || v.DeletionTimestamp == nil || !slices.Equal(v.Finalizers, []string{"kubernetes.io/pv-protection"}) {
		t.Errorf("volume: %v, deleted %v, finalizers %v", err, v.DeletionTimestamp, v.Finalizers)
	}
	if err := r.CoreV1().Pods("default").Delete(t.Context(), "user", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "both gone", func() bool {
		_, err := claims.Get(t.Context(), "data", metav1.GetOptions{})
		_, err2 := volumes.Get(t.Context(), volume, metav1.GetOptions{})
		return apierrors.IsNotFound(err) && apierrors.IsNotFound(err2)
	})
}

func TestQuotasAreRefusedInWords(t *testing.T) {
	t.Parallel()
	r := open(t)
	if l, err := r.CoreV1().ResourceQuotas("default").List(t.Context(), metav1.ListOptions{}); err != nil || len(l.Items) != 0 {
		t.Errorf("%d quotas, %v", len(l.Items), err)
	}
	_, err := r.CoreV1().LimitRanges("default").Create(t.Context(), &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "sizes"}}, metav1.CreateOptions{})
	want := `limitranges "sizes" is forbidden: LimitRange is not supported by this cluster: remove it, or use the kind or kubeconfig target`
	if !apierrors.IsForbidden(err) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Who wrote first stands first, also after time was moved ahead of the machine's.
func TestFieldManagersStandInTheirOrder(t *testing.T) {
	t.Parallel()
	r := open(t)
	maps := r.CoreV1().ConfigMaps("default")
	r.advance(t, time.Hour)
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shared"}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{FieldManager: "zoe"}); err != nil {
		t.Fatal(err)
	}
	r.advance(t, time.Minute)
	m, err := maps.Patch(t.Context(), "shared", types.MergePatchType, []byte(`{"data":{"c":"d"}}`), metav1.PatchOptions{FieldManager: "adam"})
	if err != nil || len(m.ManagedFields) != 2 || m.ManagedFields[0].Manager != "zoe" || m.ManagedFields[1].Manager != "adam" {
		t.Errorf("%v, %v", err, m.ManagedFields)
	}
}
