package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/storage/volume"

	"github.com/dpesim/dpesim/sim/cluster/internal/record"
)

const (
	// className is the storage class of a claim that names none; scratchDriver makes its volumes: directories of the node
	// agent, each counted against the disk of the node that its first pod runs on.
	className     = "standard"
	scratchDriver = "dpesim.dev/scratch"
	// defaultClassKey marks the default class. Source: Kubernetes, "Storage Classes".
	defaultClassKey = "storageclass.kubernetes.io/is-default-class"
	// claimPeriod is how often a claim that waits is told of again. Source: kube-controller-manager, pvclaimbinder-sync-period.
	claimPeriod = 15 * time.Second

	waitingForProvisioner = "Waiting for a volume to be created either by the external provisioner '%s' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
)

// volumes makes the claims of ephemeral volumes, and the volumes of claims.
type volumes struct {
	*Manager
	pods, claims, released *loop
	from                   record.Source
}

func (m *Manager) addVolumes() error {
	c := &volumes{Manager: m, from: record.Source{Component: "persistentvolume-controller"}}
	c.pods = m.loop("ephemeral-volume", c.syncPod)
	c.claims = m.loop("persistentvolume-binder", c.syncClaim)
	c.released = m.loop("persistentvolume-release", c.syncVolume)
	class := m.loop("storageclass", c.ensureClass)
	class.add(className)
	core := m.informers.Core().V1()
	claims := core.PersistentVolumeClaims().Informer()
	for _, err := range []error{
		on(core.Pods().Informer(), func(o metav1.Object) { c.pods.add(keyOf(o)) }),
		on(claims, func(o metav1.Object) {
			c.claims.add(keyOf(o))
			c.released.add(volumeNameOf(o.GetUID()))
		}),
		on(core.PersistentVolumes().Informer(), func(o metav1.Object) { c.released.add(o.GetName()) }),
		on(m.informers.Storage().V1().StorageClasses().Informer(), func(metav1.Object) {
			for _, key := range claims.GetStore().ListKeys() {
				c.claims.add(key)
			}
		}),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// ensureClass makes the default storage class, as every managed cluster has one.
func (c *volumes) ensureClass(ctx context.Context, name string) error {
	reclaim, mode := corev1.PersistentVolumeReclaimDelete, storagev1.VolumeBindingWaitForFirstConsumer
	_, err := c.client.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Annotations: map[string]string{defaultClassKey: "true"}},
		Provisioner: scratchDriver, ReclaimPolicy: &reclaim, VolumeBindingMode: &mode,
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// syncPod makes the claims of a pod's generic ephemeral volumes; they go with the pod.
func (c *volumes) syncPod(ctx context.Context, key string) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	p, err := c.informers.Core().V1().Pods().Lister().Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) || err == nil && p.DeletionTimestamp != nil {
		return nil
	}
	if err != nil {
		return err
	}
	for _, v := range p.Spec.Volumes {
		if v.Ephemeral == nil || v.Ephemeral.VolumeClaimTemplate == nil {
			continue
		}
		t := v.Ephemeral.VolumeClaimTemplate
		if _, err := c.informers.Core().V1().PersistentVolumeClaims().Lister().PersistentVolumeClaims(p.Namespace).Get(p.Name + "-" + v.Name); err == nil {
			continue
		}
		_, err := c.client.CoreV1().PersistentVolumeClaims(p.Namespace).Create(ctx, &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Name: p.Name + "-" + v.Name, Labels: t.Labels, Annotations: t.Annotations,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(p, corev1.SchemeGroupVersion.WithKind("Pod"))},
			},
			Spec: *t.Spec.DeepCopy(),
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			c.events.Warning(record.Source{Component: "ephemeral_volume"}, p, "FailedCreate", "ephemeral volume %s: create PVC %s: %v", v.Name, p.Name+"-"+v.Name, err)
			return err
		}
	}
	return nil
}

