package dpe_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dpesim/dpesim/dpe"
	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/jwk"
)

const patience = 20 * time.Second

// fakeDPM hands every stream to the test, which plays DPM.
type fakeDPM struct {
	dpmv1.UnimplementedEngineServiceServer
	streams chan *fakeStream
}

// fakeStream is one stream as DPM sees it. The test ends it with end.
type fakeStream struct {
	t      *testing.T
	auth   string
	in     chan *dpmv1.ConnectRequest // closed when the engine's side has ended
	stream dpmv1.EngineService_ConnectServer
	end    chan error
	once   sync.Once
}

func (d *fakeDPM) Connect(stream dpmv1.EngineService_ConnectServer) error {
	s := &fakeStream{in: make(chan *dpmv1.ConnectRequest, 100), stream: stream, end: make(chan error, 1)}
	s.auth = strings.Join(metadata.ValueFromIncomingContext(stream.Context(), "authorization"), "|")
	go func() {
		defer close(s.in)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			s.in <- m
		}
	}()
	select {
	case d.streams <- s:
	case <-stream.Context().Done():
		return nil
	}
	select {
	case err := <-s.end:
		return err
	case <-stream.Context().Done():
		return nil
	}
}

func (s *fakeStream) close(err error) { s.once.Do(func() { s.end <- err }) }

func (s *fakeStream) send(m *dpmv1.ConnectResponse) {
	s.t.Helper()
	if err := s.stream.Send(m); err != nil {
		s.t.Fatalf("send: %v", err)
	}
}

func (s *fakeStream) welcome() {
	s.send(&dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Welcome{Welcome: &dpmv1.Welcome{
		DpmVersion: "15.3.0", HeartbeatInterval: durationpb.New(20 * time.Millisecond), Lease: durationpb.New(time.Minute),
	}}})
}

func (s *fakeStream) command(job string, attempt int32, key string) {
	s.send(&dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Commands{Commands: &dpmv1.CommandBatch{Commands: []*dpmv1.Command{{
		JobId: job, Attempt: attempt, Work: &dpmv1.Command_Profile{Profile: &dpmv1.Profile{
			Source: &dpmv1.ObjectReference{Bucket: "sample-data", Key: key}, Target: &dpmv1.ObjectReference{Bucket: "results", Key: job + ".json"},
		}},
	}}}}})
}

func (s *fakeStream) receipt(e *dpmv1.JobEvent, accepted bool) {
	s.send(&dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Receipt{Receipt: &dpmv1.EventReceipt{
		JobId: e.GetJobId(), Attempt: e.GetAttempt(), Accepted: accepted, Reason: "superseded",
	}}})
}

// next gives the next message that is no heartbeat.
func (s *fakeStream) next() *dpmv1.ConnectRequest {
	s.t.Helper()
	for {
		select {
		case m, ok := <-s.in:
			if !ok {
				s.t.Fatal("the engine ended the stream")
			}
			if m.GetHeartbeat() == nil {
				return m
			}
		case <-time.After(patience):
			s.t.Fatal("the engine says nothing")
		}
	}
}

func (s *fakeStream) event(want dpmv1.JobState) *dpmv1.JobEvent {
	s.t.Helper()
	e := s.next().GetEvent()
	if e.GetState() != want {
		s.t.Fatalf("got event %v, want %v", e, want)
	}
	return e
}

func (s *fakeStream) credits(want uint32) {
	s.t.Helper()
	m := s.next()
	if got := m.GetCredits().GetCommands(); got != want {
		s.t.Fatalf("got %v, want %d credits", m, want)
	}
}

