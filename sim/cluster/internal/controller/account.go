package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultAccount is the service account that every namespace has.
const defaultAccount = "default"

// addServiceAccounts keeps the default service account in each namespace that is not going.
func (m *Manager) addServiceAccounts() error {
	namespaces := m.informers.Core().V1().Namespaces().Lister()
	l := m.loop("serviceaccount", func(ctx context.Context, name string) error {
		ns, err := namespaces.Get(name)
		if apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = m.client.CoreV1().ServiceAccounts(name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: defaultAccount}}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		}
		return err
	})
	if err := on(m.informers.Core().V1().Namespaces().Informer(), func(o metav1.Object) { l.add(o.GetName()) }); err != nil {
		return err
	}
	return on(m.informers.Core().V1().ServiceAccounts().Informer(), func(o metav1.Object) {
		if o.GetName() == defaultAccount {
			l.add(o.GetNamespace())
		}
	})
}
