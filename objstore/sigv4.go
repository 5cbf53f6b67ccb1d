package objstore

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"

	"github.com/dpesim/dpesim/sim"
)

// Signature Version 4. Source: Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)".
const (
	algorithm  = "AWS4-HMAC-SHA256"
	service    = "s3"
	terminator = "aws4_request"
	timeLayout = "20060102T150405Z"
	maxSkew    = 15 * time.Minute
	maxExpires = 7 * 24 * time.Hour // of a presigned URL
)

// authorization is what a request says of its signature.
type authorization struct {
	accessKey, day, region, service string // the credential's scope
	signed                          []string
	signature                       string
}

// scope is the credential without the access key.
func (a authorization) scope() string {
	return strings.Join([]string{a.day, a.region, a.service, terminator}, "/")
}

// parseAuthorization reads an Authorization header.
func parseAuthorization(header string) (authorization, error) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return authorization{}, newError(codeInvalidRequest, "The authorization mechanism you have provided is not supported. Please use %s.", algorithm)
	}
	fields := map[string]string{}
	for f := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(f), "=")
		if _, twice := fields[name]; !ok || twice {
			return authorization{}, newError(codeAuthHeaderMalformed, "The authorization header is malformed; it needs Credential, SignedHeaders and Signature, each once.")
		}
		fields[name] = value
	}
	a, problem := makeAuthorization(fields["Credential"], fields["SignedHeaders"], fields["Signature"])
	if problem != "" || len(fields) != 3 {
		return authorization{}, newError(codeAuthHeaderMalformed, "The authorization header is malformed; %s", cmp.Or(problem, "it has unknown fields."))
	}
	return a, nil
}

func makeAuthorization(credential, signed, signature string) (_ authorization, problem string) {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[0] == "" || len(parts[0]) > maxAccessKey || parts[4] != terminator {
		return authorization{}, "the credential must be ACCESS-KEY/YYYYMMDD/REGION/s3/aws4_request."
	}
	if len(signature) != 64 || strings.Trim(signature, "0123456789abcdef") != "" {
		return authorization{}, "the signature must be 64 lower-case hexadecimal digits."
	}
	a := authorization{accessKey: parts[0], day: parts[1], region: parts[2], service: parts[3], signed: strings.Split(signed, ";"), signature: signature}
	if !slices.IsSorted(a.signed) || !slices.Contains(a.signed, "host") || strings.ToLower(signed) != signed {
		return authorization{}, "the signed headers must be in lower case, sorted, and host among them."
	}
	return a, ""
}

// proof is a signature that was found right.
type proof struct {
	authorization
	key     *key
	time    string // x-amz-date
	payload string // x-amz-content-sha256, or what stands for it
}

// authenticate finds whose request it is. The access key comes back even with an error, if the request names one.
func (s *Server) authenticate(ctx context.Context, r *http.Request) (proof, error) {
	switch q := r.URL.Query(); {
	case r.Header.Get("Authorization") != "" && q.Has("X-Amz-Signature"):
		return proof{}, newError(gofakes3.ErrInvalidArgument, "Only one auth mechanism allowed; the request has an Authorization header and a signed query.")
	case r.Header.Get("Authorization") != "":
		return s.authenticateHeader(ctx, r)
	case q.Has("X-Amz-Signature"):
		return s.authenticatePresigned(ctx, r, q)
	case q.Has("AWSAccessKeyId") && q.Has("Signature"): // as in an address that is presigned with version 2
		return proof{}, newError(codeInvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	}
	return proof{}, newError(codeAccessDenied, "Access Denied: the request is not signed")
}

// identify checks everything in a scope but the signature and finds the key.
func (s *Server) identify(a authorization, date string, malformed gofakes3.ErrorCode) (*key, time.Time, error) {
	k := s.keys.find(a.accessKey)
	if k == nil {
		return nil, time.Time{}, newError(codeInvalidAccessKeyID, "The AWS Access Key Id you provided does not exist in our records.")
	}
	at, err := time.Parse(timeLayout, date)
	switch {
	case err != nil:
		return nil, time.Time{}, newError(codeAccessDenied, "AWS authentication requires a valid x-amz-date, such as 20261123T040000Z")
	case a.day != at.Format("20060102"):
		return nil, time.Time{}, newError(malformed, "Invalid credential date %q; it must be the day of x-amz-date.", a.day)
	case a.service != service:
		return nil, time.Time{}, newError(malformed, "Incorrect service %q; this endpoint belongs to %q.", a.service, service)
	case a.region != s.opt.Region:
		return nil, time.Time{}, newError(malformed, "The region %q is wrong; expecting %q", a.region, s.opt.Region)
	}
	return k, at, nil
}

func (s *Server) authenticateHeader(ctx context.Context, r *http.Request) (proof, error) {
	a, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return proof{}, err
	}
	p := proof{authorization: a, time: r.Header.Get("X-Amz-Date"), payload: r.Header.Get("X-Amz-Content-Sha256")}
	k, at, err := s.identify(a, p.time, codeAuthHeaderMalformed)
	if err != nil {
		return p, err
	}
	p.key = k
	if p.payload == "" {
		return p, newError(codeMissingSecurityHeader, "Your request was missing a required header: x-amz-content-sha256")
	}
	if skew := s.opt.Clock.Now().Sub(at).Abs(); skew > maxSkew {
		return p, newError(codeRequestTimeTooSkewed, "The difference between the request time and the current time is too large.")
	}
	clone, err := signedPart(ctx, r, a)
	if err != nil {
		return p, err
	}
	if err := k.signer.SignHTTP(ctx, k.aws(), clone, p.payload, service, a.region, at); err != nil {
		return p, err
	}
	want, err := parseAuthorization(clone.Header.Get("Authorization"))
	if err != nil {
		return p, err
	}
	return p, compare(want.signature, a.signature)
}

