package api

import (
	"fmt"
	"net/url"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// served lists the versions of the API that are served, in the order in which a client should see them.
func served() []schema.GroupVersion {
	return []schema.GroupVersion{
		corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion, authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion,
		autoscalingv2.SchemeGroupVersion, batchv1.SchemeGroupVersion, coordinationv1.SchemeGroupVersion,
		discoveryv1.SchemeGroupVersion, networkingv1.SchemeGroupVersion, policyv1.SchemeGroupVersion, rbacv1.SchemeGroupVersion, storagev1.SchemeGroupVersion,
	}
}

// types is what the server knows of Go types and their names on the wire.
type types struct {
	*runtime.Scheme
	codecs     serializer.CodecFactory
	parameters runtime.ParameterCodec
	public     *runtime.Scheme // without the internal versions: what documents may name
}

// newTypes registers every served type. The registry underneath works on internal versions and converts; here each type
// of k8s.io/api stands for its internal version too, so that there is nothing to convert.
func newTypes(resources []*resource) (*types, error) {
	t := &types{Scheme: runtime.NewScheme(), public: runtime.NewScheme()}
	for _, s := range []*runtime.Scheme{t.Scheme, t.public} {
		if err := addPublic(s); err != nil {
			return nil, err
		}
	}
	for _, gv := range append(served(), autoscalingv1.SchemeGroupVersion) {
		if err := addInternal(t.Scheme, gv); err != nil {
			return nil, err
		}
	}
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(t.Scheme, v1)
	t.AddUnversionedTypes(v1, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	t.codecs = serializer.NewCodecFactory(t.Scheme)
	t.parameters = runtime.NewParameterCodec(t.Scheme)
	if err := t.AddConversionFunc((*url.Values)(nil), (*corev1.PodLogOptions)(nil), logOptions); err != nil {
		return nil, err
	}
	for _, r := range resources {
		if err := t.AddFieldLabelConversionFunc(r.kind, r.fieldLabel); err != nil {
			return nil, err
		}
	}
	addDefaults(t.Scheme)
	return t, nil
}

func addPublic(s *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, authenticationv1.AddToScheme, authorizationv1.AddToScheme,
		autoscalingv2.AddToScheme, batchv1.AddToScheme, coordinationv1.AddToScheme, discoveryv1.AddToScheme,
		networkingv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme, storagev1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return fmt.Errorf("register types: %w", err)
		}
	}
	s.AddKnownTypes(autoscalingv1.SchemeGroupVersion, &autoscalingv1.Scale{}) // the /scale subresources speak v1
	metav1.AddToGroupVersion(s, autoscalingv1.SchemeGroupVersion)
	return nil
}

// addInternal lets the types of gv stand for the internal version of its group.
func addInternal(s *runtime.Scheme, gv schema.GroupVersion) error {
	internal := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	for kind := range s.KnownTypes(gv) {
		o, err := s.New(gv.WithKind(kind))
		if err != nil {
			return fmt.Errorf("register %s: %w", kind, err)
		}
		if unversioned, _ := s.IsUnversioned(o); unversioned || slices.Contains(metaKinds(), kind) {
			continue
		}
		s.AddKnownTypeWithName(internal.WithKind(kind), o)
	}
	if s.IsVersionRegistered(gv) && gv != autoscalingv1.SchemeGroupVersion {
		return s.SetVersionPriority(gv)
	}
	return nil
}

// metaKinds are in every version, of one Go type, and have no internal version.
func metaKinds() []string {
	return []string{
		"WatchEvent", "ListOptions", "GetOptions", "DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "ExportOptions", "Status",
	}
}

// fieldLabel says whether clients may select by a field of r: by its name and namespace, and by what its kind knows.
func (r *resource) fieldLabel(label, value string) (string, string, error) {
	own := len(r.selectable) > 0
	switch {
	case label == "metadata.name", label == "metadata.namespace" && (r.namespaced || !own), slices.Contains(r.selectable, label):
		return label, value, nil
	case r.kind.Kind == "Job":
		return "", "", fmt.Errorf("field label %q not supported for Job", label)
	case own:
		return "", "", fmt.Errorf("field label not supported: %s", label)
	}
	return runtime.DefaultMetaV1FieldSelectorConversion(label, value)
}
