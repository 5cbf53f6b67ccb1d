package api

import (
	"encoding/json"
	"maps"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func secretRules() rules {
	fold := func(s *corev1.Secret) {
		if s.Data == nil && len(s.StringData) > 0 {
			s.Data = map[string][]byte{}
		}
		for k, v := range s.StringData {
			s.Data[k] = []byte(v)
		}
		s.StringData = nil // write-only
	}
	return rules{
		create: do(fold),
		update: func(o, old runtime.Object) {
			s, ok := o.(*corev1.Secret)
			was, same := old.(*corev1.Secret)
			if ok && same {
				fill(&s.Type, was.Type)
				fold(s)
			}
		},
		validate: on(validSecret),
		replace: on2(func(s, old *corev1.Secret) field.ErrorList {
			errs := fixed(field.NewPath("type"), s.Type, old.Type)
			if old.Immutable == nil || !*old.Immutable {
				return errs
			}
			if s.Immutable == nil || !*s.Immutable {
				errs = append(errs, field.Forbidden(field.NewPath("immutable"), sealed))
			}
			if !apiequality.Semantic.DeepEqual(s.Data, old.Data) {
				errs = append(errs, field.Forbidden(field.NewPath("data"), sealed))
			}
			return errs
		}),
	}
}

const sealed = "field is immutable when `immutable` is set"

func validSecret(s *corev1.Secret) field.ErrorList {
	at := field.NewPath("data")
	total := 0
	errs := validKeys(slices.Sorted(maps.Keys(s.Data)), at)
	for _, v := range s.Data {
		total += len(v)
	}
	if total > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(at, "", corev1.MaxSecretSize))
	}
	need := func(keys ...string) {
		for _, k := range keys {
			if _, ok := s.Data[k]; !ok {
				errs = append(errs, field.Required(at.Key(k), ""))
			}
		}
	}
	docker := func(key string) {
		need(key)
		if v, ok := s.Data[key]; ok && !json.Valid(v) {
			errs = append(errs, field.Invalid(at.Key(key), "<secret contents redacted>", "invalid character in JSON"))
		}
	}
	switch s.Type {
	case corev1.SecretTypeDockerConfigJson:
		docker(corev1.DockerConfigJsonKey)
	case corev1.SecretTypeDockercfg:
		docker(corev1.DockerConfigKey)
	case corev1.SecretTypeTLS:
		need(corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	case corev1.SecretTypeSSHAuth:
		need(corev1.SSHAuthPrivateKey)
	case corev1.SecretTypeOpaque, corev1.SecretTypeServiceAccountToken, corev1.SecretTypeBasicAuth, corev1.SecretTypeBootstrapToken: // any keys will do
	}
	return errs
}

// validKeys checks the keys of a secret or a config map: they become file names.
func validKeys(keys []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, k := range keys {
		for _, msg := range validation.IsConfigMapKey(k) {
			errs = append(errs, field.Invalid(at.Key(k), k, msg))
		}
	}
	return errs
}

func configMapRules() rules {
	return rules{
		validate: on(func(c *corev1.ConfigMap) field.ErrorList {
			errs := validKeys(slices.Sorted(maps.Keys(c.Data)), field.NewPath("data"))
			total := 0
			for _, v := range c.Data {
				total += len(v)
			}
			for _, k := range slices.Sorted(maps.Keys(c.BinaryData)) {
				total += len(c.BinaryData[k])
				if _, twice := c.Data[k]; twice {
					errs = append(errs, field.Invalid(field.NewPath("data").Key(k), k, "duplicate of key present in binaryData"))
				}
			}
			errs = append(errs, validKeys(slices.Sorted(maps.Keys(c.BinaryData)), field.NewPath("binaryData"))...)
			if total > corev1.MaxSecretSize {
				errs = append(errs, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
			}
			return errs
		}),
		replace: on2(func(c, old *corev1.ConfigMap) field.ErrorList {
			if old.Immutable == nil || !*old.Immutable {
				return nil
			}
			var errs field.ErrorList
			if c.Immutable == nil || !*c.Immutable {
				errs = append(errs, field.Forbidden(field.NewPath("immutable"), sealed))
			}
			if !apiequality.Semantic.DeepEqual(c.Data, old.Data) {
				errs = append(errs, field.Forbidden(field.NewPath("data"), sealed))
			}
			if !apiequality.Semantic.DeepEqual(c.BinaryData, old.BinaryData) {
				errs = append(errs, field.Forbidden(field.NewPath("binaryData"), sealed))
			}
			return errs
		}),
	}
}

func claimRules() rules {
	return rules{
		create: do(func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimPending }),
		validate: on(func(c *corev1.PersistentVolumeClaim) field.ErrorList {
			at := field.NewPath("spec")
			errs := validAccessModes(c.Spec.AccessModes, at.Child("accessModes"))
			at = at.Child("resources").Key(string(corev1.ResourceStorage))
			q, said := c.Spec.Resources.Requests[corev1.ResourceStorage]
			switch {
			case !said:
				errs = append(errs, field.Required(at, ""))
			case q.Sign() <= 0:
				errs = append(errs, field.Invalid(at, q.String(), "must be greater than zero"))
			}
			return errs
		}),
		replace: on2(func(c, old *corev1.PersistentVolumeClaim) field.ErrorList {
			now, was := c.Spec.DeepCopy(), old.Spec.DeepCopy()
			now.Resources.Requests, was.Resources.Requests = nil, nil
			if was.VolumeName == "" {
				now.VolumeName = "" // bound by the volume controller
			}
			if was.StorageClassName == nil {
				now.StorageClassName = nil // chosen by the volume controller
			}
			if apiequality.Semantic.DeepEqual(now, was) {
				return nil
			}
			return field.ErrorList{field.Forbidden(field.NewPath("spec"),
				"spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")}
		}),
	}
}