// cloud is what an engine needs around it.
type cloud struct {
	t      *testing.T
	dpm    *fakeDPM
	blobs  *s3mem.Backend
	config dpe.Config
	stop   chan struct{}
	kill   context.CancelFunc
	done   chan error
	logs   *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newCloud makes a cloud; front, if given, stands before the object storage.
func newCloud(t *testing.T, front ...func(http.Handler) http.Handler) *cloud {
	t.Helper()
	c := &cloud{t: t, dpm: &fakeDPM{streams: make(chan *fakeStream)}, blobs: s3mem.New(), stop: make(chan struct{}), done: make(chan error, 1), logs: &safeBuffer{}}
	for _, b := range []string{"sample-data", "results"} {
		if err := c.blobs.CreateBucket(b); err != nil {
			t.Fatal(err)
		}
	}
	handler := gofakes3.New(c.blobs).Server()
	for _, f := range front {
		handler = f(handler)
	}
	storage := httptest.NewTLSServer(handler)
	t.Cleanup(storage.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&storage.TLS.Certificates[0])))
	dpmv1.RegisterEngineServiceServer(server, c.dpm)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Stop(); <-served })

	health, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := jwk.Generate()
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Marshal(pair)
	if err != nil {
		t.Fatal(err)
	}
	storageAddr := storage.Listener.Addr().String()
	c.config = dpe.Config{
		Environment: "acme", Label: "finance", Replica: "finance-1", Version: "15.3.0", Drivers: []sim.Driver{"s3", "postgresql"}, Revision: 7, Slots: 2,
		DPMURL: "https://dpm.example.com:8443", Key: key,
		ObjectStorage: dpe.ObjectStorage{URL: "https://minio.example.com", Region: "us-east-1", Bucket: "results", AccessKey: "a", SecretKey: "s"},
		CA:            []dpe.CAFile{{Name: "/etc/dpe/config/ca.pem", PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: storage.Certificate().Raw})}},
		DrainTimeout:  time.Minute, Scratch: t.TempDir(), Stop: c.stop, Health: health,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			to := map[string]string{"dpm.example.com:8443": ln.Addr().String(), "minio.example.com:443": storageAddr}[addr]
			return new(net.Dialer).DialContext(ctx, network, to)
		},
		Clock: clock.New(), Draw: draw.New(1), Log: slog.New(slog.NewTextHandler(c.logs, nil)),
	}
	return c
}

func (c *cloud) put(key, content string) {
	c.t.Helper()
	if _, err := c.blobs.PutObject("sample-data", key, nil, strings.NewReader(content), int64(len(content)), nil); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cloud) run() {
	ctx, cancel := context.WithCancel(c.t.Context())
	c.kill = cancel
	go func() { c.done <- dpe.Run(ctx, c.config) }()
	c.t.Cleanup(func() {
		cancel()
		select {
		case <-c.done:
		case <-time.After(patience):
			c.t.Error("the engine does not end")
		}
		if c.t.Failed() {
			c.t.Log(c.logs.String())
		}
		if strings.Contains(c.logs.String(), c.config.Key.Reveal()) {
			c.t.Error("the key is in the log")
		}
	})
}

// ended waits until Run returns.
func (c *cloud) ended() error {
	c.t.Helper()
	select {
	case err := <-c.done:
		c.done <- err
		return err
	case <-time.After(patience):
		c.t.Fatal("the engine does not end")
		return nil
	}
}

// stream waits for the engine's next stream and its hello.
func (c *cloud) stream() (*fakeStream, *dpmv1.Hello) {
	c.t.Helper()
	select {
	case s := <-c.dpm.streams:
		s.t = c.t
		c.t.Cleanup(func() { s.close(nil) })
		h := s.next().GetHello()
		if h == nil {
			c.t.Fatal("the first message is no hello")
		}
		return s, h
	case <-time.After(patience):
		c.t.Fatalf("the engine does not connect:\n%s", c.logs)
		return nil, nil
	}
}

// welcomed is stream, welcomed.
func (c *cloud) welcomed() *fakeStream {
	c.t.Helper()
	s, _ := c.stream()
	s.welcome()
	return s
}

