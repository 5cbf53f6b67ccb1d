package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/dpesim/dpesim/sim"
)

// ProblemType is the media type of [Problem]. Source: RFC 9457, section 3.
const ProblemType = "application/problem+json"

// Problem is the body of every error answer, RFC 9457 problem details with three members of our own.
type Problem struct {
	Type      string `json:"type"`             // "about:blank": the status says it
	Title     string `json:"title"`            // the status in words
	Status    int    `json:"status"`           // the HTTP status
	Detail    string `json:"detail,omitempty"` // what happened and why
	Kind      string `json:"kind"`             // [sim.Kind] by name
	Help      string `json:"help,omitempty"`   // what to do next
	RequestID string `json:"request_id,omitempty"`
}

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