func validAccessModes(modes []corev1.PersistentVolumeAccessMode, at *field.Path) field.ErrorList {
	if len(modes) == 0 {
		return field.ErrorList{field.Required(at, "at least 1 access mode is required")}
	}
	var errs field.ErrorList
	for _, m := range modes {
		errs = append(errs, oneOf(at, m, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)...)
	}
	return errs
}

func volumeRules() rules {
	return rules{
		create: do(func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumePending }),
		validate: on(func(v *corev1.PersistentVolume) field.ErrorList {
			at := field.NewPath("spec")
			errs := validAccessModes(v.Spec.AccessModes, at.Child("accessModes"))
			if len(v.Spec.Capacity) == 0 {
				errs = append(errs, field.Required(at.Child("capacity"), ""))
			}
			switch n := pointers(v.Spec.PersistentVolumeSource); {
			case n == 0:
				errs = append(errs, field.Required(at, "must specify a volume type"))
			case n > 1:
				errs = append(errs, field.Forbidden(at, "may not specify more than 1 volume type"))
			}
			return errs
		}),
		replace: on2(func(v, old *corev1.PersistentVolume) field.ErrorList {
			if apiequality.Semantic.DeepEqual(v.Spec.PersistentVolumeSource, old.Spec.PersistentVolumeSource) {
				return nil
			}
			return field.ErrorList{field.Forbidden(field.NewPath("spec", "persistentvolumesource"), "spec.persistentvolumesource is immutable after creation")}
		}),
	}
}

func eventRules() rules {
	return rules{validate: on(func(e *corev1.Event) field.ErrorList {
		in := e.InvolvedObject.Namespace
		if e.Namespace == in || in == "" && e.Namespace == corev1.NamespaceDefault {
			return nil
		}
		return field.ErrorList{field.Invalid(field.NewPath("involvedObject", "namespace"), in, "does not match event.namespace")}
	})}
}

func leaseRules() rules {
	return rules{validate: on(func(l *coordinationv1.Lease) field.ErrorList {
		at := field.NewPath("spec")
		errs := atLeast(at.Child("leaseDurationSeconds"), l.Spec.LeaseDurationSeconds, 1, "must be greater than 0")
		return append(errs, atLeast(at.Child("leaseTransitions"), l.Spec.LeaseTransitions, 0, notNegative)...)
	})}
}

func networkPolicyRules() rules {
	return rules{validate: on(func(p *networkingv1.NetworkPolicy) field.ErrorList {
		at := field.NewPath("spec")
		errs := metav1validation.ValidateLabelSelector(&p.Spec.PodSelector, metav1validation.LabelSelectorValidationOptions{}, at.Child("podSelector"))
		for i, t := range p.Spec.PolicyTypes {
			errs = append(errs, oneOf(at.Child("policyTypes").Index(i), t, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)...)
		}
		for i, e := range p.Spec.Egress {
			errs = append(errs, validPolicyPorts(e.Ports, at.Child("egress").Index(i).Child("ports"))...)
			errs = append(errs, validPeers(e.To, at.Child("egress").Index(i).Child("to"))...)
		}
		for i, e := range p.Spec.Ingress {
			errs = append(errs, validPolicyPorts(e.Ports, at.Child("ingress").Index(i).Child("ports"))...)
			errs = append(errs, validPeers(e.From, at.Child("ingress").Index(i).Child("from"))...)
		}
		return errs
	})}
}

func validPolicyPorts(ports []networkingv1.NetworkPolicyPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range ports {
		if p.Port != nil {
			errs = append(errs, portOrName(at.Index(i).Child("port"), *p.Port)...)
		}
	}
	return errs
}

func validPeers(peers []networkingv1.NetworkPolicyPeer, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range peers {
		at := at.Index(i)
		switch {
		case p.IPBlock == nil && p.PodSelector == nil && p.NamespaceSelector == nil:
			errs = append(errs, field.Required(at, "must specify a peer"))
		case p.IPBlock != nil && (p.PodSelector != nil || p.NamespaceSelector != nil):
			errs = append(errs, field.Forbidden(at, "may not specify both ipBlock and another peer"))
		case p.IPBlock != nil:
			errs = append(errs, validation.IsValidCIDR(at.Child("ipBlock", "cidr"), p.IPBlock.CIDR)...)
		}
	}
	return errs
}

func classRules() rules {
	return rules{
		validate: on(func(c *storagev1.StorageClass) field.ErrorList {
			if c.Provisioner == "" {
				return field.ErrorList{field.Required(field.NewPath("provisioner"), "")}
			}
			return nil
		}),
		replace: on2(func(c, old *storagev1.StorageClass) field.ErrorList {
			var errs field.ErrorList
			if !apiequality.Semantic.DeepEqual(c.Parameters, old.Parameters) {
				errs = append(errs, field.Forbidden(field.NewPath("parameters"), "updates to parameters are forbidden."))
			}
			if c.Provisioner != old.Provisioner {
				errs = append(errs, field.Forbidden(field.NewPath("provisioner"), "updates to provisioner are forbidden."))
			}
			return append(errs, apivalidation.ValidateImmutableField(c.VolumeBindingMode, old.VolumeBindingMode, field.NewPath("volumeBindingMode"))...)
		}),
	}
}