func (c *cloud) get(path string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+c.config.Health.Addr().String()+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// eventually waits until readiness answers status with text in it.
func (c *cloud) eventually(path string, status int, text string) {
	c.t.Helper()
	for end := time.Now().Add(patience); ; {
		got, body := c.get(path)
		if got == status && strings.Contains(body, text) {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s: %d %s, want %d with %q", path, got, body, status, text)
		}
	}
}

// logged waits until the engine's log says text.
func (c *cloud) logged(text string) {
	c.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(c.logs.String(), text); c.get("/actuator/health/liveness") {
		if time.Now().After(end) {
			c.t.Fatalf("%q is not in the log:\n%s", text, c.logs)
		}
	}
}

func TestEngineConnectsAndIsReady(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.run()
	if status, _ := c.get("/actuator/health/liveness"); status != http.StatusOK {
		t.Errorf("liveness %d before DPM answered", status)
	}
	s, hello := c.stream()
	if status, body := c.get("/actuator/health/readiness"); status != http.StatusServiceUnavailable {
		t.Errorf("ready before welcome: %d %s", status, body)
	}
	if hello.GetLabel() != "finance" || hello.GetReplica() != "finance-1" || hello.GetVersion() != "15.3.0" || hello.GetSlots() != 2 ||
		hello.GetConfigurationRevision() != 7 || strings.Join(hello.GetDrivers(), ",") != "postgresql,s3" || strings.Join(hello.GetCapabilities(), ",") != "job:profile,source:csv" {
		t.Errorf("hello %v", hello)
	}
	if !strings.HasPrefix(s.auth, "Bearer ey") {
		t.Errorf("authorization %q", s.auth)
	}
	s.send(&dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Welcome{Welcome: &dpmv1.Welcome{DpmVersion: "15.4.0", HeartbeatInterval: durationpb.New(time.Millisecond)}}})
	s.credits(2)
	c.eventually("/actuator/health/readiness", http.StatusOK, `"status":"UP"`)
	if _, body := c.get("/actuator/info"); !strings.Contains(body, `"revision":7`) || !strings.Contains(body, `"label":"finance"`) {
		t.Errorf("info %s", body)
	}
	select {
	case m := <-s.in:
		if m.GetHeartbeat() == nil {
			t.Errorf("got %v, want a heartbeat", m)
		}
	case <-time.After(patience):
		t.Error("no heartbeat")
	}
}

