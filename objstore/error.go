package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/johannesboyne/gofakes3"

	"github.com/dpesim/dpesim/sim"
)

// Codes of S3 errors that gofakes3 does not know. Source: Amazon S3 API Reference, "Error responses", 2006-03-01.
const (
	codeAccessDenied            gofakes3.ErrorCode = "AccessDenied"
	codeAuthHeaderMalformed     gofakes3.ErrorCode = "AuthorizationHeaderMalformed"
	codeAuthQueryMalformed      gofakes3.ErrorCode = "AuthorizationQueryParametersError"
	codeContentSHA256Mismatch   gofakes3.ErrorCode = "XAmzContentSHA256Mismatch"
	codeEntityTooLarge          gofakes3.ErrorCode = "EntityTooLarge"
	codeEntityTooSmall          gofakes3.ErrorCode = "EntityTooSmall"
	codeInvalidAccessKeyID      gofakes3.ErrorCode = "InvalidAccessKeyId"
	codeInvalidRequest          gofakes3.ErrorCode = "InvalidRequest"
	codeMissingSecurityHeader   gofakes3.ErrorCode = "MissingSecurityHeader"
	codeServiceUnavailable      gofakes3.ErrorCode = "ServiceUnavailable"
	codeSignatureDoesNotMatch   gofakes3.ErrorCode = "SignatureDoesNotMatch"
	codeNoSuchKey                                  = gofakes3.ErrNoSuchKey
	codeRequestTimeTooSkewed                       = gofakes3.ErrRequestTimeTooSkewed
	codeBucketAlreadyOwnedByYou gofakes3.ErrorCode = "BucketAlreadyOwnedByYou"
)

// newError makes an error that gofakes3 and our own face answer with that code.
func newError(code gofakes3.ErrorCode, format string, args ...any) error {
	return gofakes3.ErrorMessagef(code, format, args...)
}

func errNoSuchBucket(name string) error {
	return newError(gofakes3.ErrNoSuchBucket, "The specified bucket does not exist: %s", name)
}

func errNoSuchKey(key string) error {
	return newError(codeNoSuchKey, "The specified key does not exist: %s", key)
}

func errIncompleteBody(want, got int64) error {
	return newError(gofakes3.ErrIncompleteBody, "The request announced %d bytes and carried %d", want, got)
}

// codeOf gives the S3 code in err's chain, "" if there is none.
func codeOf(err error) gofakes3.ErrorCode {
	if e, ok := errors.AsType[gofakes3.Error](err); ok {
		return e.ErrorCode()
	}
	return gofakes3.ErrNone
}

// statusOf gives the HTTP status of a code.
func statusOf(code gofakes3.ErrorCode) int {
	switch code {
	case codeAccessDenied, codeInvalidAccessKeyID, codeSignatureDoesNotMatch:
		return http.StatusForbidden
	case codeAuthHeaderMalformed, codeAuthQueryMalformed, codeContentSHA256Mismatch, codeEntityTooLarge, codeEntityTooSmall,
		codeInvalidRequest, codeMissingSecurityHeader:
		return http.StatusBadRequest
	case codeServiceUnavailable:
		return http.StatusServiceUnavailable
	case codeBucketAlreadyOwnedByYou:
		return http.StatusConflict
	case gofakes3.ErrMethodNotAllowed:
		return http.StatusMethodNotAllowed
	default:
		return code.Status()
	}
}

// codeOfKind gives the S3 code for a classified error that has none.
func codeOfKind(k sim.Kind) gofakes3.ErrorCode {
	switch k {
	case sim.Internal:
		return gofakes3.ErrInternal
	case sim.Invalid:
		return codeInvalidRequest
	case sim.NotFound:
		return codeNoSuchKey
	case sim.Conflict:
		return gofakes3.ErrConditionalRequestConflict
	case sim.Unauthenticated, sim.Forbidden:
		return codeAccessDenied
	case sim.Exhausted, sim.Unavailable:
		return codeServiceUnavailable
	}
	return gofakes3.ErrInternal
}

// kindOfStatus classifies an S3 status for Go callers.
func kindOfStatus(status int) sim.Kind {
	switch status {
	case http.StatusNotFound:
		return sim.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return sim.Conflict
	case http.StatusForbidden:
		return sim.Forbidden
	case http.StatusServiceUnavailable:
		return sim.Unavailable
	case http.StatusInternalServerError:
		return sim.Internal
	default:
		return sim.Invalid
	}
}

// forClient turns err into something that gofakes3 answers rightly: it looks at the outermost error only.
func forClient(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[gofakes3.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		return newError(gofakes3.ErrIncompleteBody, "The connection ended before the body did")
	case sim.KindOf(err) == sim.Internal:
		return newError(gofakes3.ErrInternal, "We encountered an internal error. Please try again.")
	}
	msg, help := sim.Explain(err)
	if help != "" {
		msg += ": " + help
	}
	return newError(codeOfKind(sim.KindOf(err)), "%s", msg)
}

// forCaller turns err, which may carry an S3 code, into a classified error for Go callers.
func forCaller(op string, err error) error {
	e, ok := errors.AsType[*gofakes3.ErrorResponse](err)
	if !ok {
		return fmt.Errorf("%s: %w", op, err)
	}
	return &sim.Error{Op: op, Kind: kindOfStatus(statusOf(e.Code)), Msg: e.Message, Err: err}
}
