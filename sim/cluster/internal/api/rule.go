package api

import (
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Kubernetes' own words, where several kinds use them.
const (
	notNegative = apivalidation.IsNegativeErrorMsg
	positive    = "must be greater than zero"
	immutable   = apivalidation.FieldImmutableErrorMsg
)

// invalid gives an error for each thing that is wrong with v.
func invalid(at *field.Path, v any, msgs []string) field.ErrorList {
	var errs field.ErrorList
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(at, v, msg))
	}
	return errs
}

// oneOf checks that v is among the values that are supported. None at all is required, not unsupported.
func oneOf[T ~string](at *field.Path, v T, values ...T) field.ErrorList {
	if v == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return supported(at, v, values...)
}

// supported checks that v, which may be empty, is among the values that are supported.
func supported[T ~string](at *field.Path, v T, values ...T) field.ErrorList {
	if slices.Contains(values, v) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, v, values)}
}

// label checks a DNS label.
func label(at *field.Path, v string) field.ErrorList {
	return invalid(at, v, validation.IsDNS1123Label(v))
}

// subdomain checks a DNS subdomain.
func subdomain(at *field.Path, v string) field.ErrorList {
	return invalid(at, v, validation.IsDNS1123Subdomain(v))
}

// validLabels checks a map of labels.
func validLabels(m map[string]string, at *field.Path) field.ErrorList {
	return metav1validation.ValidateLabels(m, at)
}

// atLeast checks a number that may be left out.
func atLeast[N int32 | int64](at *field.Path, n *N, least N, words string) field.ErrorList {
	if n == nil || *n >= least {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *n, words)}
}

// fixed checks that a field is what it was.
func fixed(at *field.Path, now, was any) field.ErrorList {
	if apiequality.Semantic.DeepEqual(now, was) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, now, immutable)}
}
