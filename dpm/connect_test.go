package dpm_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/dpesim/dpesim/dpm"
	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/jwk"
)

func TestWelcomeAndTheListOfEnginesTellWhoIsThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.server.SetRelease(t.Context(), "15.3.0", ""); err != nil {
		t.Fatal(err)
	}
	e := r.knock(t, r.authorize(t, "finance"), hello("finance", "finance-0"))
	w := e.next(t).GetWelcome()
	if w.GetDpmVersion() != "15.3.0" || w.GetLease().AsDuration() != lease || w.GetHeartbeatInterval().AsDuration() != heartbeat {
		t.Errorf("welcome is %v", w)
	}
	got := r.server.Engines()
	if len(got) != 1 || got[0].Label != "finance" || got[0].Replica != "finance-0" || got[0].Version != "15.1.0" || got[0].Slots != 1000 ||
		got[0].Revision != 3 || !slices.Equal(got[0].Drivers, []sim.Driver{"postgresql"}) || !got[0].ConnectedAt.Equal(r.clock.Now()) || got[0].Remote == "" {
		t.Errorf("engines are %+v", got)
	}
	r.vanish(t, e)
	if got := r.server.Engines(); len(got) != 0 {
		t.Errorf("engines are %+v, want none", got)
	}
}

// "The version of a self-managed DPE can differ from the platform version unless there are changes introduced on the platform
// side that would make the DPE upgrade a requirement." (seed, "Self-managed DPE upgrades")
func TestAnUpgradeThatDemandsNewerEnginesSendsOldOnesAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	e := r.knock(t, key, hello("finance", "finance-0"))
	e.next(t)
	if err := r.server.SetRelease(t.Context(), "15.3.0", "15.2.0"); err != nil {
		t.Fatal(err)
	}
	const words = "upgrade required: the engine has release 15.1.0, and platform 15.3.0 works with 15.2.0 and newer only"
	for _, e := range []*engine{e, r.knock(t, key, hello("finance", "finance-1"))} {
		if _, err := e.end(t); status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != words {
			t.Errorf("the stream ended with %v", err)
		}
	}
	if got := r.server.Engines(); len(got) != 0 {
		t.Errorf("engines are %+v, want none", got)
	}
}

func TestBadTokensAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, stranger := r.authorize(t, "finance"), r.authorize(t, "sales")
	unknown, err := jwk.Generate()
	if err != nil {
		t.Fatal(err)
	}
	now := r.clock.Now()
	sign := func(change func(h map[string]any, c jwt.MapClaims)) string {
		tok := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "finance", "sub": "finance", "aud": host, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		})
		tok.Header["kid"] = string(jwk.Fingerprint(&key.PublicKey))
		change(tok.Header, tok.Claims.(jwt.MapClaims))
		s, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	claim := func(name string, v any) string {
		return "Bearer " + sign(func(_ map[string]any, c jwt.MapClaims) {
			c[name] = v
			if v == nil {
				delete(c, name)
			}
		})
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(func(map[string]any, jwt.MapClaims) {})
	for name, c := range map[string]struct{ header, want string }{
		"none":              {"", "no token"},
		"basic":             {"Basic dXNlcjpwYXNz", "not \"Bearer"},
		"garbage":           {"Bearer x.y.z", "broken"},
		"huge":              {"Bearer " + strings.Repeat("x", 9000), "not \"Bearer"},
		"tampered":          {"Bearer " + good[:len(good)-8] + "AAAAAAAA", "broken or not signed"},
		"alg none":          {"Bearer " + unsigned, "broken or not signed"},
		"no kid":            {"Bearer " + sign(func(h map[string]any, _ jwt.MapClaims) { delete(h, "kid") }), "no key id"},
		"kid of another":    {"Bearer " + sign(func(h map[string]any, _ jwt.MapClaims) { h["kid"] = string(jwk.Fingerprint(&stranger.PublicKey)) }), "not signed"},
		"unknown kid":       {"Bearer " + sign(func(h map[string]any, _ jwt.MapClaims) { h["kid"] = string(jwk.Fingerprint(&unknown.PublicKey)) }), "does not know"},
		"expired":           {claim("exp", now.Add(-dpm.Leeway).Unix()), "expired"},
		"no exp":            {claim("exp", nil), "lacks exp"},
		"no iat":            {claim("iat", nil), "lacks iat"},
		"from the future":   {claim("iat", now.Add(dpm.Leeway+2*time.Second).Unix()), "future"},
		"not yet":           {claim("nbf", now.Add(dpm.Leeway+2*time.Second).Unix()), "future"},
		"other audience":    {claim("aud", "dpm-grpc-other.dpesim.localhost"), "another DPM"},
		"other issuer":      {claim("iss", "sales"), "label of its key"},
		"other subject":     {claim("sub", "sales"), "label of its key"},
		"no subject at all": {claim("sub", nil), "label of its key"},
	} {
		var md []string
		if c.header != "" {
			md = []string{"authorization", c.header}
		}
		_, err := r.open(t, md...).end(t)
		if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want Unauthenticated with %q", name, err, c.want)
		}
	}
	e := r.open(t, "authorization", claim("exp", now.Add(-dpm.Leeway+2*time.Second).Unix()))
	e.send(t, &dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Hello{Hello: hello("finance", "finance-0")}})
	if e.next(t).GetWelcome() == nil {
		t.Error("a token inside the leeway was refused")
	}
	if ev := r.await(t, 0, "engine refused"); ev.Detail["kind"] != "unauthenticated" || strings.Contains(ev.Detail["reason"], "eyJ") {
		t.Errorf("event is %+v", ev)
	}
}

func TestBadHellosAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	r.connect(t, key, "finance", "finance-0")
	sales := r.authorize(t, "sales")
	for name, c := range map[string]struct {
		change func(*dpmv1.Hello)
		want   codes.Code
	}{
		"replica is no DNS name": {func(h *dpmv1.Hello) { h.Replica = "Not_A_Pod" }, codes.InvalidArgument},
		"no replica":             {func(h *dpmv1.Hello) { h.Replica = "" }, codes.InvalidArgument},
		"no release":             {func(h *dpmv1.Hello) { h.Version = "latest" }, codes.InvalidArgument},
		"no slots":               {func(h *dpmv1.Hello) { h.Slots = 0 }, codes.InvalidArgument},
		"too many slots":         {func(h *dpmv1.Hello) { h.Slots = 1001 }, codes.InvalidArgument},
		"capability":             {func(h *dpmv1.Hello) { h.Capabilities = []string{"everything"} }, codes.InvalidArgument},
		"driver":                 {func(h *dpmv1.Hello) { h.Drivers = []string{"dbase"} }, codes.InvalidArgument},
		"revision":               {func(h *dpmv1.Hello) { h.ConfigurationRevision = -1 }, codes.InvalidArgument},
		"connected already":      {func(h *dpmv1.Hello) { h.Replica = "finance-0" }, codes.AlreadyExists},
	} {
		h := hello("finance", "finance-1")
		c.change(h)
		if _, err := r.knock(t, key, h).end(t); status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	e := r.open(t, "authorization", "Bearer "+r.token(t, sales, "sales"))
	e.send(t, &dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Hello{Hello: hello("finance", "finance-1")}})
	if _, err := e.end(t); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another's label: %v, want PermissionDenied", err)
	}
	e = r.open(t, "authorization", "Bearer "+r.token(t, sales, "sales"))
	e.give(t, 1)
	if _, err := e.end(t); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no hello first: %v, want InvalidArgument", err)
	}
	if n := len(r.server.Engines()); n != 1 {
		t.Errorf("%d engines, want the first alone", n)
	}
}

func TestAStreamWithoutHelloIsEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	token, err := jwk.Sign(key, "finance", host, r.clock.Now(), 100_000*time.Hour) // the stream may be long in coming while time flies below
	if err != nil {
		t.Fatal(err)
	}
	e := r.open(t, "authorization", "Bearer "+token)
	deadline := time.Now().Add(patience)
	for ended := false; !ended; { // small steps: the timer starts when the stream has arrived, which nobody tells
		if time.Now().After(deadline) {
			t.Fatal("the stream did not end")
		}
		r.advance(t, 5*time.Millisecond)
		select {
		case _, open := <-e.in:
			ended = !open
		default:
		}
	}
	if status.Code(e.err) != codes.InvalidArgument || !strings.Contains(e.err.Error(), "no Hello") {
		t.Errorf("the stream ended with %v", e.err)
	}
}

func TestAConnectFaultRefusesAsItWasToldTo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	busy := sim.Errorf(sim.Unavailable, "the DPM is overloaded")
	if err := r.faults.Arm(fault.Fault{Name: "overload", Point: dpm.FaultConnect, Match: fault.Scope{DPE: "finance"}, Times: 1, Err: busy}); err != nil {
		t.Fatal(err)
	}
	key := r.authorize(t, "finance")
	if _, err := r.knock(t, key, hello("finance", "finance-0")).end(t); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "overloaded") {
		t.Errorf("got %v, want Unavailable", err)
	}
	r.connect(t, key, "finance", "finance-0")
}

func TestMoreCreditsThanSlotsCanBeEndTheStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	for _, n := range []uint32{0, 1001} {
		e := r.connect(t, key, "finance", "finance-0")
		e.give(t, n)
		if _, err := e.end(t); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%d credits: %v, want InvalidArgument", n, err)
		}
		r.await(t, 0, "engine disconnected")
		for len(r.server.Engines()) > 0 {
			r.await(t, r.bus.Last(), "engine disconnected")
		}
	}
}

func TestARevokedKeyEndsItsStreamsAtOnceAndForEver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, other := r.authorize(t, "finance"), r.authorize(t, "sales")
	id := jwk.Fingerprint(&key.PublicKey)
	e, bystander := r.connect(t, key, "finance", "finance-0"), r.connect(t, other, "sales", "sales-0")
	e.give(t, 1)
	j := r.submit(t, profile)
	c := e.command(t)
	bystander.give(t, 1)
	bystander.barrier(t)
	seq := r.bus.Last()
	if err := errors.Join(r.server.Revoke(r.ctx, id), r.server.Revoke(r.ctx, id)); err != nil {
		t.Fatal(err)
	}
	m, err := e.end(t)
	if status.Code(err) != codes.PermissionDenied || len(m) != 1 || m[0].GetGoodbye().GetReason() != dpmv1.GoodbyeReason_GOODBYE_REASON_REVOKED {
		t.Errorf("the stream ended with %v, %v; want goodbye REVOKED, PermissionDenied", m, err)
	}
	if got := bystander.command(t); got.GetJobId() != string(j.ID) || got.GetAttempt() != c.GetAttempt()+1 {
		t.Errorf("the other DPE got %v", got)
	}
	cut, gone := r.await(t, seq, "component revoked"), r.await(t, seq, "engine disconnected")
	if gone.Cause != cut.Seq {
		t.Errorf("disconnected by %d, want %d", gone.Cause, cut.Seq)
	}
	refusal := func() {
		t.Helper()
		_, err := r.knock(t, key, hello("finance", "finance-0")).end(t)
		if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "key was revoked") {
			t.Errorf("connecting again: %v, want PermissionDenied", err)
		}
	}
	refusal()
	if ev := r.await(t, gone.Seq, "engine refused"); ev.DPE != "finance" || ev.Detail["kind"] != "forbidden" || ev.Detail["key_id"] != string(id) {
		t.Errorf("event is %+v", ev)
	}
	r.close(t)
	r.start(t)
	refusal()
	if err := r.server.Authorize(r.ctx, dpm.Component{Key: id, Label: "finance", PublicKey: &key.PublicKey}); sim.KindOf(err) != sim.Conflict {
		t.Errorf("authorising a revoked key: %v, want Conflict", err)
	}
	components, err := r.server.Components(r.ctx)
	if err != nil || len(components) != 1 || components[0].Label != "sales" || !components[0].PublicKey.Equal(&other.PublicKey) {
		t.Errorf("components are %+v, %v; want sales alone", components, err)
	}
}

func TestAuthorisingIsIdempotentAndChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	c := dpm.Component{Key: jwk.Fingerprint(&key.PublicKey), Label: "finance", PublicKey: &key.PublicKey}
	if err := r.server.Authorize(r.ctx, c); err != nil {
		t.Errorf("again: %v", err)
	}
	if n := r.count("component authorised", ""); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	for want, change := range map[sim.Kind]func(*dpm.Component){
		sim.Conflict: func(c *dpm.Component) { c.Label = "sales" },
		sim.Invalid:  func(c *dpm.Component) { c.Key = "other" },
	} {
		x := c
		change(&x)
		if err := r.server.Authorize(r.ctx, x); sim.KindOf(err) != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if err := r.server.Authorize(r.ctx, dpm.Component{Key: c.Key, Label: "Bad Label", PublicKey: c.PublicKey}); sim.KindOf(err) != sim.Invalid {
		t.Errorf("a bad label: %v, want Invalid", err)
	}
}

func TestHealthAndReflectionNeedNoToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	conn := r.dial(t)
	defer conn.Close()
	h, err := grpc_health_v1.NewHealthClient(conn).Check(r.ctx, &grpc_health_v1.HealthCheckRequest{Service: "dpesim.dpm.v1.EngineService"})
	if err != nil || h.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health is %v, %v", h, err)
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	if err != nil || !strings.Contains(m.String(), "dpesim.dpm.v1.EngineService") {
		t.Errorf("reflection says %v, %v", m, err)
	}
}

func TestAClosedServerSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.close(t)
	if _, err := r.server.Submit(r.ctx, profile); sim.KindOf(err) != sim.Unavailable {
		t.Errorf("Submit: %v, want Unavailable", err)
	}
	if got := r.server.Engines(); len(got) != 0 {
		t.Errorf("engines are %v", got)
	}
	r.start(t)
}

func TestAnEngineThatReadsNothingIsSentAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	conn := r.dial(t)
	defer conn.Close()
	stream, err := dpmv1.NewEngineServiceClient(conn).Connect(metadata.AppendToOutgoingContext(r.ctx, "authorization", "Bearer "+r.token(t, key, "finance")))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		err := stream.Send(&dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Hello{Hello: hello("finance", "finance-0")}})
		for err == nil {
			err = stream.Send(&dpmv1.ConnectRequest{Message: &dpmv1.ConnectRequest_Event{Event: &dpmv1.JobEvent{JobId: "nobody's"}}})
		}
		sent <- err
	}()
	r.await(t, 0, "engine disconnected")
	for err == nil { // what was sent before, then the status behind it
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "unread") {
		t.Errorf("the stream ended with %v, want ResourceExhausted", err)
	}
	if err := <-sent; !errors.Is(err, io.EOF) {
		t.Errorf("sending ended with %v, want EOF", err)
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, change := range map[string]func(*dpm.Options){
		"environment": func(o *dpm.Options) { o.Environment = "Not One" },
		"release":     func(o *dpm.Options) { o.Release = "15" },
		"host":        func(o *dpm.Options) { o.Host = "" },
		"listener":    func(o *dpm.Options) { o.Listener = nil },
		"tls":         func(o *dpm.Options) { o.TLS = nil },
		"clock":       func(o *dpm.Options) { o.Clock = nil },
		"lease":       func(o *dpm.Options) { o.Lease = -1 },
		"heartbeat":   func(o *dpm.Options) { o.Heartbeat = o.Lease },
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		o := r.options(ln)
		change(&o)
		if _, err := dpm.Open(r.ctx, o); sim.KindOf(err) != sim.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}

func TestCloseIsRightWithoutServeAndTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := r.options(ln)
	o.Path += ".other"
	s, err := dpm.Open(r.ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing the listener again: %v, want closed already", err)
	}
}