func TestProfileResultIsInTheObjectStorageWithItsDigest(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.put("people.csv", "name,age\nAda,36\nGrace,85\nEdgar,\n")
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "people.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	e := s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED)
	o, err := c.blobs.GetObject("results", "j1.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Contents.Close()
	b, err := io.ReadAll(o.Contents)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if r := e.GetResult(); r.GetSha256() != hex.EncodeToString(sum[:]) || r.GetSizeBytes() != int64(len(b)) || r.GetBucket() != "results" || r.GetKey() != "j1.json" {
		t.Errorf("reference %v, stored %d bytes with %x", r, len(b), sum)
	}
	var report dpe.Report
	if err := json.Unmarshal(b, &report); err != nil {
		t.Fatal(err)
	}
	if report.Profile.Rows != 3 || report.Profile.Columns[1].Numbers.Mean != 60.5 || report.Key != "people.csv" {
		t.Errorf("report %s", b)
	}
	var sum2 dpe.Summary
	if err := json.Unmarshal(e.GetPayload(), &sum2); err != nil || sum2 != (dpe.Summary{Rows: 3, Columns: 2, Nulls: 1, Complete: true}) {
		t.Errorf("summary %s, %v", e.GetPayload(), err)
	}
	s.receipt(e, true)
	s.credits(1) // the slot is free only now
}

func TestMissingObjectFailsTheJobInWords(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "nothing.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	if e := s.event(dpmv1.JobState_JOB_STATE_FAILED); !strings.Contains(e.GetError(), "sample-data/nothing.csv") || e.GetResult() != nil {
		t.Errorf("event %v", e)
	}
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.put("a.csv", "x\n1\n")
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "a.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	e := s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED)
	close(c.stop)
	if d := s.next().GetDrain(); d == nil {
		t.Fatal("no drain")
	}
	c.eventually("/actuator/health/readiness", http.StatusServiceUnavailable, "OUT_OF_SERVICE")
	s.receipt(e, true)
	select {
	case m, ok := <-s.in:
		for ok && m.GetHeartbeat() != nil {
			m, ok = <-s.in
		}
		if ok {
			t.Fatalf("got %v, want the end of the engine's side", m)
		}
	case <-time.After(patience):
		t.Fatal("the engine does not close its side")
	}
	s.close(nil)
	if err := c.ended(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestStopWithoutDPMReturnsAtOnce(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.config.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done() // a firewall that drops
		return nil, ctx.Err()
	}
	c.run()
	close(c.stop)
	if err := c.ended(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestKilledSaysNoGoodbye(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.run()
	s := c.welcomed()
	s.credits(2)
	c.kill()
	if err := c.ended(); err == nil {
		t.Error("Run returned nil")
	}
	for m := range s.in {
		if m.GetDrain() != nil {
			t.Error("a killed engine sent drain")
		}
	}
}

func TestUnsettledResultIsSentAgainAfterReconnect(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.put("a.csv", "x\n1\n")
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "a.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	first := s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED)
	s.close(status.Error(codes.Unavailable, "restart"))

	s = c.welcomed()
	again := s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED)
	if again.GetResult().GetSha256() != first.GetResult().GetSha256() || again.GetAttempt() != 1 {
		t.Errorf("first %v, again %v", first, again)
	}
	s.credits(1) // the other slot is still taken
	s.receipt(again, true)
	s.credits(1)
}

func TestRefusedResultIsDropped(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.put("a.csv", "x\n1\n")
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "a.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	s.receipt(s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED), false)
	s.credits(1)
	s.close(status.Error(codes.Unavailable, "restart"))
	s = c.welcomed()
	s.credits(2) // and no event before
}

func TestLaterAttemptReplacesTheEarlier(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.put("a.csv", "x\n1\n")
	faults := fault.New(c.config.Clock, c.config.Draw)
	c.config.Faults = faults
	if err := faults.Arm(fault.Fault{Name: "slow", Point: dpe.FaultCommand, Times: 1, Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "a.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	s.command("j1", 2, "a.csv")
	for {
		m := s.next()
		if e := m.GetEvent(); e.GetState() == dpmv1.JobState_JOB_STATE_SUCCEEDED {
			if e.GetAttempt() != 2 {
				t.Errorf("attempt %d succeeded", e.GetAttempt())
			}
			return
		}
	}
}

func TestRevokedEngineStaysUpAndSaysWhy(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.run()
	s := c.welcomed()
	s.credits(2)
	c.eventually("/actuator/health/readiness", http.StatusOK, "UP")
	s.send(&dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Goodbye{Goodbye: &dpmv1.Goodbye{
		Reason: dpmv1.GoodbyeReason_GOODBYE_REASON_REVOKED, Message: "the key was revoked",
	}}})
	s.close(status.Error(codes.PermissionDenied, "revoked"))
	c.eventually("/actuator/health/readiness", http.StatusServiceUnavailable, "the key was revoked")
	if code, _ := c.get("/actuator/health/liveness"); code != http.StatusOK {
		t.Errorf("liveness %d", code)
	}
	if !strings.Contains(c.logs.String(), "the key was revoked") {
		t.Errorf("log:\n%s", c.logs)
	}
	if err := c.config.Clock.Advance(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	c.welcomed().credits(2) // it asks again, later
}

func TestTooManyCommandsEndTheStream(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.run()
	s := c.welcomed()
	s.credits(2)
	many := &dpmv1.CommandBatch{Commands: []*dpmv1.Command{{JobId: "1"}, {JobId: "2"}, {JobId: "3"}}}
	s.send(&dpmv1.ConnectResponse{Message: &dpmv1.ConnectResponse_Commands{Commands: many}})
	c.welcomed().credits(2)
}

func TestStorageTroubleIsTriedAgain(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.put("a.csv", "x\n1\n")
	faults := fault.New(c.config.Clock, c.config.Draw)
	c.config.Faults = faults
	c.run()
	s := c.welcomed()
	s.credits(2)
	c.eventually("/actuator/health/readiness", http.StatusOK, "UP")
	if err := faults.Arm(fault.Fault{Name: "503", Point: dpe.FaultStorage, Times: 2, Err: sim.Errorf(sim.Unavailable, "try later")}); err != nil {
		t.Fatal(err)
	}
	s.command("j1", 1, "a.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED)
}

func TestConfigurationThatCannotStart(t *testing.T) {
	t.Parallel()
	withCA := func(text string) func(*dpe.Config) {
		return func(c *dpe.Config) {
			c.CA = append(c.CA, dpe.CAFile{Name: "/etc/dpe/ca.d/corp.crt", PEM: bytes.ReplaceAll([]byte(text), []byte("@"), c.CA[0].PEM)})
		}
	}
	for want, change := range map[string]func(*dpe.Config){
		`the environment "A B" is not an environment id`:                func(c *dpe.Config) { c.Environment = "A B" },
		`the label "Not A Label" is not a DPE label`:                    func(c *dpe.Config) { c.Label = "Not A Label" },
		"the replica has no name":                                       func(c *dpe.Config) { c.Replica = "" },
		"it needs at least one slot for commands":                       func(c *dpe.Config) { c.Slots = 0 },
		"the bucket for results is missing":                             func(c *dpe.Config) { c.ObjectStorage.Bucket = "" },
		"the credential of the object storage is missing":               func(c *dpe.Config) { c.ObjectStorage.SecretKey = "" },
		"the JWT key is missing":                                        func(c *dpe.Config) { c.Key = "" },
		`its version "latest" is not a release`:                         func(c *dpe.Config) { c.Version = "latest" },
		"the URL of DPM must look like https://host":                    func(c *dpe.Config) { c.DPMURL = "http://dpm" },
		"the URL of the object storage must look like https://host":     func(c *dpe.Config) { c.ObjectStorage.URL = "https://u:p@minio/" },
		"JWK cannot be read":                                            func(c *dpe.Config) { c.Key = "c2VjcmV0" },
		`unknown driver "dbase"`:                                        func(c *dpe.Config) { c.Drivers = []sim.Driver{"dbase"} },
		"it has no directory for temporary files":                       func(c *dpe.Config) { c.Scratch = "" },
		"the directory for temporary files cannot be written":           func(c *dpe.Config) { c.Scratch += "/missing" },
		"the CA file /etc/dpe/ca.d/corp.crt holds no certificate":       withCA("hello"),
		"corp.crt holds a block that is cut off or damaged":             withCA("@-----BEGIN CERTIFICATE-----\nMIIB"),
		"corp.crt holds a PRIVATE KEY where only certificates belong":   withCA("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n@"),
		"corp.crt holds something else than a certificate in block 2 (": withCA("a comment\n@-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			defer c.config.Health.Close()
			change(&c.config)
			err := dpe.Run(t.Context(), c.config)
			msg, help := sim.Explain(err)
			if sim.KindOf(err) != sim.Invalid || !strings.HasPrefix(msg, "the DPE cannot start: ") || !strings.Contains(msg, want) || help == "" || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("got %v (%s; %s), want %q", err, msg, help, want)
			}
		})
	}
}

// cutter breaks the connection of a response after some bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func TestBrokenDownloadIsTakenUpWhereItBroke(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ranges []string
	c := newCloud(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			ranges = append(ranges, r.Header.Get("Range"))
			first := len(ranges) == 1
			mu.Unlock()
			if first {
				w = &cutter{w, 200_000}
			}
			next.ServeHTTP(w, r)
		})
	})
	c.put("big.csv", "v\n"+strings.Repeat("1\n", 200_000))
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "big.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	e := s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED)
	var sum dpe.Summary
	if err := json.Unmarshal(e.GetPayload(), &sum); err != nil || sum.Rows != 200_000 {
		t.Errorf("summary %s, %v", e.GetPayload(), err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ranges) != 2 || ranges[0] != "" || ranges[1] != "bytes=200000-" {
		t.Errorf("ranges asked for: %q", ranges)
	}
}

