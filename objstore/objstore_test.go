package objstore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/draw"
	"github.com/dpesim/dpesim/sim/event"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/pki"
)

// The credentials that every test store has.
var (
	operator = objstore.Credential{AccessKey: "OPERATOR", SecretKey: "operator-secret"}
	reader   = objstore.Credential{AccessKey: "READER", SecretKey: "reader-secret", ReadOnly: true}
	engine   = objstore.Credential{AccessKey: "ENGINE", SecretKey: "engine-secret", Label: "finance"}
)

// fixture is a store over loopback TLS.
type fixture struct {
	*objstore.Server
	clock  *clock.Clock
	bus    *event.Bus
	faults *fault.Set
	ca     *pki.CA
	url    string
	client *http.Client
	stop   func()
}

// start opens a store in dir ("": a new one) and serves it until the test ends.
func start(tb testing.TB, dir string) *fixture {
	tb.Helper()
	if dir == "" {
		dir = tb.TempDir()
	}
	c := clock.New()
	f := &fixture{clock: c, bus: event.New(c, 0), faults: fault.New(c, draw.New(1))}
	ca, err := pki.Open(filepath.Join(dir, "ca"), c)
	if err != nil {
		tb.Fatal(err)
	}
	f.ca = ca
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f.Server, err = objstore.Open(tb.Context(), objstore.Options{
		Environment: "acme", Dir: filepath.Join(dir, "blobs"), Path: filepath.Join(dir, "objects.db"),
		Listener: ln, TLS: ca.ServerTLS("127.0.0.1", "localhost"), Clock: c, Bus: f.bus, Faults: f.faults,
		Log: slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		tb.Fatal(err)
	}
	for _, c := range []objstore.Credential{operator, reader, engine} {
		if err := f.PutCredential(tb.Context(), c); err != nil {
			tb.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx) }()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}}
	f.client = &http.Client{Transport: tr}
	f.url = "https://localhost:" + port(ln)
	f.stop = func() {
		cancel()
		if err := <-served; err != nil {
			tb.Error(err)
		}
		tr.CloseIdleConnections()
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
		f.stop = func() {}
	}
	tb.Cleanup(func() { f.stop() })
	return f
}

func port(ln net.Listener) string {
	_, p, _ := net.SplitHostPort(ln.Addr().String())
	return p
}

// s3 gives the real SDK's client.
func (f *fixture) s3(c objstore.Credential, opt ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(f.url), UsePathStyle: true, Region: objstore.DefaultRegion, HTTPClient: f.client,
		Credentials:      credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey.Reveal(), ""),
		RetryMaxAttempts: 1,
	}, opt...)
}

// bucket makes a bucket.
func (f *fixture) bucket(tb testing.TB, name string) {
	tb.Helper()
	if err := f.EnsureBucket(tb.Context(), name); err != nil {
		tb.Fatal(err)
	}
}

// put stores through the SDK.
func put(tb testing.TB, c *s3.Client, bucket, key string, data []byte) *s3.PutObjectOutput {
	tb.Helper()
	out, err := c.PutObject(tb.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)})
	if err != nil {
		tb.Fatalf("put %s/%s: %v", bucket, key, err)
	}
	return out
}

// get reads through the SDK.
func get(tb testing.TB, c *s3.Client, bucket, key string) []byte {
	tb.Helper()
	out, err := c.GetObject(tb.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		tb.Fatalf("get %s/%s: %v", bucket, key, err)
	}
	defer func() { _ = out.Body.Close() }()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		tb.Fatalf("read %s/%s: %v", bucket, key, err)
	}
	return data
}

// wantCode checks the S3 code and the status of an SDK error, and that the answer names its request.
func wantCode(tb testing.TB, err error, status int, code string) {
	tb.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		tb.Errorf("got error %v, want S3 code %s", err, code)
		return
	}
	re, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
		ServiceRequestID() string
	}](err)
	if !ok {
		tb.Fatalf("no response in %v", err)
	}
	if api.ErrorCode() != code || re.HTTPStatusCode() != status {
		tb.Errorf("got %d %s (%s), want %d %s", re.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code)
	}
	if re.ServiceRequestID() == "" {
		tb.Errorf("the answer has no request id: %v", err)
	}
}

// noise is data that does not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

// told waits for an event.
func told(tb testing.TB, f *fixture, what string) sim.Event {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	sub := f.bus.Subscribe(0)
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			tb.Fatalf("no event %q: %v", what, err)
		}
		if e.What == what {
			return e
		}
	}
}

func TestObjectIsReadBackAsItWasStored(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "sample-data")
	c := f.s3(operator)
	for _, size := range []int{0, 1, 4096, 300 << 10, 3 << 20} {
		key, data := fmt.Sprintf("folder/ümlaut & plus+ %d.bin", size), noise(size)
		put(t, c, "sample-data", key, data)
		if got := get(t, c, "sample-data", key); !bytes.Equal(got, data) {
			t.Errorf("got %d other bytes, want the %d that were put", len(got), len(data))
		}
	}
	e := told(t, f, "object stored")
	if e.Part != sim.PartObjstore || e.Environment != "acme" || e.Detail["bucket"] != "sample-data" || e.Detail["size_bytes"] != "0" {
		t.Errorf("got event %+v", e)
	}
}

func TestHeadersComeBackWithTheObject(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "sample-data")
	c := f.s3(operator)
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("sample-data"), Key: aws.String("a.csv"), Body: bytes.NewReader([]byte("a,b\n")),
		ContentType: aws.String("text/csv"), CacheControl: aws.String("no-store"), Metadata: map[string]string{"origin": "faa"},
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("sample-data"), Key: aws.String("a.csv")})
	if err != nil {
		t.Fatal(err)
	}
	if *h.ContentType != "text/csv" || *h.CacheControl != "no-store" || h.Metadata["origin"] != "faa" || *h.ContentLength != 4 || h.ContentEncoding != nil {
		t.Errorf("got head %+v", h)
	}
	if d := f.clock.Now().Sub(*h.LastModified); d < -2*time.Second || d > time.Minute {
		t.Errorf("last modified is %v away from now", d)
	}
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("sample-data"), Key: aws.String("none")})
	wantCode(t, err, 404, "NotFound")
}

func TestRangesAreCutRight(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "sample-data")
	c := f.s3(operator)
	data := []byte("0123456789")
	put(t, c, "sample-data", "digits", data)
	for _, x := range []struct{ rng, want string }{{"bytes=0-0", "0"}, {"bytes=3-5", "345"}, {"bytes=7-", "789"}, {"bytes=-2", "89"}, {"bytes=-99", "0123456789"}, {"bytes=8-99", "89"}} {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("sample-data"), Key: aws.String("digits"), Range: &x.rng})
		if err != nil {
			t.Errorf("%s: %v", x.rng, err)
			continue
		}
		got, err := io.ReadAll(out.Body)
		if string(got) != x.want || err != nil || *out.ContentLength != int64(len(x.want)) {
			t.Errorf("%s: got %q (%v), want %q", x.rng, got, err, x.want)
		}
	}
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("sample-data"), Key: aws.String("digits"), Range: aws.String("bytes=10-")})
	wantCode(t, err, 416, "InvalidRange")
}
