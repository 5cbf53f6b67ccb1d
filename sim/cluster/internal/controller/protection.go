package controller

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/storage/ephemeral"
)

// The finalizers that the API server gives to claims and volumes. Source: Kubernetes, "Storage Object in Use Protection".
const (
	claimProtection  = "kubernetes.io/pvc-protection"
	volumeProtection = "kubernetes.io/pv-protection"
)

// protection lets claims go that no pod uses any more, and volumes that are bound to no claim. Until then they are
// Terminating.
type protection struct {
	*Manager
	claims, volumes *loop
}

func (m *Manager) addProtection() error {
	c := &protection{Manager: m}
	c.claims = m.loop("pvc-protection-controller", c.syncClaim)
	c.volumes = m.loop("pv-protection-controller", c.syncVolume)
	core := m.informers.Core().V1()
	if err := on(core.PersistentVolumeClaims().Informer(), func(o metav1.Object) {
		if o.GetDeletionTimestamp() != nil {
			c.claims.add(keyOf(o))
		}
	}); err != nil {
		return err
	}
	if err := on(core.PersistentVolumes().Informer(), func(o metav1.Object) {
		if o.GetDeletionTimestamp() != nil {
			c.volumes.add(o.GetName())
		}
	}); err != nil {
		return err
	}
	_, err := core.Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) {
		forward(o, func(o metav1.Object) {
			if p, ok := o.(*corev1.Pod); ok {
				for _, name := range claimsOf(p) {
					c.claims.add(cache.NewObjectName(p.Namespace, name).String())
				}
			}
		})
	}})
	return err
}

// claimsOf names the claims that a pod's volumes use.
func claimsOf(p *corev1.Pod) (names []string) {
	for i := range p.Spec.Volumes {
		switch v := &p.Spec.Volumes[i]; {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			names = append(names, ephemeral.VolumeClaimName(p, v))
		}
	}
	return names
}

// syncClaim lets a claim go that is being deleted, unless a pod that has a node uses it. A pod without one does not count:
// it is given none while the claim is being deleted.
func (c *protection) syncClaim(ctx context.Context, key string) error {
	claim, found, err := live(ctx, key, c.client.CoreV1().PersistentVolumeClaims)
	if !found || claim.DeletionTimestamp == nil || !slices.Contains(claim.Finalizers, claimProtection) {
		return err
	}
	pods, err := c.client.CoreV1().Pods(claim.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Spec.NodeName != "" && slices.Contains(claimsOf(p), claim.Name) {
			return nil // its going brings us back
		}
	}
	claim.Finalizers = drop(claim.Finalizers, claimProtection)
	_, err = c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, claim, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// syncVolume lets a volume go that is being deleted, unless it is bound.
func (c *protection) syncVolume(ctx context.Context, name string) error {
	v, err := c.client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || v.DeletionTimestamp == nil || v.Status.Phase == corev1.VolumeBound || !slices.Contains(v.Finalizers, volumeProtection) {
		return err
	}
	v.Finalizers = drop(v.Finalizers, volumeProtection)
	_, err = c.client.CoreV1().PersistentVolumes().Update(ctx, v, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// drop gives all but one.
func drop(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one })
}
