package objstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/dpesim/dpesim/objstore"
)

func listBuckets(ctx context.Context, c *s3.Client) error {
	_, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	return err
}

func TestRequestsThatAreNotRightlySignedAreRefused(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	if err := listBuckets(t.Context(), f.s3(operator)); err != nil {
		t.Fatalf("the right credential is refused: %v", err)
	}
	wrong := objstore.Credential{AccessKey: operator.AccessKey, SecretKey: "another-secret"}
	wantCode(t, listBuckets(t.Context(), f.s3(wrong)), 403, "SignatureDoesNotMatch")
	unknown := objstore.Credential{AccessKey: "NOBODY", SecretKey: operator.SecretKey}
	wantCode(t, listBuckets(t.Context(), f.s3(unknown)), 403, "InvalidAccessKeyId")
	wantCode(t, listBuckets(t.Context(), f.s3(operator, func(o *s3.Options) { o.Region = "eu-west-1" })), 400, "AuthorizationHeaderMalformed")
	wantCode(t, listBuckets(t.Context(), f.s3(operator, func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} })), 403, "AccessDenied")

	e := told(t, f, "request refused")
	if e.Detail["reason"] != "SignatureDoesNotMatch" || e.Detail["access_key"] != operator.AccessKey {
		t.Errorf("got event %+v", e)
	}
	for _, e := range f.bus.Since(0) {
		for _, v := range e.Detail {
			if strings.Contains(v, "secret") {
				t.Errorf("an event holds a secret: %+v", e)
			}
		}
	}
}

func TestRefusalsAreToldOnceInAWhile(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	now := f.clock.Now()
	f.clock.Freeze()
	c := f.s3(objstore.Credential{AccessKey: "NOBODY", SecretKey: "nothing-secret"})
	for range 5 {
		_ = listBuckets(t.Context(), c)
	}
	if err := f.clock.Advance(t.Context(), 11*time.Second); err != nil {
		t.Fatal(err)
	}
	_ = listBuckets(t.Context(), c)
	var got []string
	for _, e := range f.bus.Since(0) {
		if e.What == "request refused" {
			got = append(got, e.Detail["suppressed"])
		}
	}
	if want := []string{"", "4"}; !slices.Equal(got, want) {
		t.Errorf("suppressed counts of the events are %q, want %q (from %v)", got, want, now)
	}
}

func TestAWithdrawnCredentialIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	c := f.s3(operator)
	if err := listBuckets(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteCredential(t.Context(), operator.AccessKey); err != nil {
		t.Fatal(err)
	}
	wantCode(t, listBuckets(t.Context(), c), 403, "InvalidAccessKeyId")
	again := operator
	again.SecretKey = "a-new-secret"
	if err := f.PutCredential(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	wantCode(t, listBuckets(t.Context(), c), 403, "SignatureDoesNotMatch")
	if err := listBuckets(t.Context(), f.s3(again)); err != nil {
		t.Error(err)
	}
	all, err := f.Credentials(t.Context())
	if err != nil || len(all) != 3 || slices.ContainsFunc(all, func(c objstore.Credential) bool { return c.SecretKey != "" }) {
		t.Errorf("got credentials %+v, %v", all, err)
	}
}

func TestAClientWhoseClockIsOffIsRefused(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	ctx := t.Context()
	f.clock.Freeze()
	for _, x := range []struct {
		by time.Duration
		ok bool
	}{{14 * time.Minute, true}, {16 * time.Minute, false}} {
		base := time.Now()
		if err := f.clock.Set(ctx, base.Add(x.by)); err != nil {
			t.Fatal(err)
		}
		// A fresh client each time: the SDK learns the skew from the Date header and corrects itself.
		err := listBuckets(ctx, f.s3(operator))
		if x.ok && err != nil {
			t.Errorf("off by %v: %v", x.by, err)
		}
		if !x.ok {
			wantCode(t, err, 403, "RequestTimeTooSkewed")
		}
	}
	learned := f.s3(operator, func(o *s3.Options) { o.RetryMaxAttempts = 3 })
	if err := listBuckets(ctx, learned); err != nil {
		t.Errorf("the SDK did not learn the server's time: %v", err)
	}
}

func TestPolicyOfEachCredential(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	for _, b := range []string{"sample-data", objstore.ResultsBucket, objstore.CustomDriversBucket} {
		f.bucket(t, b)
	}
	ctx := t.Context()
	put(t, f.s3(operator), "sample-data", "a", []byte("a"))
	put(t, f.s3(operator), objstore.CustomDriversBucket, "drivers.zip", []byte("zip"))

	e := f.s3(engine)
	get(t, e, "sample-data", "a")
	get(t, e, objstore.CustomDriversBucket, "drivers.zip")
	put(t, e, objstore.ResultsBucket, "r", []byte("r"))
	if ev := told(t, f, "object stored"); ev.DPE != "" {
		t.Errorf("the operator's object is told as a DPE's: %+v", ev)
	}
	_, err := e.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String(objstore.ResultsBucket), Key: aws.String("copy"), CopySource: aws.String("sample-data/a")})
	if err != nil {
		t.Errorf("an engine may copy into results: %v", err)
	}
	_, err = e.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(objstore.ResultsBucket), Key: aws.String("r")})
	if err != nil {
		t.Errorf("an engine may delete its results: %v", err)
	}
	for _, c := range []*s3.Client{e, f.s3(reader)} {
		get(t, c, "sample-data", "a")
		for _, b := range []string{"sample-data", objstore.CustomDriversBucket} {
			_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: aws.String("x"), Body: strings.NewReader("x")})
			wantCode(t, err, 403, "AccessDenied")
			_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b, Key: aws.String("a")})
			wantCode(t, err, 403, "AccessDenied")
			_, err = c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: aws.String("x")})
			wantCode(t, err, 403, "AccessDenied")
			_, err = c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("a")}}}})
			wantCode(t, err, 403, "AccessDenied")
		}
		_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("another")})
		wantCode(t, err, 403, "AccessDenied")
		_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String(objstore.ResultsBucket)})
		wantCode(t, err, 403, "AccessDenied")
	}
	_, err = f.s3(reader).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(objstore.ResultsBucket), Key: aws.String("x"), Body: strings.NewReader("x")})
	wantCode(t, err, 403, "AccessDenied")
}

