package objstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// What x-amz-content-sha256 says other than a digest.
const (
	unsignedPayload        = "UNSIGNED-PAYLOAD"
	streamingSigned        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrail   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrail = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// body is a request's body, decoded, that fails at its end if it is not what the request promised. So whoever reads it
// must not act before io.EOF.
type body struct {
	io.Closer
	in      io.Reader
	chunked *chunked // nil: not aws-chunked

	want   string    // SHA-256 in hex; "": not promised
	digest hash.Hash // nil if want is ""

	header   string    // canonical name of the checksum's header; "": none
	checksum hash.Hash // nil if header is ""
	value    string    // promised checksum; for one in a trailer known at the end only
}

// newBody checks what a request says of its body and takes its place: r.Body, r.ContentLength and the headers then
// describe the decoded body.
func newBody(r *http.Request, p proof) (*body, error) {
	b := &body{Closer: r.Body, in: r.Body}
	signed := true
	switch p.payload {
	case unsignedPayload:
		signed = false
	case streamingSigned, streamingSignedTrail:
		b.chunked = newChunked(r.Body, &chunkSigner{key: signingKey(p.key.SecretKey, p.authorization), date: p.time, scope: p.scope(), previous: p.signature},
			p.payload == streamingSignedTrail)
	case streamingUnsignedTrail:
		signed = false
		b.chunked = newChunked(r.Body, nil, true)
	default:
		if d, err := hex.DecodeString(p.payload); err != nil || len(d) != sha256.Size {
			return nil, newError(gofakes3.ErrInvalidArgument, "x-amz-content-sha256 must be the SHA-256 of the body in hexadecimal, %s, %s, %s or %s",
				unsignedPayload, streamingSigned, streamingSignedTrail, streamingUnsignedTrail)
		}
		b.want, b.digest = strings.ToLower(p.payload), sha256.New()
	}
	if !signed && r.TLS == nil && r.ContentLength != 0 {
		return nil, newError(codeInvalidRequest, "A body that is not signed is accepted over TLS only; send its digest in x-amz-content-sha256")
	}
	if b.chunked != nil {
		size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || size < 0 {
			return nil, newError(gofakes3.ErrMissingContentLength, "You must provide the x-amz-decoded-content-length header with an aws-chunked body")
		}
		b.in, r.ContentLength = b.chunked, size
		r.Header.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	if err := b.expectChecksum(r.Header); err != nil {
		return nil, err
	}
	r.Header.Del("X-Amz-Content-Sha256") // done with it here: gofakes3 would decode once more
	r.Body = b
	return b, nil
}

// expectChecksum finds the one checksum that a header carries or a trailer will.
func (b *body) expectChecksum(h http.Header) error {
	for name, v := range h {
		if !isChecksumHeader(name) {
			continue
		}
		if b.header != "" {
			return newError(codeInvalidRequest, "Expecting a single x-amz-checksum- header")
		}
		b.header, b.value = name, v[0]
	}
	if t := h.Get("X-Amz-Trailer"); t != "" {
		name := textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(t))
		if b.header != "" || b.chunked == nil || !b.chunked.trailed || !isChecksumHeader(name) {
			return newError(codeInvalidRequest, "x-amz-trailer must name one checksum that this server knows, with a body that has trailers: %s", t)
		}
		b.header = name
	}
	if b.header != "" {
		b.checksum = newChecksum(b.header)
	}
	return nil
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if b.digest != nil {
		_, _ = b.digest.Write(p[:n])
	}
	if b.checksum != nil {
		_, _ = b.checksum.Write(p[:n])
	}
	if errors.Is(err, io.EOF) {
		if e := b.verify(); e != nil {
			return n, e
		}
	}
	return n, err
}

func (b *body) verify() error {
	if b.digest != nil && hex.EncodeToString(b.digest.Sum(nil)) != b.want {
		return newError(codeContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	if b.checksum == nil {
		return nil
	}
	if b.chunked != nil && b.value == "" {
		b.value = b.chunked.trailer(strings.ToLower(b.header))
	}
	if encodeChecksum(b.checksum) != b.value {
		return newError(gofakes3.ErrBadDigest, "The %s you specified did not match the calculated checksum.", strings.ToLower(b.header))
	}
	return nil
}

// promised gives the checksum's header and value; of a trailer's once the body was read.
func (b *body) promised() (header, value string) { return b.header, b.value }
