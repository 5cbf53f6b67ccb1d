package edge

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/sim/clock"
)

// anEdge is what a connection counts its bytes with.
var anEdge = &Edge{opt: Options{Clock: clock.New()}}

// FuzzHello: whatever comes, the parser neither panics nor reads more than its bound, keeps every byte, and says a name or
// a reason, never both.
func FuzzHello(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\xff\xff"))
	f.Add(hello("a.localhost"))
	f.Add(append(hello("a.localhost"), "tail"...))
	f.Add(hello(""))
	f.Add(hello("127.0.0.1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &conn{edge: anEdge, rest: bytes.NewReader(b)}
		name, why := c.readHello(context.Background())
		switch why {
		case "":
			if name == "" {
				t.Error("neither name nor reason")
			}
		case NoName, PlainHTTP, NoHello, BrokenHello:
		case UnknownName, SlowHello, NotAllowed, TooMany, Injected, Spoofed:
			t.Errorf("reason %q of bytes alone", why)
		default:
			t.Errorf("unknown reason %q", why)
		}
		if s := shown(name); name != "" && (s == "" || len(s) > 4*maxShown) {
			t.Errorf("%q is shown as %q", name, s)
		}
		var got bytes.Buffer
		if _, err := c.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), b) {
			t.Errorf("%d of %d bytes kept, %v", got.Len(), len(b), err)
		}
	})
}

const maxShown = 253

func TestAHelloIsReadInAnyPieces(t *testing.T) {
	t.Parallel()
	b := hello("a.localhost")
	for size := 1; size < len(b); size = size*2 + 1 {
		c := &conn{edge: anEdge, rest: &pieces{b: b, size: size}}
		if name, why := c.readHello(t.Context()); name != "a.localhost" || why != "" {
			t.Errorf("pieces of %d: %q, %q", size, name, why)
		}
	}
	long := &conn{edge: anEdge, rest: strings.NewReader("\x16\x03\x01\x3f\xff\x01\x00\xff\xff" + strings.Repeat("x", 1<<20))}
	if _, why := long.readHello(t.Context()); why != BrokenHello {
		t.Errorf("%q", why)
	}
}

type pieces struct {
	b    []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.b)
	p.b = p.b[n:]
	return n, nil
}

// hello builds a small TLS 1.2 hello by hand, with a server name unless it is empty.
func hello(name string) []byte {
	var ext []byte
	if name != "" {
		sni := append([]byte{0, byte(len(name) >> 8), byte(len(name))}, name...)
		list := append([]byte{byte(len(sni) >> 8), byte(len(sni))}, sni...)
		ext = append([]byte{0, 0, byte(len(list) >> 8), byte(len(list))}, list...)
	}
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0)                      // session id
	body = append(body, 0, 2, 0xc0, 0x2b, 1, 0) // one cipher suite, no compression
	body = append(body, byte(len(ext)>>8), byte(len(ext)))
	body = append(body, ext...)
	msg := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{0x16, 3, 1, byte(len(msg) >> 8), byte(len(msg))}, msg...)
}
