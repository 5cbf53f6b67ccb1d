package objstore

import (
	"net/http"
	"slices"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// operation is what a request asks for, as far as policy and refusals need to know. It splits the path as gofakes3 does.
type operation struct {
	method, bucket, key string
	query               map[string]bool // parameters, in lower case
	copies              bool            // the source is another object, not the body
}

func operationOf(r *http.Request) operation {
	o := operation{method: r.Method, query: map[string]bool{}, copies: r.Header.Get("X-Amz-Copy-Source") != ""}
	o.bucket, o.key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	for name := range r.URL.Query() {
		o.query[strings.ToLower(name)] = true
	}
	return o
}

func (o operation) reads() bool { return o.method == http.MethodGet || o.method == http.MethodHead }

// readsObject tells whether the answer is an object, whole, in part or its head.
func (o operation) readsObject() bool { return o.reads() && o.key != "" && !o.query["uploadid"] }

// putsBytes tells whether the body becomes an object or a part of one: only then it may be large.
func (o operation) putsBytes() bool { return o.method == http.MethodPut && o.key != "" && !o.copies }

// allowed applies the policy that [Credential] describes.
func (o operation) allowed(c Credential) error {
	switch {
	case o.reads():
		return nil
	case c.ReadOnly:
		return newError(codeAccessDenied, "Access Denied: access key %s may only read", c.AccessKey)
	case c.Label == "":
		return nil
	case o.bucket == ResultsBucket && (o.key != "" || o.method == http.MethodPost && o.query["delete"]):
		return nil
	}
	return newError(codeAccessDenied, "Access Denied: access key %s of DPE %s may write objects in bucket %s only", c.AccessKey, c.Label, ResultsBucket)
}

// known is what this server heeds: query parameters and x-amz headers, in lower case. Anything else would be accepted and
// ignored, or worse: gofakes3 takes PUT of an object's ?tagging for a PUT of the object.
func knownQuery(name string) bool {
	switch name {
	case "uploads", "uploadid", "partnumber", "versioning", "location", "delete", // what to do
		"list-type", "prefix", "delimiter", "marker", "max-keys", "continuation-token", "start-after", "fetch-owner",
		"encoding-type", // optional for a server: it says in its answer whether it encoded (this one does not)
		"key-marker", "upload-id-marker", "max-uploads", "max-parts", "part-number-marker",
		"x-id", // the SDKs' note on what they call
		"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
		"x-amz-content-sha256", "x-amz-checksum-mode", "x-amz-sdk-checksum-algorithm", "x-amz-user-agent":
		return true
	}
	return strings.HasPrefix(name, "response-")
}

func knownHeader(name, value string) bool {
	switch name {
	case "x-amz-date", "x-amz-content-sha256", "x-amz-user-agent", "x-amz-decoded-content-length", "x-amz-trailer",
		"x-amz-copy-source", "x-amz-metadata-directive", "x-amz-checksum-mode", "x-amz-sdk-checksum-algorithm",
		"x-amz-checksum-algorithm", "x-amz-checksum-type": // the last two announce the checksums of parts, which are verified
		return true
	case "x-amz-acl":
		return value == "private" || value == "bucket-owner-full-control" // what it is anyway
	case "x-amz-storage-class":
		return value == string(gofakes3.StorageStandard)
	}
	return strings.HasPrefix(name, "x-amz-meta-") || isChecksumHeader(http.CanonicalHeaderKey(name))
}

// conditions are the headers that make a request conditional.
func conditions() []string {
	return []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}
}

// implemented refuses what would otherwise be ignored.
func (o operation) implemented(h http.Header) error {
	for name := range o.query {
		if !knownQuery(name) {
			return newError(gofakes3.ErrNotImplemented, "The query parameter %q is not implemented here", name)
		}
	}
	for name, v := range h {
		if l := strings.ToLower(name); strings.HasPrefix(l, "x-amz-") && !knownHeader(l, v[0]) {
			return newError(gofakes3.ErrNotImplemented, "The header %s: %s is not implemented here", l, v[0])
		}
	}
	conditional := slices.ContainsFunc(conditions(), func(c string) bool { return h.Get(c) != "" })
	switch {
	case conditional && !o.readsObject() && !(o.putsBytes() && !o.query["uploadid"]):
		return newError(gofakes3.ErrNotImplemented, "Conditions are implemented for reading and putting an object only")
	case conditional && o.putsBytes() && (h.Get("If-Modified-Since") != "" || h.Get("If-Unmodified-Since") != ""):
		return newError(gofakes3.ErrNotImplemented, "A put takes If-Match and If-None-Match only")
	case o.copies && o.query["uploadid"]:
		return newError(gofakes3.ErrNotImplemented, "UploadPartCopy is not implemented here; upload the bytes")
	case o.query["partnumber"] && !o.query["uploadid"]:
		return newError(gofakes3.ErrNotImplemented, "Reading an object by part number is not implemented here; use Range")
	case o.query["partnumber"] && o.method != http.MethodPut:
		return newError(gofakes3.ErrNotImplemented, "partNumber belongs to UploadPart")
	case o.method == http.MethodPost && o.key == "" && !o.query["delete"]:
		return newError(gofakes3.ErrNotImplemented, "Uploads by HTML form are not implemented here")
	case o.method == http.MethodPost && o.key != "" && o.query["uploadid"] && slices.ContainsFunc(headerNames(h), isChecksumHeader):
		return newError(gofakes3.ErrNotImplemented, "A checksum of the whole of a multipart upload is not implemented here; each part's is")
	}
	return nil
}

func headerNames(h http.Header) []string {
	out := make([]string, 0, len(h))
	for name := range h {
		out = append(out, name)
	}
	return out
}
