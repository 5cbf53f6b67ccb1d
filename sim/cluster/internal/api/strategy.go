package api

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/conceal"
	"github.com/dpesim/dpesim/sim/draw"
)

// strategy is how the generic registry writes one resource: what holds for all kinds (a main endpoint that leaves the
// status alone, a status endpoint that leaves the rest alone, generations), and then the kind's own rules.
type strategy struct {
	runtime.ObjectTyper
	r       *resource
	draw    *draw.Source
	conceal *conceal.Set
	stamp   stamper
	status  bool // of the /status endpoint
}

var (
	_ rest.RESTCreateStrategy = strategy{}
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// GenerateName completes a generateName. The longest name that Kubernetes generates has 63 characters.
func (s strategy) GenerateName(base string) string {
	const most, suffix = 63, 5
	return base[:min(len(base), most-suffix)] + s.draw.ID("cluster/api/name", suffix)
}

// NamespaceScoped tells whether objects live in namespaces.
func (s strategy) NamespaceScoped() bool { return s.r.namespaced }

// AllowCreateOnUpdate forbids to create by PUT, except for leases and events as in Kubernetes.
func (s strategy) AllowCreateOnUpdate(context.Context) bool { return s.r.volatile }

// AllowUnconditionalUpdate lets a PUT without a resource version win.
func (s strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// Canonicalize has nothing to do.
func (s strategy) Canonicalize(runtime.Object) {}

// WarningsOnCreate warns of nothing.
func (s strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate warns of nothing.
func (s strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// PrepareForCreate completes an object that is about to be created.
func (s strategy) PrepareForCreate(_ context.Context, o runtime.Object) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetCreationTimestamp(s.stamp.now())
		if s.r.has("Spec") && s.r.plural != "nodes" && s.r.plural != "namespaces" && s.r.plural != "services" {
			m.SetGeneration(1)
		}
	}
	if v, ok := part(o, "Status"); ok && s.r.plural != "nodes" { // a node says what it has when it registers
		v.SetZero()
	}
	if s.r.create != nil {
		s.r.create(o)
	}
	s.note(o)
}

// note tells of what a Secret holds.
func (s strategy) note(o runtime.Object) {
	if secret, ok := o.(*corev1.Secret); ok {
		for _, value := range secret.Data {
			s.conceal.Note(sim.Secret(value))
		}
	}
}

// PrepareForUpdate completes an object that is about to replace old.
func (s strategy) PrepareForUpdate(_ context.Context, o, old runtime.Object) {
	if s.status {
		keepAllButStatus(o, old)
		return
	}
	if v, ok := part(o, "Status"); ok {
		was, _ := part(old, "Status")
		v.Set(was)
	}
	if s.r.update != nil {
		s.r.update(o, old)
	}
	s.note(o)
	spec, ok := part(o, "Spec")
	was, _ := part(old, "Spec")
	m, err := meta.Accessor(o)
	if ok && err == nil && m.GetGeneration() > 0 && !apiequality.Semantic.DeepEqual(spec.Interface(), was.Interface()) {
		m.SetGeneration(m.GetGeneration() + 1)
	}
}

// keepAllButStatus puts back what the /status endpoint does not write. Annotations and managed fields follow the request,
// as in Kubernetes; nodes take labels there too.
func keepAllButStatus(o, old runtime.Object) {
	if v, ok := part(o, "Spec"); ok {
		was, _ := part(old, "Spec")
		v.Set(was)
	}
	m, err := meta.Accessor(o)
	w, err2 := meta.Accessor(old)
	if err != nil || err2 != nil {
		return // not an API object: the registry refuses it
	}
	m.SetDeletionTimestamp(w.GetDeletionTimestamp())
	m.SetDeletionGracePeriodSeconds(w.GetDeletionGracePeriodSeconds())
	m.SetGeneration(w.GetGeneration())
	m.SetLabels(w.GetLabels())
	m.SetFinalizers(w.GetFinalizers())
	m.SetOwnerReferences(w.GetOwnerReferences())
}

// Validate checks an object that is about to be created.
func (s strategy) Validate(_ context.Context, o runtime.Object) field.ErrorList {
	m, err := meta.Accessor(o)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	name := s.r.name
	if name == nil {
		name = apivalidation.NameIsDNSSubdomain
	}
	errs := apivalidation.ValidateObjectMetaAccessor(m, s.r.namespaced, apivalidation.ValidateNameFunc(name), field.NewPath("metadata"))
	return append(errs, s.own(o)...)
}

func (s strategy) own(o runtime.Object) field.ErrorList {
	if s.r.validate == nil {
		return nil
	}
	return s.r.validate(o)
}

// ValidateUpdate checks an object that is about to replace old.
func (s strategy) ValidateUpdate(_ context.Context, o, old runtime.Object) field.ErrorList {
	if s.status {
		return nil
	}
	errs := s.own(o)
	if s.r.replace != nil {
		errs = append(errs, s.r.replace(o, old)...)
	}
	return errs
}

// GetResetFields tells server-side apply what an endpoint does not write, so that nobody comes to own it there.
func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if !s.r.has("Status") {
		return nil
	}
	reset := fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
	if s.status {
		reset = fieldpath.NewSet(fieldpath.MakePathOrDie("spec"))
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(s.r.kind.GroupVersion().String()): reset}
}

// graceful is the strategy of kinds that take leave: pods.
type graceful struct{ strategy }

var _ rest.RESTGracefulDeleteStrategy = graceful{}

// CheckGracefulDelete sets how long a deletion takes.
func (g graceful) CheckGracefulDelete(_ context.Context, o runtime.Object, opts *metav1.DeleteOptions) bool {
	if opts == nil {
		return false
	}
	opts.GracePeriodSeconds = g.r.grace(o, opts.GracePeriodSeconds)
	return opts.GracePeriodSeconds != nil
}