func TestDrainTimeoutLeavesJobsUndone(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	faults := fault.New(c.config.Clock, c.config.Draw)
	c.config.Faults = faults
	if err := faults.Arm(fault.Fault{Name: "slow", Point: dpe.FaultCommand, Delay: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "a.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	close(c.stop)
	for s.next().GetDrain() == nil {
		t.Log("before drain")
	}
	for end := time.Now().Add(patience); ; { // the timer may not be armed yet when the drain is sent
		if err := c.config.Clock.Advance(t.Context(), c.config.DrainTimeout); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-c.done:
			c.done <- err
			if err != nil || !strings.Contains(c.logs.String(), "jobs left undone") {
				t.Errorf("Run: %v, log:\n%s", err, c.logs)
			}
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("the engine does not end")
		}
	}
}

func TestUnknownKeyIsToldAndTriedAgain(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.run()
	s, _ := c.stream()
	s.close(status.Error(codes.Unauthenticated, "no component has this key"))
	c.eventually("/actuator/health", http.StatusServiceUnavailable, "DPM does not know this DPE: no component has this key")
	c.welcomed().credits(2)
}

func TestExpiredLicenceIsAWarning(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.config.Licence.Expires = c.config.Clock.Now().Add(-time.Hour)
	c.run()
	c.welcomed().credits(2)
	c.eventually(readiness, http.StatusOK, "UP")
	if !strings.Contains(c.logs.String(), "licence expired: ask Ataccama for a new one") {
		t.Errorf("log:\n%s", c.logs)
	}
}

func TestFullScratchFailsTheJobAndNotTheEngine(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.put("a.csv", "x\n1\n")
	faults := fault.New(c.config.Clock, c.config.Draw)
	c.config.Faults = faults
	full := &fs.PathError{Op: "write", Path: "/scratch/result.json", Err: syscall.ENOSPC}
	if err := faults.Arm(fault.Fault{Name: "full", Point: dpe.FaultScratch, Times: 1, Err: full}); err != nil {
		t.Fatal(err)
	}
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "a.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	e := s.event(dpmv1.JobState_JOB_STATE_FAILED)
	if want := "the scratch volume is full: the result cannot be written to the scratch volume: give the pod a larger one (scratch.size)"; e.GetError() != want {
		t.Errorf("got %q, want %q", e.GetError(), want)
	}
	s.receipt(e, true)
	s.credits(1)
	s.command("j2", 1, "a.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED)
}

func TestWorkingSetIsTheBaseAndWhatJobsHold(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	var rows strings.Builder
	rows.WriteString("id,name\n")
	for i := range 5000 {
		fmt.Fprintf(&rows, "%d,name %d\n", i, i)
	}
	c.put("people.csv", rows.String())
	var mu sync.Mutex
	var told []int64
	c.config.Memory = func(bytes int64) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, bytes)
	}
	c.run()
	s := c.welcomed()
	s.credits(2)
	s.command("j1", 1, "people.csv")
	s.event(dpmv1.JobState_JOB_STATE_RUNNING)
	s.event(dpmv1.JobState_JOB_STATE_SUCCEEDED)
	mu.Lock()
	defer mu.Unlock()
	base, most := told[0], slices.Max(told)
	if base < 256<<20 || told[len(told)-1] != base || most < base+200<<10 || most > base+16<<20 {
		t.Errorf("base %d, most %d, at the end %d bytes", base, most-base, told[len(told)-1]-base)
	}
}