func (s *Server) authenticatePresigned(ctx context.Context, r *http.Request, q url.Values) (proof, error) {
	if q.Get("X-Amz-Algorithm") != algorithm {
		return proof{}, newError(codeAuthQueryMalformed, "X-Amz-Algorithm only supports %q", algorithm)
	}
	a, problem := makeAuthorization(q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"))
	if problem != "" {
		return proof{}, newError(codeAuthQueryMalformed, "Error parsing the query; %s", problem)
	}
	p := proof{authorization: a, time: q.Get("X-Amz-Date"), payload: unsignedPayload}
	if h := q.Get("X-Amz-Content-Sha256"); h != "" {
		p.payload = h
	}
	k, at, err := s.identify(a, p.time, codeAuthQueryMalformed)
	if err != nil {
		return p, err
	}
	p.key = k
	seconds, err := strconv.ParseInt(q.Get("X-Amz-Expires"), 10, 64)
	if err != nil || seconds < 1 || seconds > int64(maxExpires/time.Second) {
		return p, newError(codeAuthQueryMalformed, "X-Amz-Expires must be between 1 and %d seconds", int64(maxExpires/time.Second))
	}
	switch age := s.opt.Clock.Now().Sub(at); {
	case age < -maxSkew:
		return p, newError(codeAccessDenied, "Request is not valid yet")
	case age > time.Duration(seconds)*time.Second:
		return p, newError(codeAccessDenied, "Request has expired")
	}
	clone, err := signedPart(ctx, r, a)
	if err != nil {
		return p, err
	}
	q.Del("X-Amz-Signature")
	clone.URL.RawQuery = q.Encode()
	uri, _, err := k.signer.PresignHTTP(ctx, k.aws(), clone, p.payload, service, a.region, at)
	if err != nil {
		return p, err
	}
	_, want, _ := strings.Cut(uri, "&X-Amz-Signature=") // the signer appends it last
	return p, compare(want, a.signature)
}

// signedPart makes a request of what the signature covers, for the signer to sign again. Headers that change what a
// request does must be covered.
//
// Their names stay in lower case: so the signer signs each, also those (User-Agent, Expect) that it would leave out of
// its own requests under their canonical names. Known limit: it cannot be made to sign "content-length: 0".
func signedPart(ctx context.Context, r *http.Request, a authorization) (*http.Request, error) {
	out := (&http.Request{Method: r.Method, URL: &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}, Host: r.Host, Header: http.Header{}}).WithContext(ctx)
	for _, name := range a.signed {
		switch name {
		case "host", "x-amz-date": // the signer's own
		case "content-length":
			out.ContentLength = r.ContentLength
		default:
			v := r.Header.Values(name)
			if len(v) == 0 {
				return nil, newError(codeSignatureDoesNotMatch, "The request signature we calculated does not match: the signed header %s is missing.", name)
			}
			out.Header[name] = v
		}
	}
	for name := range r.Header {
		l := strings.ToLower(name)
		if strings.HasPrefix(l, "x-amz-") && l != "x-amz-content-sha256" && !slices.Contains(a.signed, l) {
			return nil, newError(codeAccessDenied, "There were headers present in the request which were not signed: %s", l)
		}
	}
	return out, nil
}

func compare(want, got string) error {
	if !hmac.Equal([]byte(want), []byte(got)) {
		return newError(codeSignatureDoesNotMatch, "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	}
	return nil
}

// hmacSHA256 and signingKey derive what chunk signatures are made with; the SDK's signer keeps its own to itself.
func hmacSHA256(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(data))
	return h.Sum(nil)
}

func signingKey(secret sim.Secret, a authorization) []byte {
	k := hmacSHA256([]byte("AWS4"+secret.Reveal()), a.day)
	for _, part := range []string{a.region, a.service, terminator} {
		k = hmacSHA256(k, part)
	}
	return k
}
