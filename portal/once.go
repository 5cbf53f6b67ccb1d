package portal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// maxKey bounds idempotency keys, in bytes.
const maxKey = 128

// request names a request with an idempotency key.
type request struct{ user, key string }

// once has a request with an idempotency key done once: who sends it again gets the first answer again. What failed did
// nothing and is tried again; only of an internal error that is not known. secret says that the answer holds one: such an
// answer is not kept, and who sends the request again is told so. A request that has begun is finished also if its caller
// leaves meanwhile.
func (p *Portal) once(h echo.HandlerFunc, secret bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		key := c.Request().Header.Get(api.IdempotencyHeader)
		if key == "" {
			return h(c)
		}
		if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
			return sim.Errorf(sim.Invalid, "the %s header cannot be a key", api.IdempotencyHeader).
				WithHelp("use 1 to %d visible ASCII characters that nobody would choose again, as a UUID", maxKey)
		}
		sent, err := requestDigest(c)
		if err != nil {
			return err
		}
		r := request{identityOf(c.Request().Context()).ID, key}
		if !p.enter(r) {
			return sim.Errorf(sim.Conflict, "the first request with this idempotency key is under way").WithHelp("send it again in a moment to get its answer")
		}
		defer p.leave(r)
		ctx := context.WithoutCancel(c.Request().Context())
		before, a, err := p.store.Begin(ctx, r.user, r.key, sent)
		if err != nil {
			return fmt.Errorf("begin request: %w", err)
		}
		if before != "" {
			return answerAgain(c, a, before == sent)
		}
		c.SetRequest(c.Request().WithContext(ctx))
		return p.keep(c, r, h, secret)
	}
}

func (p *Portal) enter(r request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.underWay[r] {
		return false
	}
	p.underWay[r] = true
	return true
}

func (p *Portal) leave(r request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.underWay, r)
}

// requestDigest tells requests apart. The body is there to be read again.
func requestDigest(c echo.Context) (string, error) {
	r := c.Request()
	body, err := io.ReadAll(r.Body)
	if tooLong(err) {
		return "", longer(err)
	}
	if err != nil {
		return "", &sim.Error{Kind: sim.Invalid, Msg: "the body cannot be read: " + jsonWords(err), Help: "send it again", Err: err}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return digest(r.Method + " " + r.URL.RequestURI() + "\n" + string(body)), nil
}

// answerAgain answers a request whose key was used before.
func answerAgain(c echo.Context, a store.Answer, same bool) error {
	switch {
	case !same:
		return sim.Errorf(sim.Invalid, "this idempotency key was used for another request").WithHelp("use a new key for each request, and the same one only to repeat it unchanged")
	case a.Status == 0:
		return sim.Errorf(sim.Conflict, "the first request with this idempotency key was cut off: it may have been done or not").
			WithHelp("look whether it was done; if not, send it with a new key")
	case !a.Kept:
		return sim.Errorf(sim.Conflict, "this was done already, and its answer is not kept, because it held a secret").
			WithHelp("if the answer did not arrive, make another one with a new key, and withdraw the lost one")
	}
	for name, value := range a.Header {
		c.Response().Header().Set(name, value)
	}
	c.Response().Header().Set(api.ReplayedHeader, "true")
	c.Response().WriteHeader(a.Status)
	_, err := c.Response().Write(a.Body)
	return err
}

// keptHeaders are those headers of an answer that come again with it.
func keptHeaders() []string {
	return []string{echo.HeaderContentType, echo.HeaderLocation, "ETag"}
}

// keep runs h and keeps its answer before it is sent.
func (p *Portal) keep(c echo.Context, r request, h echo.HandlerFunc, secret bool) error {
	ctx, writer := c.Request().Context(), c.Response().Writer
	rec, err := record(c, h)
	if err != nil {
		if sim.KindOf(err) == sim.Internal { // nobody knows how far it came
			return err
		}
		return errors.Join(err, p.store.Forget(ctx, r.user, r.key))
	}
	a := store.Answer{Status: rec.status, Kept: !secret}
	if a.Kept {
		a.Body, a.Header = rec.body.Bytes(), map[string]string{}
		for _, name := range keptHeaders() {
			if v := writer.Header().Get(name); v != "" {
				a.Header[name] = v
			}
		}
	}
	if err := p.store.Answered(ctx, r.user, r.key, a); err != nil {
		p.opts.Log.Error("the answer to a request with an idempotency key is not kept", "err", err)
	}
	writer.WriteHeader(rec.status)
	_, _ = writer.Write(rec.body.Bytes()) // who has left asks again
	return nil
}

// record runs h and holds its answer back; what answers a panic is not held back.
func record(c echo.Context, h echo.HandlerFunc) (*recorder, error) {
	res := c.Response()
	writer := res.Writer
	defer func() { res.Writer = writer }()
	rec := &recorder{ResponseWriter: writer}
	res.Writer = rec
	return rec, h(c)
}

// recorder holds an answer back.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write notes the body.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
