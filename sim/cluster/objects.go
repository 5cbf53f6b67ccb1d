package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/dpesim/dpesim/sim/cluster/internal/api"
)

// Objects gives all that the cluster holds as its viewer sees it, who may not see what Secrets hold: of those it gives the
// metadata, without annotations, where kubectl keeps what it applied. The key is the resource, "pods" or "deployments.apps", the
// value a list in YAML. What could not be read is missing; the error says what.
func (c *Cluster) Objects(ctx context.Context) (map[string][]byte, error) {
	return objects(ctx, c.api.RESTConfig(api.Viewer), c.api.RESTConfig(api.Operator))
}

// objects gives what viewer may see, and of what it may not see, and of Secrets, what operator sees of the metadata.
func objects(ctx context.Context, viewer, operator *rest.Config) (map[string][]byte, error) {
	asked, err := discovery.NewDiscoveryClientForConfig(viewer)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's objects: %w", err)
	}
	seen, err := dynamic.NewForConfig(viewer)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's objects: %w", err)
	}
	names, err := metadata.NewForConfig(operator)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's objects: %w", err)
	}
	lists, err := asked.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("read the cluster's objects: %w", err)
	}
	out, failed := map[string][]byte{}, map[string]error{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("read the cluster's objects: %w", err)
		}
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "list") {
				continue
			}
			resource := gv.WithResource(r.Name)
			text, err := listed(ctx, seen, names, resource)
			if err != nil {
				failed[resource.GroupResource().String()] = err
			} else if text != nil {
				out[resource.GroupResource().String()] = text
			}
		}
	}
	if len(failed) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(failed)))
		return out, fmt.Errorf("read the cluster's %s: %w", strings.Join(slices.Sorted(maps.Keys(failed)), ", "), failed[first])
	}
	return out, nil
}

// listed gives the objects of a resource in YAML; nil if there are none.
func listed(ctx context.Context, seen dynamic.Interface, names metadata.Interface, r schema.GroupVersionResource) ([]byte, error) {
	var all *unstructured.UnstructuredList
	err := error(apierrors.NewForbidden(r.GroupResource(), "", nil))
	if r.Resource != "secrets" {
		all, err = seen.Resource(r).List(ctx, metav1.ListOptions{})
	}
	if apierrors.IsForbidden(err) {
		hidden, err := names.Resource(r).List(ctx, metav1.ListOptions{})
		if err != nil || len(hidden.Items) == 0 {
			return nil, err
		}
		for i := range hidden.Items {
			hidden.Items[i].ManagedFields, hidden.Items[i].Annotations = nil, nil
		}
		return yaml.Marshal(hidden)
	}
	if err != nil || len(all.Items) == 0 {
		return nil, err
	}
	for i := range all.Items {
		all.Items[i].SetManagedFields(nil)
	}
	return yaml.Marshal(all.UnstructuredContent())
}
