package objstore

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/dpesim/dpesim/sim/clock"
)

// openPlain opens a store without TLS that is asked through its handler.
func openPlain(t *testing.T) *Server {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{
		Environment: "acme", Dir: filepath.Join(dir, "blobs"), Path: filepath.Join(dir, "objects.db"), Listener: ln,
		Clock: clock.NewFrozen(time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)), // of AWS's example
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.PutCredential(t.Context(), Credential{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: exampleSecret}); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureBucket(t.Context(), "examplebucket"); err != nil {
		t.Fatal(err)
	}
	return s
}

// seal signs a request without a body and gives the signature.
func seal(t *testing.T, s *Server, req *http.Request, payload string) string {
	t.Helper()
	req.Header.Set("X-Amz-Content-Sha256", payload)
	err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(t.Context(),
		aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: exampleSecret}, req, payload, "s3", "us-east-1", s.opt.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, sig, _ := strings.Cut(req.Header.Get("Authorization"), "Signature=")
	return sig
}

func TestStreamedBodiesAreVerifiedAndDecoded(t *testing.T) {
	t.Parallel()
	s := openPlain(t)
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	crc := newChecksum("X-Amz-Checksum-Crc64nvme")
	_, _ = crc.Write(data)
	good, bad := "x-amz-checksum-crc64nvme:"+encodeChecksum(crc), "x-amz-checksum-crc64nvme:AAAAAAAAAAA="
	for _, x := range []struct {
		name, payload, trailer string
		tamper                 func(string) string
		status                 int
		code                   string
	}{
		{"signed", streamingSigned, "", nil, 200, ""},
		{"signed-trailer", streamingSignedTrail, good, nil, 200, ""},
		{"signed-bad-checksum", streamingSignedTrail, bad, nil, 400, "BadDigest"},
		{"tampered", streamingSigned, "", func(w string) string { return strings.Replace(w, "0123456789", "0123456780", 1) }, 403, "SignatureDoesNotMatch"},
		{"cut", streamingSigned, "", func(w string) string { return w[:len(w)/2] }, 400, "IncompleteBody"},
		{"unsigned-without-tls", streamingUnsignedTrail, good, nil, 400, "InvalidRequest"},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://examplebucket.test/examplebucket/"+x.name, nil)
		req.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(data)))
		if x.trailer != "" {
			req.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc64nvme")
		}
		signer := exampleSigner()
		signer.previous = seal(t, s, req, x.payload)
		var wire string
		if x.trailer == "" {
			wire = encode(data, 8192, signer)
		} else {
			wire = encode(data, 8192, signer, x.trailer)
		}
		if x.tamper != nil {
			wire = x.tamper(wire)
		}
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(wire)), int64(len(wire))
		out := httptest.NewRecorder()
		s.ServeHTTP(out, req)
		if out.Code != x.status || !strings.Contains(out.Body.String(), x.code) {
			t.Errorf("%s: got %d %s, want %d %s", x.name, out.Code, out.Body, x.status, x.code)
		}
		get := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://examplebucket.test/examplebucket/"+x.name, nil)
		get.Header.Set("X-Amz-Checksum-Mode", "ENABLED")
		seal(t, s, get, emptySHA256)
		out = httptest.NewRecorder()
		s.ServeHTTP(out, get)
		if stored := out.Code == 200 && bytes.Equal(out.Body.Bytes(), data); stored != (x.status == 200) {
			t.Errorf("%s: reading back gives %d and %d bytes", x.name, out.Code, out.Body.Len())
		}
		if _, want, _ := strings.Cut(x.trailer, ":"); x.status == 200 && out.Header().Get("X-Amz-Checksum-Crc64nvme") != want {
			t.Errorf("%s: checksum %q comes back, want %q", x.name, out.Header().Get("X-Amz-Checksum-Crc64nvme"), want)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.opt.Dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("two objects left the files %v (%v)", left, err)
	}
}

// The other example of the Amazon S3 API Reference: GET with a signed range, of "Signature calculations: transferring
// payload in a single chunk". It pins the re-signing to numbers that we did not make.
func TestTheSignatureOfAWSsExampleIsAccepted(t *testing.T) {
	t.Parallel()
	s := openPlain(t)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://examplebucket.s3.amazonaws.com/test.txt", nil)
	req.Header.Set("Range", "bytes=0-9")
	req.Header.Set("X-Amz-Date", "20130524T000000Z")
	req.Header.Set("X-Amz-Content-Sha256", emptySHA256)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
	if _, err := s.authenticate(t.Context(), req); err != nil {
		t.Error(err)
	}
	req.Header.Set("Range", "bytes=0-8")
	if _, err := s.authenticate(t.Context(), req); codeOf(err) != codeSignatureDoesNotMatch {
		t.Errorf("a changed range: %v", err)
	}
}
