package registry

import (
	"encoding/json"
	"net/http"
)

// Codes of the error document. Source: OCI distribution specification 1.1, "Error codes"; those after the blank line are
// of the distribution registry, which the specification leaves room for.
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeDenied              = "DENIED"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codeBlobUploadInvalid   = "BLOB_UPLOAD_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeSizeInvalid         = "SIZE_INVALID"
	codeTooManyRequests     = "TOOMANYREQUESTS"
	codeUnauthorized        = "UNAUTHORIZED"
	codeUnsupported         = "UNSUPPORTED"
	codeBlobUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"

	codePagination  = "PAGINATION_NUMBER_INVALID"
	codeTagInvalid  = "TAG_INVALID"
	codeUnavailable = "UNAVAILABLE"
	codeUnknown     = "UNKNOWN"
)

// problem is an error that a client is told.
type problem struct {
	status  int
	code    string
	message string
}

// Error gives the message.
func (p *problem) Error() string { return p.message }

// Problems that need no more words.
var (
	errNameUnknown     = &problem{http.StatusNotFound, codeNameUnknown, "repository name not known to registry"}
	errManifestUnknown = &problem{http.StatusNotFound, codeManifestUnknown, "manifest unknown"}
	errBlobUnknown     = &problem{http.StatusNotFound, codeBlobUnknown, "blob unknown to registry"}
	errMethod          = &problem{http.StatusMethodNotAllowed, codeUnsupported, "the operation is unsupported"}
	errUploadUnknown   = &problem{http.StatusNotFound, codeBlobUploadUnknown, "blob upload unknown to registry"}
)

// refuse answers with the error document.
func (p *problem) refuse(w http.ResponseWriter) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(map[string][]item{"errors": {{p.code, p.message}}}) // the client has gone if this fails
}
