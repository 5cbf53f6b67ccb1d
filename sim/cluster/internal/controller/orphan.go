package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// addPodCollector deletes pods that no node agent will ever delete: bound to a node that is gone, or on their way out
// without having been bound.
func (m *Manager) addPodCollector() error {
	l := m.loop("pod-garbage-collector", m.collectPod)
	pods := m.informers.Core().V1().Pods()
	if err := on(pods.Informer(), func(o metav1.Object) { l.add(keyOf(o)) }); err != nil {
		return err
	}
	return on(m.informers.Core().V1().Nodes().Informer(), func(metav1.Object) {
		for _, o := range pods.Informer().GetStore().List() {
			if p, ok := o.(*corev1.Pod); ok && p.Spec.NodeName != "" {
				l.add(keyOf(p))
			}
		}
	})
}

func (m *Manager) collectPod(ctx context.Context, key string) error {
	name, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	seen, err := m.informers.Core().V1().Pods().Lister().Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if seen.Spec.NodeName == "" {
		if seen.DeletionTimestamp == nil {
			return nil
		}
	} else if _, err := m.informers.Core().V1().Nodes().Lister().Get(seen.Spec.NodeName); err == nil {
		return nil
	} else if _, err := m.client.CoreV1().Nodes().Get(ctx, seen.Spec.NodeName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	now := int64(0)
	opts := metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(seen.UID))}
	if seen.Spec.NodeName == "" {
		opts.Preconditions.ResourceVersion = &seen.ResourceVersion // it may be bound at this moment
	}
	err = m.client.CoreV1().Pods(name.Namespace).Delete(ctx, name.Name, opts)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
