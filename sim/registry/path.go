package registry

import (
	"net/http"
	"regexp"
	"strings"
)

// resource is what a path names.
type resource int

// The resources of OCI distribution specification 1.1, "Endpoints".
const (
	resourcePing resource = iota + 1
	resourceManifest
	resourceBlob
	resourceTags
	resourceReferrers
	resourceUploads // where an upload begins
	resourceUpload  // an upload that goes on
)

// route is a parsed path.
type route struct {
	resource
	repository string
	reference  string // of a manifest: tag or digest; of a blob or referrers: digest; of an upload: its id
}

// Forms of names. Source: OCI distribution specification 1.1, "Pulling manifests"; OCI image specification 1.1,
// "Digests", for the two registered algorithms.
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestPattern     = regexp.MustCompile(`^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
	uploadPattern     = regexp.MustCompile(`^[A-Z2-7]{26}$`) // crypto/rand.Text
)

// maxRepository is the longest name of a repository. Source: OCI distribution specification 1.1, "Pulling manifests":
// many clients limit host and name to 255 characters.
const maxRepository = 255

// parsePath reads the path of a request, decoded. It returns a problem with the code of what is wrong.
func parsePath(path string) (route, error) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case !ok && path != "/v2":
		return route{}, &problem{http.StatusNotFound, codeUnsupported, "this is an OCI registry: its paths begin with /v2/"}
	case rest == "":
		return route{resource: resourcePing}, nil
	}
	rt, ok := split(rest)
	switch {
	case !ok:
		return route{}, &problem{http.StatusNotFound, codeUnsupported, "the registry has no such resource"}
	case len(rt.repository) > maxRepository || !repositoryPattern.MatchString(rt.repository):
		return route{}, &problem{http.StatusBadRequest, codeNameInvalid, "invalid repository name"}
	}
	switch rt.resource {
	case resourceManifest:
		if strings.Contains(rt.reference, ":") {
			return rt, checkDigest(rt.reference)
		}
		return rt, checkTag(rt.reference)
	case resourceBlob, resourceReferrers:
		return rt, checkDigest(rt.reference)
	case resourceUpload:
		if !uploadPattern.MatchString(rt.reference) {
			return route{}, errUploadUnknown
		}
	case resourcePing, resourceTags, resourceUploads: // have no reference
	}
	return rt, nil
}

// split takes a path apart from its end: a repository's name may hold any of the words.
func split(path string) (route, bool) {
	if repository, ok := strings.CutSuffix(strings.TrimSuffix(path, "/"), "/blobs/uploads"); ok {
		return route{resource: resourceUploads, repository: repository}, true
	}
	if repository, ok := strings.CutSuffix(path, "/tags/list"); ok {
		return route{resource: resourceTags, repository: repository}, true
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return route{}, false
	}
	front, reference := path[:i], path[i+1:]
	for _, x := range []struct {
		suffix string
		resource
	}{
		{"/blobs/uploads", resourceUpload}, {"/blobs", resourceBlob}, {"/manifests", resourceManifest}, {"/referrers", resourceReferrers},
	} {
		if repository, ok := strings.CutSuffix(front, x.suffix); ok {
			return route{x.resource, repository, reference}, true
		}
	}
	return route{}, false
}

func checkDigest(d string) error {
	if !digestPattern.MatchString(d) {
		return &problem{http.StatusBadRequest, codeDigestInvalid, "invalid digest: it is sha256: with 64 or sha512: with 128 hexadecimal digits"}
	}
	return nil
}

func checkTag(tag string) error {
	if !tagPattern.MatchString(tag) {
		return &problem{http.StatusBadRequest, codeTagInvalid, "invalid tag"}
	}
	return nil
}
