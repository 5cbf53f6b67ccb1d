package controller

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What every namespace has: a service account, and the certificate of the API server for what runs there. Source:
// Kubernetes, "Configure Service Accounts for Pods", "Certificates and Certificate Signing Requests".
const (
	defaultAccount = "default"
	rootCA         = "kube-root-ca.crt"
	rootCAKey      = "ca.crt"
	describedKey   = "kubernetes.io/description"
	rootCAIs       = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)

// addServiceAccounts keeps them in each namespace that is not going.
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
		if err := unlessThere(err); err != nil {
			return err
		}
		return m.ensureRootCA(ctx, name)
	})
	if err := on(m.informers.Core().V1().Namespaces().Informer(), func(o metav1.Object) { l.add(o.GetName()) }); err != nil {
		return err
	}
	if err := on(m.informers.Core().V1().ConfigMaps().Informer(), func(o metav1.Object) {
		if o.GetName() == rootCA {
			l.add(o.GetNamespace())
		}
	}); err != nil {
		return err
	}
	return on(m.informers.Core().V1().ServiceAccounts().Informer(), func(o metav1.Object) {
		if o.GetName() == defaultAccount {
			l.add(o.GetNamespace())
		}
	})
}

// ensureRootCA keeps the API server's certificate in a namespace.
func (m *Manager) ensureRootCA(ctx context.Context, namespace string) error {
	want := map[string]string{rootCAKey: string(m.ca)}
	have, err := m.informers.Core().V1().ConfigMaps().Lister().ConfigMaps(namespace).Get(rootCA)
	switch {
	case apierrors.IsNotFound(err):
		_, err = m.client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: rootCA, Annotations: map[string]string{describedKey: rootCAIs}}, Data: want,
		}, metav1.CreateOptions{})
		return unlessThere(err)
	case err != nil || maps.Equal(have.Data, want):
		return err
	}
	next := have.DeepCopy()
	next.Data = want
	_, err = m.client.CoreV1().ConfigMaps(namespace).Update(ctx, next, metav1.UpdateOptions{})
	return err
}

// unlessThere forgives that an object is there already, or that its namespace is going.
func unlessThere(err error) error {
	if apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
