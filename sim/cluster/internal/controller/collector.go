package controller

import (
	"context"
	"encoding/json"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
)

// collector is the garbage collector: it deletes what has lost all its owners, and serves the two finalizers that the
// API server sets by deletion policy, foreground and orphan.
type collector struct {
	*Manager
	loop      *loop
	inventory *inventory
}

func (m *Manager) addCollector(v *inventory) {
	c := &collector{Manager: m, inventory: v}
	c.loop = m.loop("garbage-collector", c.sync)
	v.watch(func(i *item, gone bool) {
		uid := i.meta.GetUID()
		if !gone {
			if len(i.meta.GetOwnerReferences()) > 0 || i.meta.GetDeletionTimestamp() != nil {
				c.loop.add(string(uid))
			}
			return
		}
		m.trail.Lock()
		m.trail.Forget(uid)
		m.trail.Unlock()
		for _, d := range v.dependents(uid) {
			c.loop.add(string(d.meta.GetUID()))
		}
		for _, r := range i.meta.GetOwnerReferences() { // an owner may wait for this
			c.loop.add(string(r.UID))
		}
	})
}

func (c *collector) sync(ctx context.Context, key string) error {
	i := c.inventory.get(types.UID(key))
	if i == nil {
		return nil
	}
	if i.meta.GetDeletionTimestamp() != nil {
		return c.finalize(ctx, i)
	}
	return c.judge(ctx, i)
}

// judge deletes i if none of its owners is left. References to owners that are gone are taken off if others are left.
func (c *collector) judge(ctx context.Context, i *item) error {
	var solid, gone []metav1.OwnerReference
	waiting := false
	for _, r := range i.meta.GetOwnerReferences() {
		there, blocked, err := c.owner(ctx, i, r)
		switch {
		case err != nil:
			return err
		case !there:
			gone = append(gone, r)
		case blocked && ptrTrue(r.BlockOwnerDeletion):
			waiting = true
			gone = append(gone, r)
		default:
			solid = append(solid, r)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if len(solid) > 0 {
		return c.reown(ctx, i, solid)
	}
	for _, r := range gone {
		c.trail.Acts.Inherit(i.meta.GetUID(), r.UID)
	}
	policy := metav1.DeletePropagationBackground
	switch {
	case slices.Contains(i.meta.GetFinalizers(), metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case waiting && len(c.inventory.dependents(i.meta.GetUID())) > 0, slices.Contains(i.meta.GetFinalizers(), metav1.FinalizerDeleteDependents):
		policy = metav1.DeletePropagationForeground
	}
	return c.delete(ctx, i, policy)
}

func ptrTrue(b *bool) bool { return b != nil && *b }

// owner tells whether the owner that r names is there, and whether it is being deleted in the foreground. What the
// inventory has not seen is looked for on the API server: a dependent may be seen before its owner.
func (c *collector) owner(ctx context.Context, i *item, r metav1.OwnerReference) (there, foreground bool, err error) {
	if o := c.inventory.get(r.UID); o != nil && (!o.kind.namespaced || o.meta.GetNamespace() == i.meta.GetNamespace()) {
		return true, inForeground(o.meta), nil
	}
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		return true, false, nil //nolint:nilerr // an owner that cannot be looked for cannot be called gone
	}
	k, known := c.inventory.kinds[gv.WithKind(r.Kind)]
	if !known {
		return true, false, nil
	}
	o, err := c.resource(k, i.meta.GetNamespace()).Get(ctx, r.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, false, nil
	case err != nil:
		return false, false, err
	}
	return o.UID == r.UID, inForeground(o), nil
}

func inForeground(o metav1.Object) bool {
	return o.GetDeletionTimestamp() != nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents)
}

// finalize serves the finalizers of an object that is being deleted.
func (c *collector) finalize(ctx context.Context, i *item) error {
	uid := i.meta.GetUID()
	switch f := i.meta.GetFinalizers(); {
	case slices.Contains(f, metav1.FinalizerOrphanDependents):
		for _, d := range c.inventory.dependents(uid) {
			if err := c.reown(ctx, d, without(d.meta.GetOwnerReferences(), uid)); err != nil {
				return err
			}
		}
		return c.release(ctx, i, metav1.FinalizerOrphanDependents)
	case slices.Contains(f, metav1.FinalizerDeleteDependents):
		left := false
		for _, d := range c.inventory.dependents(uid) {
			for _, r := range d.meta.GetOwnerReferences() {
				left = left || r.UID == uid && ptrTrue(r.BlockOwnerDeletion)
			}
			if d.meta.GetDeletionTimestamp() != nil {
				continue
			}
			if err := c.deleteDependent(ctx, d, uid); err != nil {
				return err
			}
		}
		if left {
			return nil // their going brings us back
		}
		return c.release(ctx, i, metav1.FinalizerDeleteDependents)
	}
	return nil
}

// deleteDependent deletes d for its owner's sake, or takes the owner off if d has another.
func (c *collector) deleteDependent(ctx context.Context, d *item, owner types.UID) error {
	if rest := without(d.meta.GetOwnerReferences(), owner); len(rest) > 0 {
		return c.reown(ctx, d, rest)
	}
	c.trail.Acts.Inherit(d.meta.GetUID(), owner)
	if len(c.inventory.dependents(d.meta.GetUID())) > 0 {
		return c.delete(ctx, d, metav1.DeletePropagationForeground)
	}
	return c.delete(ctx, d, metav1.DeletePropagationBackground)
}

func without(refs []metav1.OwnerReference, uid types.UID) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(refs), func(r metav1.OwnerReference) bool { return r.UID == uid })
}

// resource gives the client of a resource; namespace is ignored if it has none.
func (m *Manager) resource(k kind, namespace string) metadata.ResourceInterface {
	if k.namespaced {
		return m.metadata.Resource(k.gvr).Namespace(namespace)
	}
	return m.metadata.Resource(k.gvr)
}

// delete deletes i. It fails with a conflict if i changed since it was seen: somebody may have taken it off its owner.
func (m *Manager) delete(ctx context.Context, i *item, p metav1.DeletionPropagation) error {
	err := m.resource(i.kind, i.meta.GetNamespace()).Delete(ctx, i.meta.GetName(), metav1.DeleteOptions{
		PropagationPolicy: &p, Preconditions: &metav1.Preconditions{UID: new(i.meta.GetUID()), ResourceVersion: new(i.meta.GetResourceVersion())},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// reown sets who owns i. It fails with a conflict if i changed since it was seen.
func (c *collector) reown(ctx context.Context, i *item, refs []metav1.OwnerReference) error {
	return c.patch(ctx, i, map[string]any{"ownerReferences": refs})
}

// release takes a finalizer off.
func (c *collector) release(ctx context.Context, i *item, finalizer string) error {
	return c.patch(ctx, i, map[string]any{
		"finalizers": drop(i.meta.GetFinalizers(), finalizer),
	})
}

func (c *collector) patch(ctx context.Context, i *item, meta map[string]any) error {
	meta["uid"], meta["resourceVersion"] = i.meta.GetUID(), i.meta.GetResourceVersion()
	b, err := json.Marshal(map[string]any{"metadata": meta})
	if err != nil {
		return err
	}
	_, err = c.resource(i.kind, i.meta.GetNamespace()).Patch(ctx, i.meta.GetName(), types.MergePatchType, b, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
