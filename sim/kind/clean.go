package kind

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/dpesim/dpesim/sim"
)

// Clean removes every namespace that the cluster does not have from the beginning, and waits until they are gone: what one
// rehearsal left must not be there for the next.
func (c *Cluster) Clean(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("open a client: %w", err)
	}
	namespaces := client.CoreV1().Namespaces()
	all, err := namespaces.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	w, err := namespaces.Watch(ctx, metav1.ListOptions{ResourceVersion: all.ResourceVersion})
	if err != nil {
		return fmt.Errorf("watch namespaces: %w", err)
	}
	defer w.Stop()
	left := map[string]bool{}
	for _, n := range all.Items {
		if n.Name == metav1.NamespaceDefault || n.Name == "local-path-storage" || strings.HasPrefix(n.Name, "kube-") {
			continue
		}
		left[n.Name] = true
		if err := namespaces.Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete the namespace %s: %w", n.Name, err)
		}
	}
	for len(left) > 0 {
		e, ok := <-w.ResultChan()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !ok {
			return sim.Errorf(sim.Unavailable, "the API server stopped telling of namespaces while %d were being deleted", len(left)).WithHelp("try again")
		}
		if n, ok := e.Object.(metav1.Object); ok && e.Type == "DELETED" {
			delete(left, n.GetName())
		}
	}
	return nil
}