// syncClaim gives a pending claim a volume.
func (c *volumes) syncClaim(ctx context.Context, key string) error {
	claim, found, err := live(ctx, key, c.client.CoreV1().PersistentVolumeClaims)
	if !found || claim.DeletionTimestamp != nil || claim.Status.Phase == corev1.ClaimBound {
		return err
	}
	claims := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace)
	class, err := c.classOf(ctx, claim)
	if err != nil || class == nil {
		return err
	}
	node := claim.Annotations[volume.AnnSelectedNode]
	if delayed := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer; !delayed {
		node = ""
	} else if node == "" && claim.Spec.VolumeName == "" {
		if p := c.waitingPod(claim); p != nil {
			c.events.Normal(c.from, claim, "WaitForPodScheduled", "waiting for pod %s to be scheduled", p.Name)
		} else {
			c.events.Normal(c.from, claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
		}
		c.claims.addAfter(key, claimPeriod)
		return nil
	}
	if class.Provisioner != scratchDriver {
		c.events.Normal(c.from, claim, "ExternalProvisioning", waitingForProvisioner, class.Provisioner)
		c.claims.addAfter(key, claimPeriod)
		return nil
	}
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	capacity := corev1.ResourceList{corev1.ResourceStorage: size}
	if claim.Spec.VolumeName == "" {
		c.events.Normal(c.from, claim, "ExternalProvisioning", waitingForProvisioner, class.Provisioner)
		driver := record.Source{Component: scratchDriver}
		c.events.Normal(driver, claim, "Provisioning", "External provisioner is provisioning volume for claim %q", key)
		v, err := c.client.CoreV1().PersistentVolumes().Create(ctx, c.volume(claim, class, capacity, node), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		if err == nil {
			v.Status.Phase = corev1.VolumeBound
			if _, err := c.client.CoreV1().PersistentVolumes().UpdateStatus(ctx, v, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		claim.Spec.VolumeName, claim.Spec.StorageClassName = volumeNameOf(claim.UID), &class.Name
		for k, v := range map[string]string{volume.AnnBindCompleted: "yes", volume.AnnBoundByController: "yes", volume.AnnStorageProvisioner: class.Provisioner} {
			metav1.SetMetaDataAnnotation(&claim.ObjectMeta, k, v)
		}
		if claim, err = claims.Update(ctx, claim, metav1.UpdateOptions{}); err != nil {
			return err
		}
		c.events.Normal(driver, claim, "ProvisioningSucceeded", "Successfully provisioned volume %s", claim.Spec.VolumeName)
	}
	claim.Status.Phase, claim.Status.Capacity, claim.Status.AccessModes = corev1.ClaimBound, capacity, claim.Spec.AccessModes
	_, err = claims.UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	return err
}

func volumeNameOf(claim types.UID) string { return "pvc-" + string(claim) }

// classOf gives the class that provides for claim. Nil without an error means that the claim stays pending, and that an
// event says why.
func (c *volumes) classOf(ctx context.Context, claim *corev1.PersistentVolumeClaim) (*storagev1.StorageClass, error) {
	name := classNameOf(claim)
	if name == "" {
		c.events.Normal(c.from, claim, "FailedBinding", "no persistent volumes available for this claim and no storage class is set")
		return nil, nil
	}
	class, err := c.client.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.events.Warning(c.from, claim, "ProvisioningFailed", "storageclass.storage.k8s.io %q not found", name)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return class, nil
}

func (c *volumes) volume(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, capacity corev1.ResourceList, node string) *corev1.PersistentVolume {
	mode := corev1.PersistentVolumeFilesystem
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: volumeNameOf(claim.UID), Annotations: map[string]string{volume.AnnDynamicallyProvisioned: scratchDriver}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: capacity, AccessModes: claim.Spec.AccessModes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			StorageClassName: class.Name, VolumeMode: &mode, NodeAffinity: onNode(node),
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: scratchDriver, VolumeHandle: string(claim.UID),
			}},
		},
	}
}

// syncVolume deletes a volume of ours whose claim is gone.
func (c *volumes) syncVolume(ctx context.Context, name string) error {
	v, err := c.client.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ref := v.Spec.ClaimRef
	if ref == nil || v.Spec.CSI == nil || v.Spec.CSI.Driver != scratchDriver || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	claim, err := c.client.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err == nil && claim.UID == ref.UID {
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if v.Status.Phase == corev1.VolumeBound {
		v.Status.Phase = corev1.VolumeReleased
		if v, err = c.client.CoreV1().PersistentVolumes().UpdateStatus(ctx, v, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	if v.DeletionTimestamp != nil {
		return nil // it is on its way
	}
	if err := c.client.CoreV1().PersistentVolumes().Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(v.UID))}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete volume: %w", err)
	}
	return nil
}
