package objstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dpesim/dpesim/sim"
)

// The example of the Amazon S3 API Reference, "Signature calculations for the authorization header: transferring payload
// in multiple chunks": 65 KiB of 'a' in chunks of 64 KiB.
const (
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleSeed   = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
)

func exampleChunks() []string {
	return []string{
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	}
}

func exampleSigner() *chunkSigner {
	a := authorization{day: "20130524", region: "us-east-1", service: "s3"}
	return &chunkSigner{key: signingKey(sim.Secret(exampleSecret), a), date: "20130524T000000Z", scope: a.scope(), previous: exampleSeed}
}

// encode writes data as aws-chunked; a nil signer leaves signatures out, trailers are "name:value".
func encode(data []byte, chunk int, s *chunkSigner, trailers ...string) string {
	var b strings.Builder
	for more := true; more; {
		c := data[:min(chunk, len(data))]
		data, more = data[len(c):], len(c) > 0
		fmt.Fprintf(&b, "%x", len(c))
		if s != nil {
			sum := sha256.Sum256(c)
			b.WriteString(";chunk-signature=" + s.chunk(hex.EncodeToString(sum[:])))
		}
		b.WriteString("\r\n" + string(c))
		if more {
			b.WriteString("\r\n")
		}
	}
	var covered []byte
	for _, t := range trailers {
		b.WriteString(t + "\r\n")
		covered = append(covered, t+"\n"...)
	}
	if s != nil && covered != nil {
		sum := sha256.Sum256(covered)
		b.WriteString(trailerSignature + ":" + s.trailer(hex.EncodeToString(sum[:])) + "\r\n")
	}
	return b.String() + "\r\n"
}

func TestChunkSignaturesAreThoseOfAWSsExample(t *testing.T) {
	t.Parallel()
	wire := encode(bytes.Repeat([]byte("a"), 65<<10), 64<<10, exampleSigner())
	for _, want := range exampleChunks() {
		if !strings.Contains(wire, want) {
			t.Errorf("no chunk has the signature %s", want)
		}
	}
}

func TestChunkedBodiesAreDecodedOrRefused(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789"), 1000)
	signed, trailed := encode(data, 4096, exampleSigner()), encode(data, 4096, exampleSigner(), "x-amz-checksum-crc32:AAAAAA==")
	plain := encode(data, 4096, nil, "x-amz-checksum-crc32:AAAAAA==")
	for _, x := range []struct {
		name, wire      string
		signed, trailed bool
		ok              bool
	}{
		{"signed", signed, true, false, true},
		{"signed with trailer", trailed, true, true, true},
		{"signed with trailer as in AWS's example", strings.Replace(trailed, "==\r\n", "==\n\r\n", 1), true, true, true},
		{"unsigned with trailer", plain, false, true, true},
		{"changed byte", strings.Replace(signed, "0123456789", "0123456780", 1), true, false, false},
		{"changed trailer", strings.Replace(trailed, "AAAAAA==", "AAAAAB==", 1), true, true, false},
		{"no trailer signature", strings.Replace(trailed, trailerSignature, "x-amz-other", 1), true, true, false},
		{"no signatures", plain, true, true, false},
		{"chunks swapped", signed[4096+90:], true, false, false},
		{"cut in a chunk", signed[:3000], true, false, false},
		{"cut before the last chunk", signed[:len(signed)-90], true, false, false},
		{"bytes behind", signed + "x", true, false, false},
		{"negative size", "-5\r\nabc\r\n0\r\n\r\n", false, true, false},
		{"huge size", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", false, true, false},
		{"no size", "\r\n\r\n", false, true, false},
		{"data longer than said", "3\r\nabcd\r\n0\r\n\r\n", false, true, false},
		{"endless head", strings.Repeat("0", 10<<10), false, true, false},
	} {
		for _, one := range []bool{false, true} {
			var r io.Reader = strings.NewReader(x.wire)
			if one {
				r = iotest.OneByteReader(r)
			}
			var s *chunkSigner
			if x.signed {
				s = exampleSigner()
			}
			c := newChunked(r, s, x.trailed)
			got, err := io.ReadAll(c)
			if x.ok != (err == nil) {
				t.Errorf("%s: got error %v", x.name, err)
			}
			if x.ok && !bytes.Equal(got, data) {
				t.Errorf("%s: got %d other bytes", x.name, len(got))
			}
			if x.ok && x.trailed && c.trailer("x-amz-checksum-crc32") != "AAAAAA==" {
				t.Errorf("%s: trailers are %v", x.name, c.trailers)
			}
		}
	}
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte(encode([]byte("hello"), 2, nil, "x-amz-checksum-crc32:AAAAAA==")), false)
	f.Add([]byte(encode([]byte("hello"), 2, exampleSigner())), true)
	f.Add([]byte("5;x\r\nhello\r\n0\r\n\n"), false)
	f.Fuzz(func(t *testing.T, wire []byte, signed bool) {
		var s *chunkSigner
		if signed {
			s = exampleSigner()
		}
		c := newChunked(bytes.NewReader(wire), s, !signed)
		got, err := io.ReadAll(c)
		if len(got) > len(wire) {
			t.Fatalf("%d bytes came out of %d", len(got), len(wire))
		}
		if err == nil && !signed { // what was accepted means the same once more
			again, err := io.ReadAll(newChunked(strings.NewReader(encode(got, 1000, nil)), nil, true))
			if err != nil || !bytes.Equal(got, again) {
				t.Fatalf("%q comes back as %q, %v", got, again, err)
			}
		}
		if _, again := c.Read(make([]byte, 1)); err == nil && !errors.Is(again, io.EOF) {
			t.Fatalf("after the end: %v", again)
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIA/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + exampleSeed)
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=,Signature=")
	f.Add("AWS AKIA:c2ln")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err != nil {
			if s := statusOf(codeOf(err)); s != 400 {
				t.Fatalf("a malformed header gets status %d", s)
			}
			return
		}
		same := fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s", algorithm, a.accessKey, a.scope(), strings.Join(a.signed, ";"), a.signature)
		if b, err := parseAuthorization(same); err != nil || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("%q reads as %v, written and read again as %v (%v)", header, a, b, err)
		}
	})
}

func TestEveryKindHasAnS3Status(t *testing.T) {
	t.Parallel()
	for _, k := range sim.Kinds() {
		code := codeOfKind(k)
		if got := statusOf(code); got < 400 || (got == 500) != (k == sim.Internal) {
			t.Errorf("%v becomes %s with status %d", k, code, got)
		}
	}
}

func TestInternalErrorsStayInside(t *testing.T) {
	t.Parallel()
	err := forClient(fmt.Errorf("open /secret/path: %w", io.ErrClosedPipe))
	if strings.Contains(err.Error(), "secret") || codeOf(err) != "InternalError" {
		t.Errorf("a client sees %v", err)
	}
}
