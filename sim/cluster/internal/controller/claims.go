package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/component-helpers/storage/volume"
)

// volumeNeed is what a pod's claims ask of the node that it will run on.
type volumeNeed struct {
	bound  []*corev1.PersistentVolume      // must be reachable from the node
	toMake []*corev1.PersistentVolumeClaim // wait for the node to be chosen
	bytes  int64                           // of toMake, on the node's own disk
	static bool                            // toMake has one of a class that makes no volumes
}

// volumesOf gives what p's claims need, or what keeps p from running anywhere.
func (c *scheduler) volumesOf(ctx context.Context, p *corev1.Pod) (n volumeNeed, why string, err error) {
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		var name string
		switch {
		case v.PersistentVolumeClaim != nil:
			name = v.PersistentVolumeClaim.ClaimName
		case v.Ephemeral != nil:
			name = ephemeral.VolumeClaimName(p, v)
		default:
			continue
		}
		claim, err := c.client.CoreV1().PersistentVolumeClaims(p.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err) && v.Ephemeral != nil:
			return n, fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", name), nil
		case apierrors.IsNotFound(err):
			return n, fmt.Sprintf("persistentvolumeclaim %q not found", name), nil
		case err != nil:
			return n, "", err
		case claim.DeletionTimestamp != nil:
			return n, fmt.Sprintf("persistentvolumeclaim %q is being deleted", name), nil
		case claim.Status.Phase == corev1.ClaimLost:
			return n, fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", name, claim.Spec.VolumeName), nil
		}
		if v.Ephemeral != nil {
			if err := ephemeral.VolumeIsForPod(p, claim); err != nil {
				return n, err.Error(), nil //nolint:nilerr // it is why the pod waits
			}
		}
		if why, err := c.need(ctx, claim, &n); err != nil || why != "" {
			return n, why, err
		}
	}
	return n, "", nil
}

// need adds what claim needs to n, or says what keeps its pod from running anywhere.
func (c *scheduler) need(ctx context.Context, claim *corev1.PersistentVolumeClaim, n *volumeNeed) (string, error) {
	if claim.Status.Phase == corev1.ClaimBound {
		pv, err := c.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", claim.Name, claim.Spec.VolumeName), nil
		}
		n.bound = append(n.bound, pv)
		return "", err
	}
	class, err := c.client.StorageV1().StorageClasses().Get(ctx, classNameOf(claim), metav1.GetOptions{})
	switch {
	case err != nil && !apierrors.IsNotFound(err):
		return "", err
	case err != nil, class.VolumeBindingMode == nil, *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer:
		return "pod has unbound immediate PersistentVolumeClaims", nil //nolint:nilerr // there is no such class
	}
	n.toMake = append(n.toMake, claim)
	switch class.Provisioner {
	case scratchDriver:
		n.bytes += sizeOf(claim)
	case volume.NotSupportedProvisioner:
		n.static = true
	}
	return "", nil
}

// refusesVolumes says why the volumes that a pod needs cannot be on r; "" if they can. The volumes of this cluster are
// directories on a node's disk, of which q takes a part too.
func (r *room) refusesVolumes(q podRequest, need volumeNeed) string {
	for _, pv := range need.bound {
		if volume.CheckNodeAffinity(pv, r.node.Labels) != nil {
			return "node(s) didn't match PersistentVolume's node affinity"
		}
	}
	switch {
	case need.static:
		return "node(s) didn't find available persistent volumes to bind"
	case need.bytes > 0 && r.used.disk+q.disk+need.bytes > r.node.Status.Allocatable.StorageEphemeral().Value():
		return "node(s) did not have enough free storage"
	}
	return ""
}

// ask has the volumes of claims made on a node: their provisioner reads it there.
func (c *scheduler) ask(ctx context.Context, claims []*corev1.PersistentVolumeClaim, node string) error {
	for _, claim := range claims {
		b, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": claim.UID, "resourceVersion": claim.ResourceVersion, "annotations": map[string]string{volume.AnnSelectedNode: node},
		}})
		if err != nil {
			return err
		}
		if _, err := c.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, b, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("choose the node of claim %s: %w", claim.Name, err)
		}
	}
	return nil
}

func sizeOf(claim *corev1.PersistentVolumeClaim) int64 {
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return size.Value()
}

// classNameOf gives the class of a claim: the default one if it names none.
func classNameOf(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.StorageClassName == nil {
		return className
	}
	return *claim.Spec.StorageClassName
}

// NodeOfVolume gives the node whose disk holds v; "" if it is reachable from everywhere.
func NodeOfVolume(v *corev1.PersistentVolume) string {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
		return ""
	}
	for _, t := range v.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range t.MatchExpressions {
			if e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn && len(e.Values) == 1 {
				return e.Values[0]
			}
		}
	}
	return ""
}

// onNode is the affinity of a volume that is on the disk of a node; nil for "".
func onNode(name string) *corev1.VolumeNodeAffinity {
	if name == "" {
		return nil
	}
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{name}}},
	}}}}
}

// waitingPod gives a pod that waits for the claim of that name to get its volume; nil: none.
func (c *volumes) waitingPod(claim *corev1.PersistentVolumeClaim) *corev1.Pod {
	for _, o := range c.informers.Core().V1().Pods().Informer().GetStore().List() {
		p, ok := o.(*corev1.Pod)
		if !ok || p.Namespace != claim.Namespace || p.Spec.NodeName != "" || ended(p) {
			continue
		}
		if slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name ||
				v.Ephemeral != nil && ephemeral.VolumeClaimName(p, &v) == claim.Name
		}) {
			return p
		}
	}
	return nil
}
