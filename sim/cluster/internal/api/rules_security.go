package api

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validPodSecurity checks as whom a pod's containers run.
func validPodSecurity(s *corev1.PodSecurityContext, at *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := validIDs(at, nil, s.FSGroup, "fsGroup")
	errs = append(errs, validIDs(at, s.RunAsUser, s.RunAsGroup, "runAsGroup")...)
	for i, g := range s.SupplementalGroups {
		errs = append(errs, invalid(at.Child("supplementalGroups").Index(i), g, validation.IsValidGroupID(g))...)
	}
	if p := s.FSGroupChangePolicy; p != nil {
		errs = append(errs, supported(at.Child("fsGroupChangePolicy"), *p, corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	}
	return append(errs, validSeccomp(s.SeccompProfile, at.Child("seccompProfile"))...)
}

// validSecurity checks as whom a container runs.
func validSecurity(s *corev1.SecurityContext, at *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := validIDs(at, s.RunAsUser, s.RunAsGroup, "runAsGroup")
	errs = append(errs, validSeccomp(s.SeccompProfile, at.Child("seccompProfile"))...)
	if s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation && s.Privileged != nil && *s.Privileged {
		errs = append(errs, field.Invalid(at, s, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	return errs
}

func validIDs(at *field.Path, user, group *int64, groupField string) field.ErrorList {
	var errs field.ErrorList
	if user != nil {
		errs = append(errs, invalid(at.Child("runAsUser"), *user, validation.IsValidUserID(*user))...)
	}
	if group != nil {
		errs = append(errs, invalid(at.Child(groupField), *group, validation.IsValidGroupID(*group))...)
	}
	return errs
}

func validSeccomp(p *corev1.SeccompProfile, at *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	if p.Type == "" {
		return field.ErrorList{field.Required(at.Child("type"), "type is required when seccompProfile is set")}
	}
	errs := supported(at.Child("type"), p.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	switch local := p.Type == corev1.SeccompProfileTypeLocalhost; {
	case local && p.LocalhostProfile == nil:
		errs = append(errs, field.Required(at.Child("localhostProfile"), "must be set when seccomp type is Localhost"))
	case local:
		errs = append(errs, localPath(at.Child("localhostProfile"), *p.LocalhostProfile)...)
	case p.LocalhostProfile != nil:
		errs = append(errs, field.Invalid(at.Child("localhostProfile"), p, "can only be set when seccomp type is Localhost"))
	}
	return errs
}
