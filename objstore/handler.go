package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
)

// The points at which an object store can be made to fail.
const (
	FaultGet fault.Point = "objstore.get" // before an object is read
	FaultPut fault.Point = "objstore.put" // before an object or a part is written
)

// maxDocument is the largest body that is a document and not an object, in bytes: a thousand long keys to delete.
const maxDocument = 8 << 20

// ServeHTTP answers one S3 request: who is it, may they, is it implemented; then gofakes3 has it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	out := &reply{ResponseWriter: w, request: r, id: fmt.Sprintf("%016X", n), conditions: http.Header{}}
	out.Header().Set("Date", s.opt.Clock.Now().Format(http.TimeFormat)) // clients correct their skew by it
	p, err := s.authenticate(r.Context(), r)
	if err == nil {
		err = s.serve(out, r, p, n)
	}
	if err != nil {
		out.fail(err)
	}
	out.finish()
	s.tellRefused(r.Context(), out, p)
}

// serve answers an authenticated request, or returns an error before anything was sent.
func (s *Server) serve(out *reply, r *http.Request, p proof, n uint64) error {
	op := operationOf(r)
	if err := op.allowed(p.key.Credential); err != nil {
		return err
	}
	if err := op.implemented(r.Header); err != nil {
		return err
	}
	ctx := event.WithCause(r.Context(), s.opt.Bus.Claimed(r.Header.Get(event.CauseHeader)))
	if err := s.fault(ctx, op, p.key.Label); err != nil {
		return err
	}
	b, err := newBody(r, p)
	if err != nil {
		return err
	}
	if !op.putsBytes() {
		if err := slurp(r); err != nil {
			return err
		}
	}
	se := s.session(ctx, p.key.Label)
	se.sent, se.checksum = kept(r.Header), b.promised
	if op.readsObject() {
		out.checksums = strings.EqualFold(r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") || op.query["x-amz-checksum-mode"]
		for _, name := range conditions() {
			if v := r.Header.Get(name); v != "" {
				out.conditions.Set(name, v)
				r.Header.Del(name)
			}
		}
	}
	gofakes3.New(se,
		gofakes3.WithTimeSource(timeSource{s.opt.Clock}),
		gofakes3.WithTimeSkewLimit(0), // checked together with the signature
		gofakes3.WithRequestID(n-1),   // it counts up before use
		gofakes3.WithLogger(logger{s.opt.Log}),
		gofakes3.WithUnimplementedPageError(),
		gofakes3.WithoutVersioning(),
	).Server().ServeHTTP(out, r)
	return nil
}

// fault asks the point that belongs to an operation. What was injected without a kind looks like an outage.
func (s *Server) fault(ctx context.Context, op operation, label sim.Label) error {
	var err error
	scope := fault.Scope{Environment: s.opt.Environment, DPE: label}
	switch {
	case op.readsObject():
		err = s.opt.Faults.At(ctx, FaultGet, scope)
	case op.key != "" && (op.method == http.MethodPut || op.method == http.MethodPost):
		err = s.opt.Faults.At(ctx, FaultPut, scope)
	}
	if err == nil {
		return nil
	}
	s.opt.Log.Info("request failed on purpose", "err", err, "injected", errors.Is(err, fault.ErrInjected))
	if e, ok := errors.AsType[*sim.Error](err); ok && e.Kind != sim.Internal {
		return newError(codeOfKind(e.Kind), "%s", e.Msg)
	}
	return newError(codeServiceUnavailable, "Please reduce your request rate, or try again later.")
}

// slurp reads a document to its end, so that nobody acts on one whose digest is wrong.
func slurp(r *http.Request) error {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxDocument+1))
	if err != nil {
		return err
	}
	if len(data) > maxDocument {
		return newError(codeEntityTooLarge, "Your request is larger than %d bytes", maxDocument)
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return nil
}

// tellRefused tells of a request that was refused for who sent it, once in a while for each kind.
func (s *Server) tellRefused(ctx context.Context, out *reply, p proof) {
	switch out.code {
	case codeAccessDenied, codeSignatureDoesNotMatch, codeInvalidAccessKeyID, codeRequestTimeTooSkewed, codeMissingSecurityHeader,
		codeAuthHeaderMalformed, codeAuthQueryMalformed, codeContentSHA256Mismatch:
	default:
		return
	}
	accessKey := strings.ToValidUTF8(p.accessKey, "") // at most maxAccessKey bytes
	suppressed, ok := s.refusals.tell(string(out.code) + " " + accessKey)
	if !ok {
		return
	}
	detail := map[string]string{"reason": string(out.code), "access_key": accessKey, "method": out.request.Method, "status": strconv.Itoa(out.status)}
	if suppressed > 0 {
		detail["suppressed"] = strconv.Itoa(suppressed)
	}
	e := sim.Event{Part: sim.PartObjstore, Environment: s.opt.Environment, What: "request refused", Detail: detail}
	if p.key != nil {
		e.DPE = p.key.Label
	}
	s.opt.Bus.Publish(ctx, e)
}

// timeSource is product time for gofakes3.
type timeSource struct{ c *clock.Clock }

func (t timeSource) Now() time.Time                   { return t.c.Now() }
func (t timeSource) Since(at time.Time) time.Duration { return t.c.Now().Sub(at) }

// logger takes gofakes3's errors; it says much else.
type logger struct{ log *slog.Logger }

// Print logs an error.
func (l logger) Print(level gofakes3.LogLevel, v ...any) {
	if level == gofakes3.LogErr {
		l.log.Error("gofakes3 reported an error", "err", fmt.Sprint(v...))
	}
}
