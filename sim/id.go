package sim

import (
	"regexp"
	"strings"
)

// EnvironmentID names an environment in URLs and host names: a DNS-1123 label made from the name at creation.
type EnvironmentID string

// Label names a self-managed DPE in its environment. It is derived from the name typed at Add DPE, is unique in the
// environment and never changes (seed, "Name and label").
type Label string

// ReplicaID names one running replica of a DPE: the pod's name on a cluster.
type ReplicaID string

// JobID names a job of an environment.
type JobID string

// KeyID is the SHA-256 fingerprint of a component's public key (RFC 7638 thumbprint, base64url without padding).
type KeyID string

// maxLabel leaves room for what Helm and Kubernetes append to a release name ("-5d8f9c7b6d-x2x4z") inside 63 characters,
// and for Helm's own limit of 53 on release names.
const maxLabel = 40

var labelPattern = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

// Slug derives a DNS-1123 label from a name that a person typed: lower case, every run of other characters one hyphen,
// a leading digit prefixed. An unusable name gives "". How the product derives labels is not public: this is our choice
// (product-facts, section 2).
func Slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		default:
			if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
				b.WriteByte('-')
			}
		}
	}
	s := strings.Trim(b.String(), "-")
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		s = "n" + s
	}
	if len(s) > maxLabel {
		s = strings.TrimRight(s[:maxLabel], "-")
	}
	return s
}

// LabelFromName derives the label of a DPE from its name. It returns Invalid if no label can be made of it.
func LabelFromName(name string) (Label, error) {
	s := Slug(name)
	if s == "" {
		return "", Errorf(Invalid, "no label can be derived from the name %q", name).
			WithHelp("use a name with at least one letter a-z or digit, for example \"Finance warehouse\"")
	}
	return Label(s), nil
}

// EnvironmentIDFromName derives an environment's id from its name. It returns Invalid if no id can be made of it.
func EnvironmentIDFromName(name string) (EnvironmentID, error) {
	s := Slug(name)
	if s == "" {
		return "", Errorf(Invalid, "no host name can be derived from the environment name %q", name).
			WithHelp("use a name with at least one letter a-z or digit, for example \"Acme production\"")
	}
	return EnvironmentID(s), nil
}

// Valid tells whether l is a DNS-1123 label that starts with a letter and leaves room for Kubernetes' suffixes.
func (l Label) Valid() bool { return len(l) <= maxLabel && labelPattern.MatchString(string(l)) }

// Valid tells whether id can stand in a host name.
func (id EnvironmentID) Valid() bool {
	return len(id) <= maxLabel && labelPattern.MatchString(string(id))
}
