package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/dpesim/dpesim/sim"
)

// ProblemType is the media type of [Problem]. Source: RFC 9457, section 3.
const ProblemType = "application/problem+json"

// Problem is the body of every error answer, RFC 9457 problem details with members of our own: kind, help, errors and
// request_id.
type Problem struct {
	Type      string `json:"type"`             // "about:blank": the status says it
	Title     string `json:"title"`            // the status in words
	Status    int    `json:"status"`           // the HTTP status
	Detail    string `json:"detail,omitempty"` // what happened and why
	Kind      string `json:"kind"`             // [sim.Kind] by name
	Help      string `json:"help"`             // what to do next
	RequestID string `json:"request_id,omitempty"`

	Errors []ProblemField `json:"errors,omitempty"` // the fields that are to blame, if it is one's fault
}

// ProblemField is what is wrong with one field of a request.
type ProblemField struct {
	Field  string `json:"field"` // its name in the JSON body or in the query
	Detail string `json:"detail"`
}

// FieldError is an error that one field of a request is to blame for, on both sides of the API.
type FieldError struct {
	Field string // its name in JSON
	Err   error
}

// InField says that a field is to blame for err. It gives nil for nil, and an error that names a field already as it is.
func InField(field string, err error) error {
	if _, named := errors.AsType[*FieldError](err); named || err == nil {
		return err
	}
	return &FieldError{Field: field, Err: err}
}

// Error is that of the error itself: its words name the field where they need to.
func (e *FieldError) Error() string { return e.Err.Error() }

// Unwrap gives the error.
func (e *FieldError) Unwrap() error { return e.Err }

// maxProblem bounds how much of an error answer the client reads, in bytes.
const maxProblem = 64 << 10

// readProblem gives the error that an answer tells. An answer that is no problem+json (a proxy's, say) is told by its status.
func readProblem(op string, res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	var p Problem
	if err == nil && json.Unmarshal(body, &p) == nil && p.Kind != "" {
		e := &sim.Error{Kind: sim.KindFromString(p.Kind), Msg: p.Detail, Help: p.Help}
		if e.Msg == "" {
			e.Msg = p.Title
		}
		if e.Kind == sim.Internal { // its text is for the log of the other side only; the id finds it there
			e.Err = fmt.Errorf("request %s", p.RequestID)
		}
		if len(p.Errors) > 0 {
			return InField(p.Errors[0].Field, e)
		}
		return e
	}
	return &sim.Error{
		Op: op, Kind: kindOfStatus(res.StatusCode), Msg: "the server answered " + res.Status,
		Help: "check that the address is that of a dpesim portal",
	}
}

func kindOfStatus(status int) sim.Kind {
	switch {
	case status == http.StatusNotFound:
		return sim.NotFound
	case status == http.StatusUnauthorized:
		return sim.Unauthenticated
	case status == http.StatusForbidden:
		return sim.Forbidden
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return sim.Unavailable
	case status >= 400 && status < 500:
		return sim.Invalid
	}
	return sim.Internal
}
