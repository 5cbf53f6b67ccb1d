package objstore

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// Limits of the aws-chunked coding, against clients that mean harm.
const (
	maxChunkLine = 4 << 10 // bytes of a chunk's head or of a trailer line
	maxChunk     = 5 << 30 // bytes of a chunk: the largest body that S3 takes in one request
	maxTrailers  = 8
)

// emptySHA256 is the digest of nothing.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// trailerSignature is the last trailer of a signed body.
const trailerSignature = "x-amz-trailer-signature"

// chunkSigner computes the chain of chunk signatures: each covers the one before, the first the request's own.
// Source: Amazon S3 API Reference, "Signature calculations for the authorization header: transferring payload in multiple
// chunks" and its sibling on trailers.
type chunkSigner struct {
	key      []byte
	date     string
	scope    string
	previous string
}

func (c *chunkSigner) chunk(digest string) string {
	return c.sign(algorithm+"-PAYLOAD", emptySHA256+"\n"+digest)
}

func (c *chunkSigner) trailer(digest string) string { return c.sign(algorithm+"-TRAILER", digest) }

func (c *chunkSigner) sign(what, covered string) string {
	c.previous = hex.EncodeToString(hmacSHA256(c.key, strings.Join([]string{what, c.date, c.scope, c.previous, covered}, "\n")))
	return c.previous
}

// chunked decodes an aws-chunked body. Data is handed out before its chunk's signature has been seen, so nothing may be
// done with it before io.EOF.
type chunked struct {
	in      *bufio.Reader
	signer  *chunkSigner // nil: chunks are not signed
	trailed bool         // trailers follow the last chunk

	left      int64     // bytes of the chunk in hand
	digest    hash.Hash // of the chunk in hand
	signature string    // that it claims
	trailers  map[string]string
	err       error
}

func newChunked(r io.Reader, signer *chunkSigner, trailed bool) *chunked {
	return &chunked{in: bufio.NewReaderSize(r, maxChunkLine), signer: signer, trailed: trailed, digest: sha256.New(), trailers: map[string]string{}}
}

// trailer gives a trailer's value, once Read has returned io.EOF. The name is in lower case.
func (c *chunked) trailer(name string) string { return c.trailers[name] }

func (c *chunked) Read(p []byte) (n int, err error) {
	if c.err == nil && c.left == 0 {
		c.err = c.next()
	}
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n, err = c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.signer != nil {
		_, _ = c.digest.Write(p[:n])
	}
	switch {
	case err != nil:
		c.err = unexpected(err)
	case c.left == 0:
		if c.err = c.blank(); c.err == nil {
			c.err = c.verifyChunk()
		}
	}
	return n, c.err
}

// next reads the head of a chunk; at the last one it reads and checks what is left and returns io.EOF.
func (c *chunked) next() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	c.left, err = strconv.ParseInt(size, 16, 64)
	if err != nil || c.left < 0 || c.left > maxChunk || size[0] == '+' || size[0] == '-' {
		c.left = 0
		return errChunk("its size is not a hexadecimal number of at most 5 GiB")
	}
	c.signature = strings.TrimPrefix(extension, "chunk-signature=")
	if c.left > 0 {
		return nil
	}
	if err := c.verifyChunk(); err != nil {
		return err
	}
	if c.trailed {
		err = c.readTrailers()
	} else {
		err = c.blank()
	}
	if err != nil {
		return err
	}
	if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return errChunk("bytes follow the last chunk")
	}
	return io.EOF
}

func (c *chunked) verifyChunk() error {
	if c.signer == nil {
		return nil
	}
	want := c.signer.chunk(hex.EncodeToString(c.digest.Sum(nil)))
	c.digest.Reset()
	return compare(want, c.signature)
}

// readTrailers reads "name:value" lines up to an empty one, the signature's last. AWS's own example ends the signed part
// with an extra line break; both forms are taken.
func (c *chunked) readTrailers() error {
	var covered strings.Builder
	for range maxTrailers + 2 {
		line, err := c.line()
		if err != nil {
			return err
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch signature, signed := c.trailers[trailerSignature]; {
		case line == "" && c.signer != nil && !signed:
			continue
		case line == "" && c.signer == nil:
			return nil
		case line == "":
			digest := sha256.Sum256([]byte(covered.String()))
			return compare(c.signer.trailer(hex.EncodeToString(digest[:])), signature)
		case !ok || signed:
			return errChunk("a trailer is not of the form name:value, or follows the signature")
		}
		if name != trailerSignature {
			covered.WriteString(name + ":" + value + "\n")
		}
		c.trailers[name] = value
	}
	return errChunk("there are too many trailers")
}

// line reads up to a line feed and drops the line break.
func (c *chunked) line() (string, error) {
	b, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errChunk("a line is too long")
	}
	if err != nil {
		return "", unexpected(err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

func (c *chunked) blank() error {
	line, err := c.line()
	if err == nil && line != "" {
		return errChunk("its data is longer than its size says")
	}
	return err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func errChunk(why string) error {
	return newError(gofakes3.ErrIncompleteBody, "The aws-chunked body is malformed: %s", why)
}