func TestPresignedURLsWorkUntilTheyExpire(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "sample-data")
	put(t, f.s3(operator), "sample-data", "a b.txt", []byte("hello"))
	presign := s3.NewPresignClient(f.s3(operator))
	ctx := t.Context()

	g, err := presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("sample-data"), Key: aws.String("a b.txt"), ResponseContentType: aws.String("text/x-test")},
		s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if status, body, h := f.do(t, http.MethodGet, g.URL, nil, nil); status != 200 || body != "hello" || h.Get("Content-Type") != "text/x-test" {
		t.Errorf("presigned get: %d %q %v", status, body, h)
	}
	if status, body, _ := f.do(t, http.MethodGet, strings.Replace(g.URL, "a%20b.txt", "other", 1), nil, nil); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Errorf("presigned for another key: %d %q", status, body)
	}
	if status, body, _ := f.do(t, http.MethodDelete, g.URL, nil, nil); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Errorf("presigned for another method: %d %q", status, body)
	}
	p, err := presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("sample-data"), Key: aws.String("up")}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if status, body, _ := f.do(t, http.MethodPut, p.URL, strings.NewReader("up"), p.SignedHeader); status != 200 {
		t.Errorf("presigned put: %d %s", status, body)
	}
	smuggled := http.Header{"X-Amz-Copy-Source": {"sample-data/a%20b.txt"}}
	if status, body, _ := f.do(t, http.MethodPut, p.URL, nil, smuggled); status != 403 || !strings.Contains(body, "not signed") {
		t.Errorf("an unsigned copy source: %d %s", status, body)
	}
	if got := get(t, f.s3(operator), "sample-data", "up"); string(got) != "up" {
		t.Errorf("got %q", got)
	}
	if err := f.clock.Advance(ctx, 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := f.do(t, http.MethodGet, g.URL, nil, nil); status != 403 || !strings.Contains(body, "Request has expired") {
		t.Errorf("expired: %d %q", status, body)
	}
}

// do sends a request as it is and gives status, body and header.
func (f *fixture) do(tb testing.TB, method, url string, body io.Reader, h http.Header) (int, string, http.Header) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, body)
	if err != nil {
		tb.Fatal(err)
	}
	maps.Copy(req.Header, h)
	return f.send(tb, req)
}

func (f *fixture) send(tb testing.TB, req *http.Request) (int, string, http.Header) {
	tb.Helper()
	res, err := f.client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return res.StatusCode, string(out), res.Header
}

