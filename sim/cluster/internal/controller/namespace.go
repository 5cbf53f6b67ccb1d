package controller

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// namespaces empties namespaces that are being deleted, and then lets them go.
type namespaces struct {
	*Manager
	loop      *loop
	inventory *inventory
}

func (m *Manager) addNamespaces(v *inventory) error {
	c := &namespaces{Manager: m, inventory: v}
	c.loop = m.loop("namespace", c.sync)
	lister := m.informers.Core().V1().Namespaces().Lister()
	if err := on(m.informers.Core().V1().Namespaces().Informer(), func(o metav1.Object) {
		if o.GetDeletionTimestamp() != nil {
			c.loop.add(o.GetName())
		}
	}); err != nil {
		return err
	}
	v.watch(func(i *item, _ bool) {
		if ns, err := lister.Get(i.meta.GetNamespace()); err == nil && ns.DeletionTimestamp != nil {
			c.loop.add(ns.Name)
		}
	})
	return nil
}

// sync deletes what is left in the namespace of that name; what goes away brings it back until nothing is left.
func (c *namespaces) sync(ctx context.Context, name string) error {
	ns, err := c.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if ns.DeletionTimestamp == nil || !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return nil
	}
	left := false
	for _, k := range c.inventory.kinds {
		if !k.namespaced {
			continue
		}
		list, err := c.resource(k, name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			left = true
			o := &list.Items[i]
			if o.DeletionTimestamp != nil {
				continue
			}
			c.trail.Acts.Inherit(o.UID, ns.UID)
			if err := c.delete(ctx, &item{k, o}, metav1.DeletePropagationBackground); err != nil {
				return err
			}
		}
	}
	if left {
		return nil
	}
	if err := c.client.CoreV1().Events(name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return err
	}
	ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	_, err = c.client.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
