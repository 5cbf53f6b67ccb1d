package edge

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxHello is how many bytes of a connection are read to find the name, in bytes. A hello with a post-quantum key share is about
// 1.8 kB; RFC 8446 5.1 bounds one record at 16 KiB.
const maxHello = 16 << 10

var (
	errHelloTooLong = errors.New("the hello is longer than 16 KiB")
	errSeen         = errors.New("the hello was seen")
)

// readHello reads up to the end of the TLS hello and gives the host it names. What was read stays to be read again.
// The reason is empty if all is well.
func (c *conn) readHello(ctx context.Context) (name string, why Reason) {
	rec := &recorder{r: c.rest}
	name, why = parseHello(ctx, rec)
	c.rest = io.MultiReader(bytes.NewReader(rec.read), c.rest)
	return name, why
}

func parseHello(ctx context.Context, rec *recorder) (name string, why Reason) {
	if !rec.looksLikeTLS() {
		isHTTP := rec.looksLikeHTTP()
		switch {
		case isHTTP:
			return "", PlainHTTP
		case errors.Is(rec.err, os.ErrDeadlineExceeded):
			return "", SlowHello
		case len(rec.read) == 0:
			return "", NoHello
		}
		return "", BrokenHello
	}
	seen := false
	server := tls.Server(rec, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name, seen = hello.ServerName, true
		return nil, errSeen
	}})
	_ = server.HandshakeContext(context.WithoutCancel(ctx)) // fails always, with errSeen if the hello was good
	switch {
	case errors.Is(rec.err, os.ErrDeadlineExceeded):
		return "", SlowHello
	case !seen:
		return "", BrokenHello
	case name == "":
		return "", NoName
	}
	return name, ""
}

// recorder is the connection that crypto/tls's parser reads a hello from: it keeps what was read, reads no more than
// [maxHello] bytes, and writes nothing.
type recorder struct {
	r    io.Reader
	read []byte // all that was read from r
	next int    // where the parser is in read
	err  error  // the last error of r
}

const recordHandshake = 0x16 // TLS record type (RFC 8446 5.1)

// looksLikeTLS reads the first byte ahead.
func (r *recorder) looksLikeTLS() bool { return r.ahead(1) && r.read[0] == recordHandshake }

// looksLikeHTTP reads ahead until it is decided whether the first word is a method of HTTP, or the preface of HTTP/2.
func (r *recorder) looksLikeHTTP() bool {
	for {
		undecided := false
		for _, m := range []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
			http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, "PRI",
		} {
			m += " "
			if bytes.HasPrefix(r.read, []byte(m)) {
				return true
			}
			undecided = undecided || strings.HasPrefix(m, string(r.read))
		}
		if len(r.read) == 0 || !undecided || !r.ahead(len(r.read)+1) {
			return false
		}
	}
}

// ahead reads until n bytes are there, for the parser to read again.
func (r *recorder) ahead(n int) bool {
	b := make([]byte, 512)
	for len(r.read) < n {
		if _, err := r.fill(b); err != nil {
			return false
		}
	}
	return true
}

func (r *recorder) fill(b []byte) (int, error) {
	left := maxHello - len(r.read)
	if left == 0 {
		r.err = errHelloTooLong
		return 0, r.err
	}
	n, err := r.r.Read(b[:min(len(b), left)])
	r.read = append(r.read, b[:n]...)
	if err != nil {
		r.err = err
	}
	return n, err
}

// Read gives the parser what was read ahead, then more.
func (r *recorder) Read(b []byte) (int, error) {
	if r.next < len(r.read) {
		n := copy(b, r.read[r.next:])
		r.next += n
		return n, nil
	}
	n, err := r.fill(b)
	r.next += n
	return n, err
}

func (*recorder) Write(b []byte) (int, error)      { return len(b), nil } // the parser's alert: the client gets the edge's own
func (*recorder) Close() error                     { return nil }
func (*recorder) LocalAddr() net.Addr              { return nil }
func (*recorder) RemoteAddr() net.Addr             { return nil }
func (*recorder) SetDeadline(time.Time) error      { return nil }
func (*recorder) SetReadDeadline(time.Time) error  { return nil }
func (*recorder) SetWriteDeadline(time.Time) error { return nil }

// alertUnrecognizedName is the fatal TLS alert 112 (RFC 6066 3) in a record of TLS 1.2, which clients of every version read.
var alertUnrecognizedName = []byte{0x15, 3, 3, 0, 2, 2, 112}

// answer ends a refused connection as a layer 4 balancer would: by a reset. Where the client is otherwise left guessing, it
// is told in its own protocol first, and then has until the hello's time is over to hang up.
func (e *Edge) answer(c *conn, why Reason) {
	var words []byte
	switch why {
	case UnknownName, NoName:
		words = alertUnrecognizedName
	case PlainHTTP:
		words = e.plainHTTP(c)
	case BrokenHello, SlowHello, NoHello, NotAllowed, TooMany, Injected, Spoofed:
		reset(c.TCPConn)
		return
	}
	if _, err := c.Write(words); err == nil && c.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c.TCPConn, 64<<10) // closing with bytes unread would reset, and lose the words
	}
	_ = c.TCPConn.Close()
}

// plainHTTP is the answer to a request without TLS: reading one from a host that has a route is sent to the same address
// under https, since some clients insist on plain HTTP first where a registry is on localhost (Helm up to 3.13 among
// them). Everything else gets status 400 and a sentence.
func (e *Edge) plainHTTP(c *conn) []byte {
	status, head := http.StatusBadRequest, ""
	body := fmt.Sprintf("This port speaks TLS, and the request came as plain HTTP.\nUse https:// with the host name of a service, "+
		"for example https://portal.dpesim.localhost:%d/\n", e.Port())
	req, err := http.ReadRequest(bufio.NewReader(io.LimitReader(c.rest, maxHello)))
	if err == nil {
		if to, ok := e.secure(req); ok {
			status, head = http.StatusPermanentRedirect, "Location: "+to+"\r\n"
		}
		if req.Method == http.MethodHead {
			body = ""
		}
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), head, len(body), body)
}

// secure gives the address under https of what req asks for, if it only reads and its host has a route here.
func (e *Edge) secure(req *http.Request) (address string, ok bool) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return "", false
	}
	u := url.URL{Scheme: "https", Host: req.Host}
	if e.route(u.Hostname()) == nil {
		return "", false
	}
	return u.String() + req.URL.RequestURI(), true
}
