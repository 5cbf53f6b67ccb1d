package api

import (
	"context"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxAnswer is how much of an answer is read for its reason, in bytes, maxRefused how many refusals are remembered so that
// they are told once: kubectl drain asks again every five seconds.
const (
	maxAnswer  = 64 << 10
	maxRefused = 256
)

// answer keeps the beginning of an answer that refuses.
type answer struct {
	http.ResponseWriter
	code int
	body []byte
}

// WriteHeader notes the code.
func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

// Write keeps what an error says.
func (a *answer) Write(b []byte) (int, error) {
	if a.code >= http.StatusBadRequest && len(a.body) < maxAnswer {
		a.body = append(a.body, b[:min(len(b), maxAnswer-len(a.body))]...)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// refuse tells that a person was refused: what is not allowed, wrong, or guarded by a disruption budget. What is not there,
// or there already, or has changed meanwhile is what clients ask to find out, and not told.
func (w *witness) refuse(ctx context.Context, a *act, got *answer) {
	key := strings.Join([]string{a.who.user, a.who.client, a.info.Verb, a.info.Resource, a.info.Subresource, a.info.Namespace, a.info.Name}, "/")
	switch got.code {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
	default:
		w.mu.Lock()
		delete(w.refused, key)
		w.mu.Unlock()
		return
	}
	reason := w.reason(got.body)
	w.mu.Lock()
	known := w.refused[key]
	if len(w.refused) >= maxRefused {
		clear(w.refused)
	}
	w.refused[key] = true
	w.mu.Unlock()
	if known {
		return
	}
	o := &metav1.ObjectMeta{Namespace: a.info.Namespace, Name: a.info.Name}
	detail := a.about(o)
	detail["reason"] = reason
	for k, v := range detail {
		if v == "" {
			delete(detail, k) // an object that was to be created has no name in the request
		}
	}
	a.publish(ctx, o, "write refused", detail)
}

// reason says why a request was refused, in the server's words as far as they cannot hold anything of the request's body:
// of fields that are wrong only their names and what is wrong, not what they held.
func (w *witness) reason(body []byte) string {
	o, _, err := w.decoder.Decode(body, nil, nil)
	s, ok := o.(*metav1.Status)
	if err != nil || !ok {
		return "" // cut off
	}
	if s.Details == nil {
		s.Details = &metav1.StatusDetails{}
	}
	if s.Code == http.StatusForbidden || s.Code == http.StatusTooManyRequests { // about who asks, not what they wrote
		words := []string{s.Message}
		for _, c := range s.Details.Causes {
			if c.Field == "" {
				words = append(words, c.Message)
			}
		}
		return bounded(strings.Join(words, " "))
	}
	fields := make([]string, 0, len(s.Details.Causes))
	for _, c := range s.Details.Causes {
		if c.Field != "" {
			fields = append(fields, c.Field+" ("+string(c.Type)+")")
		}
	}
	out := string(s.Reason)
	if s.Details.Kind != "" {
		out = s.Details.Kind + " " + s.Details.Name + ": " + out
	}
	if len(fields) > 0 {
		out += ": " + strings.Join(fields, ", ")
	}
	return bounded(out)
}

// bounded keeps an event short.
func bounded(s string) string {
	const most = 400
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
