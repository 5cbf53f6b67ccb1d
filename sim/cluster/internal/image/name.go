package image

import (
	"fmt"

	"github.com/distribution/reference"
)

// Name is the name of an image in full: "nginx" is "docker.io/library/nginx:latest".
type Name struct{ ref reference.Named }

// Parse reads a name as a pod gives it. An error is a kubelet's own.
func Parse(s string) (Name, error) {
	ref, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Name{}, fmt.Errorf("couldn't parse image name %q: %w", s, err)
	}
	return Name{reference.TagNameOnly(ref)}, nil
}

// String gives the name in full.
func (n Name) String() string { return n.ref.String() }

// repository gives the name without tag and digest.
func (n Name) repository() string { return n.ref.Name() }

// host gives the registry's address.
func (n Name) host() string {
	if h := reference.Domain(n.ref); h != "docker.io" {
		return h
	}
	return "registry-1.docker.io" // what answers for docker.io
}

// path gives the repository's name in its registry.
func (n Name) path() string { return reference.Path(n.ref) }

// version gives the digest if the name has one, or its tag.
func (n Name) version() (version string, pinned bool) {
	if d, ok := n.ref.(reference.Digested); ok {
		return d.Digest().String(), true
	}
	if t, ok := n.ref.(reference.Tagged); ok {
		return t.Tag(), false
	}
	return "latest", false
}
