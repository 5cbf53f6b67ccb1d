package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/dpesim/dpesim/sim"
)

// Client lists and watches objects of one kind, as client-go's typed clients do.
type Client[L runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// AwaitGone waits until no object is left that selected selects and awaited says yes to; kind is their kind's plural, as kubectl
// has it. Where that takes longer than ctx allows, it returns Unavailable with the names of those that are left.
func AwaitGone[L runtime.Object](ctx context.Context, kind string, of Client[L], selected metav1.ListOptions, awaited func(metav1.Object) bool) error {
	left := map[types.UID]string{}
	for {
		err := awaitGone(ctx, of, selected, awaited, left)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded) && len(left) > 0:
			return sim.Errorf(sim.Unavailable, "these %s are not gone yet: %s", kind, strings.Join(slices.Sorted(maps.Values(left)), ", ")).
				WithHelp("see what holds them: 'kubectl get %s NAME -o yaml', its finalizers and conditions", kind)
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("wait until %s are gone: %w", kind, err)
		case len(left) == 0:
			return nil
		}
	}
}

// awaitGone makes left what is there, and removes from it what goes, until nothing is left or the API server stops telling.
func awaitGone[L runtime.Object](ctx context.Context, of Client[L], o metav1.ListOptions, awaited func(metav1.Object) bool, left map[types.UID]string) error {
	list, err := of.List(ctx, o)
	if err != nil {
		return err
	}
	clear(left)
	note := func(x runtime.Object) error {
		m, err := meta.Accessor(x)
		if err == nil && awaited(m) {
			left[m.GetUID()] = m.GetName()
		}
		return err
	}
	if err := meta.EachListItem(list, note); err != nil || len(left) == 0 {
		return err
	}
	at, err := meta.ListAccessor(list)
	if err != nil {
		return err
	}
	o.ResourceVersion = at.GetResourceVersion()
	w, err := of.Watch(ctx, o)
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if m, ok := e.Object.(metav1.Object); ok && e.Type == watch.Deleted {
			delete(left, m.GetUID())
		}
		if len(left) == 0 {
			return nil
		}
	}
	return nil
}