// signed makes a request signed for a body with the digest; body is what is really sent.
func (f *fixture) signed(tb testing.TB, c objstore.Credential, method, path, digest string, body []byte, h http.Header) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, f.url+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	maps.Copy(req.Header, h)
	req.Header.Set("X-Amz-Content-Sha256", digest)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	err = signer.SignHTTP(tb.Context(), aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey.Reveal()}, req, digest, "s3", objstore.DefaultRegion, f.clock.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return req
}

func digestOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestATamperedBodyIsNotStored(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "sample-data")
	good, bad := noise(100<<10), noise(100<<10)
	bad[50<<10] ^= 1
	for _, x := range []struct {
		name, digest, code string
		h                  http.Header
	}{
		{"digest", digestOf(good), "XAmzContentSHA256Mismatch", nil},
		{"md5", digestOf(bad), "BadDigest", http.Header{"Content-Md5": {"AAAAAAAAAAAAAAAAAAAAAA=="}}},
		{"checksum", digestOf(bad), "BadDigest", http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA=="}}},
		{"no digest", "whatever", "InvalidArgument", nil},
	} {
		status, body, _ := f.send(t, f.signed(t, operator, http.MethodPut, "/sample-data/"+x.name[:2], x.digest, bad, x.h))
		if status != 400 || !strings.Contains(body, "<Code>"+x.code+"</Code>") {
			t.Errorf("%s: got %d %s, want %s", x.name, status, body, x.code)
		}
	}
	req := f.signed(t, operator, http.MethodPut, "/sample-data/x", digestOf(good), good, http.Header{"X-Amz-Meta-A": {"1"}})
	req.Header.Set("X-Amz-Meta-A", "2")
	if status, body, _ := f.send(t, req); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Errorf("a changed header: %d %s", status, body)
	}
	del := []byte(`<Delete><Object><Key>x</Key></Object></Delete>`)
	if status, body, _ := f.send(t, f.signed(t, operator, http.MethodPost, "/sample-data?delete=", digestOf(good), del, nil)); status != 400 || !strings.Contains(body, "XAmzContentSHA256Mismatch") {
		t.Errorf("a changed document: %d %s", status, body)
	}
	out, err := f.s3(operator).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("sample-data")})
	if err != nil || len(out.Contents) != 0 {
		t.Errorf("stored all the same: %v %v", out, err)
	}
}

func TestErrorsAreS3Documents(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	req := f.signed(t, operator, http.MethodGet, "/none/key", digestOf(nil), nil, nil)
	status, body, h := f.send(t, req)
	var e struct {
		XMLName                 xml.Name `xml:"Error"`
		Code, Message, Resource string
		RequestID               string `xml:"RequestId"`
	}
	if err := xml.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	if status != 404 || e.Code != "NoSuchBucket" || e.Resource != "/none/key" || e.RequestID == "" || e.RequestID != h.Get("X-Amz-Request-Id") || h.Get("Content-Type") != "application/xml" {
		t.Errorf("got %d %+v %v", status, e, h)
	}
	for _, x := range []struct{ method, path, code string }{
		{http.MethodPut, "/none/key?tagging=", "NotImplemented"},
		{http.MethodGet, "/none?policy=", "NotImplemented"},
		{http.MethodPost, "/none", "NotImplemented"},
		{http.MethodPatch, "/none/key", "MethodNotAllowed"},
	} {
		_, body, _ := f.send(t, f.signed(t, operator, x.method, x.path, digestOf(nil), nil, nil))
		if !strings.Contains(body, "<Code>"+x.code+"</Code>") {
			t.Errorf("%s %s: got %s, want %s", x.method, x.path, body, x.code)
		}
	}
	if status, body, _ := f.do(t, http.MethodGet, f.url+"/", nil, http.Header{"Authorization": {"AWS OPERATOR:c2ln"}}); status != 400 || !strings.Contains(body, "InvalidRequest") {
		t.Errorf("version 2 signatures: %d %s", status, body)
	}
	req = f.signed(t, operator, http.MethodGet, "/", digestOf(nil), nil, nil)
	req.Header.Del("X-Amz-Content-Sha256")
	if status, body, _ := f.send(t, req); status != 400 || !strings.Contains(body, "MissingSecurityHeader") {
		t.Errorf("no digest: %d %s", status, body)
	}
}
