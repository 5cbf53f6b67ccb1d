package kind

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/dpesim/dpesim/sim/cluster"
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
	left := map[types.UID]bool{}
	for _, n := range all.Items {
		if n.Name == metav1.NamespaceDefault || n.Name == "local-path-storage" || strings.HasPrefix(n.Name, "kube-") {
			continue
		}
		left[n.UID] = true
		if err := namespaces.Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete the namespace %s: %w", n.Name, err)
		}
	}
	return cluster.AwaitGone(ctx, "namespaces", namespaces, metav1.ListOptions{}, func(n metav1.Object) bool { return left[n.GetUID()] })
}
