package api

import (
	"encoding/json"
	"maps"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
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
		v, ok := s.Data[key]
		if err := json.Unmarshal(v, &map[string]any{}); ok && err != nil {
			errs = append(errs, field.Invalid(at.Key(key), "<secret contents redacted>", err.Error()))
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
	case corev1.SecretTypeBasicAuth:
		_, name := s.Data[corev1.BasicAuthUsernameKey]
		_, password := s.Data[corev1.BasicAuthPasswordKey]
		if !name && !password {
			need(corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeOpaque, corev1.SecretTypeBootstrapToken: // any keys will do
	}
	return errs
}

// validKeys checks the keys of a secret or a config map: they become file names.
func validKeys(keys []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, k := range keys {
		errs = append(errs, invalid(at.Key(k), k, validation.IsConfigMapKey(k))...)
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
