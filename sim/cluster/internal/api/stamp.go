package api

import (
	"cmp"
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dpesim/dpesim/sim/clock"
)

// stamper replaces the times that the generic registry takes from the machine's clock by product time: when an object was
// created, when it is to be gone, and when a field manager last wrote.
type stamper struct{ clock *clock.Clock }

// now is product time as metadata holds it: whole seconds.
func (s stamper) now() metav1.Time { return metav1.NewTime(s.clock.Now().Truncate(time.Second)) }

// created stamps an object that is about to be stored for the first time.
func (s stamper) created(o runtime.Object) error {
	m, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	m.SetCreationTimestamp(s.now())
	s.managers(m, nil)
	return nil
}

// updated stamps next, which is about to replace prev. A nil prev means that next is new.
func (s stamper) updated(next, prev runtime.Object) error {
	if prev == nil {
		return s.created(next)
	}
	m, err := meta.Accessor(next)
	if err != nil {
		return err
	}
	old, err := meta.Accessor(prev)
	if err != nil {
		return err
	}
	s.deletion(m, old)
	s.managers(m, old.GetManagedFields())
	return nil
}

// unchanged tells whether next says nothing that cur does not. When a manager wrote is no change by itself.
func (s stamper) unchanged(next, cur runtime.Object) bool {
	m, err := meta.Accessor(next)
	old, err2 := meta.Accessor(cur)
	if err != nil || err2 != nil {
		return false
	}
	given, before := m.GetManagedFields(), old.GetManagedFields()
	if len(given) != len(before) {
		return false
	}
	timeless := slices.Clone(given)
	for i := range timeless {
		timeless[i].Time = before[i].Time
	}
	m.SetManagedFields(timeless)
	defer m.SetManagedFields(given)
	return apiequality.Semantic.DeepEqual(next, cur)
}

// deletion moves the deletion time, which the registry reckons from the machine's time, to product time plus grace. A
// grace period that is shortened counts from the first request, but ends no earlier than now.
func (s stamper) deletion(m, old metav1.Object) {
	if m.GetDeletionTimestamp() == nil {
		return
	}
	now, gone := s.now(), old.GetDeletionTimestamp()
	switch {
	case gone == nil:
		t := metav1.NewTime(now.Add(seconds(m.GetDeletionGracePeriodSeconds())))
		m.SetDeletionTimestamp(&t)
	case seconds(m.GetDeletionGracePeriodSeconds()) < seconds(old.GetDeletionGracePeriodSeconds()):
		asked := gone.Add(-seconds(old.GetDeletionGracePeriodSeconds()))
		t := metav1.NewTime(asked.Add(seconds(m.GetDeletionGracePeriodSeconds())))
		if t.Before(&now) {
			t = now
		}
		m.SetDeletionTimestamp(&t)
	default:
		m.SetDeletionTimestamp(gone)
	}
}

func seconds(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

// managers stamps the entries that are not among old with the same time: those are the ones just written.
func (s stamper) managers(m metav1.Object, old []metav1.ManagedFieldsEntry) {
	type id struct {
		manager, version, subresource string
		operation                     metav1.ManagedFieldsOperationType
	}
	of := func(e metav1.ManagedFieldsEntry) id { return id{e.Manager, e.APIVersion, e.Subresource, e.Operation} }
	before := map[id]*metav1.Time{}
	for _, e := range old {
		before[of(e)] = e.Time
	}
	fields := m.GetManagedFields()
	now := s.now()
	for i := range fields {
		if t, ok := before[of(fields[i])]; !ok || !t.Equal(fields[i].Time) {
			fields[i].Time = &now
		}
	}
	slices.SortStableFunc(fields, earlier)
	m.SetManagedFields(fields)
}

// earlier is the order of managed fields: as apimachinery's, which has sorted them by the machine's time.
func earlier(a, b metav1.ManagedFieldsEntry) int {
	at := func(e metav1.ManagedFieldsEntry) int64 {
		if e.Time == nil {
			return 0
		}
		return e.Time.Unix()
	}
	return cmp.Or(
		cmp.Compare(a.Operation, b.Operation), cmp.Compare(at(a), at(b)), cmp.Compare(a.Manager, b.Manager),
		cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Subresource, b.Subresource),
	)
}
