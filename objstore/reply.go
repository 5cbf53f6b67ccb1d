package objstore

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// maxError is how much of an error document is kept, in bytes: keys in it are at most 1 KiB.
const maxError = 16 << 10

// reply puts gofakes3's answers right: errors get their S3 status and request id, conditional reads are answered, the
// ETag of a multipart object is restored, CORS headers that nobody asked for go away.
type reply struct {
	http.ResponseWriter
	request    *http.Request
	id         string
	conditions http.Header // of the request; gofakes3 does not see them
	checksums  bool        // the client asked for them

	status  int                // 0: nothing was said yet
	failed  bool               // an error document is being kept
	swallow bool               // what comes is not for the client
	body    bytes.Buffer       // of the error
	code    gofakes3.ErrorCode // of the error that was sent
	message string
}

// WriteHeader sends the head, unless it is an error's: that waits for finish.
func (r *reply) WriteHeader(status int) {
	if r.status != 0 {
		r.swallow = true // gofakes3 found an error in mid-answer; the length is short, so the client will notice
		return
	}
	r.status = status
	h := r.Header()
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			h.Del(name)
		}
	}
	h.Set("Server", "dpesim")
	h.Set("X-Amz-Request-Id", r.id)
	h.Del("X-Amz-Id-2")
	if status >= http.StatusBadRequest {
		r.failed = true
		if r.request.Method == http.MethodHead {
			r.send(status)
		}
		return
	}
	if etag := h.Get(etagHeader); etag != "" {
		h.Set("ETag", `"`+etag+`"`)
		h.Del(etagHeader)
		if !r.checksums || status != http.StatusOK {
			for name := range h {
				if isChecksumHeader(name) {
					h.Del(name)
				}
			}
		}
		switch c := r.condition(h.Get("ETag"), h.Get("Last-Modified")); c {
		case http.StatusNotModified:
			h.Del("Content-Length")
			r.swallow, status = true, c
		case http.StatusPreconditionFailed:
			r.swallow = true
			r.fail(newError(gofakes3.ErrPreconditionFailed, "At least one of the preconditions you specified did not hold"))
			return
		}
	}
	r.send(status)
}

func (r *reply) send(status int) { r.ResponseWriter.WriteHeader(status) }

// condition evaluates the conditions of a read in the order of RFC 9110, section 13.2.2; 0 means go on.
func (r *reply) condition(etag, modified string) int {
	at, err := http.ParseTime(modified)
	since := func(name string) (time.Time, bool) {
		t, e := http.ParseTime(r.conditions.Get(name))
		return t, err == nil && e == nil
	}
	match := func(v string) bool {
		for tag := range strings.SplitSeq(v, ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || strings.Trim(tag, `"`) == strings.Trim(etag, `"`) {
				return true
			}
		}
		return false
	}
	if v := r.conditions.Get("If-Match"); v != "" {
		if !match(v) {
			return http.StatusPreconditionFailed
		}
	} else if t, ok := since("If-Unmodified-Since"); ok && at.After(t) {
		return http.StatusPreconditionFailed
	}
	if v := r.conditions.Get("If-None-Match"); v != "" {
		if match(v) {
			return http.StatusNotModified
		}
	} else if t, ok := since("If-Modified-Since"); ok && !at.After(t) {
		return http.StatusNotModified
	}
	return 0
}

// Write sends data, or keeps an error document.
func (r *reply) Write(p []byte) (int, error) {
	if r.status == 0 {
		if r.Header().Get("Content-Type") == "" && bytes.HasPrefix(p, []byte("<?xml")) {
			r.Header().Set("Content-Type", "application/xml")
		}
		r.WriteHeader(http.StatusOK)
	}
	switch {
	case r.swallow:
	case r.failed:
		if r.body.Len() < maxError {
			r.body.Write(p)
		}
	default:
		return r.ResponseWriter.Write(p)
	}
	return len(p), nil
}

// finish sends what is still owed.
func (r *reply) finish() {
	switch {
	case r.status == 0:
		r.WriteHeader(http.StatusOK)
	case r.failed && r.code == "" && r.request.Method != http.MethodHead:
		var e struct{ Code, Message string }
		if xml.Unmarshal(r.body.Bytes(), &e) != nil || e.Code == "" {
			e.Code, e.Message = string(codeInvalidRequest), http.StatusText(r.status) // gofakes3 gave a bare status
		}
		r.fail(newError(gofakes3.ErrorCode(e.Code), "%s", e.Message))
	}
}

// errorDocument is the body of every error. Source: Amazon S3 API Reference, "REST error responses".
type errorDocument struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string
	RequestID string `xml:"RequestId"`
}

// fail answers with an error. Nothing may have been sent before.
func (r *reply) fail(err error) {
	err = forClient(err)
	r.code, r.message, r.failed = codeOf(err), err.Error(), true
	if e, ok := err.(*gofakes3.ErrorResponse); ok { //nolint:errorlint // forClient gives the error itself
		r.message = e.Message
	}
	r.status = statusOf(r.code)
	out, _ := xml.Marshal(errorDocument{Code: string(r.code), Message: r.message, Resource: r.request.URL.Path, RequestID: r.id}) // strings only
	h := r.Header()
	for _, name := range []string{"ETag", "Last-Modified", "Content-Range", "Content-Length", "Accept-Ranges", "Content-Encoding"} {
		h.Del(name) // of the object that it is not
	}
	h.Set("Content-Type", "application/xml")
	h.Set("Server", "dpesim")
	h.Set("X-Amz-Request-Id", r.id)
	r.send(r.status)
	if r.request.Method != http.MethodHead {
		_, _ = r.ResponseWriter.Write(append([]byte(xml.Header), out...)) // the client has gone if this fails
	}
}
