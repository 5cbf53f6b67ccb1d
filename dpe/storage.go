package dpe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/event"
)

const (
	// storageTries is how often a request is tried before it counts as failed (assumption).
	storageTries = 4
	// storageCheck is the time between looks at the object storage while it is in reach (assumption).
	storageCheck = 30 * time.Second
	// storageTimeout bounds one look (assumption).
	storageTimeout = 10 * time.Second
)

// storage is the client of the environment's object storage.
type storage struct {
	s3        *s3.Client
	transport *http.Transport
}

// newStorage makes the client. It uses path-style addresses (a MinIO behind one host name), the engine's clock for
// signatures and certificates, and none of the SDK's own retries, which would not go by the clock.
func newStorage(c Config, k checked, n *network) *storage {
	t := &http.Transport{
		DialContext: n.dial, TLSClientConfig: n.tls.Clone(), TLSHandshakeTimeout: storageTimeout,
		MaxIdleConnsPerHost: c.Slots + 1, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: time.Minute,
	}
	o := s3.Options{
		BaseEndpoint: aws.String("https://" + k.storage.Host), Region: c.ObjectStorage.Region, UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(c.ObjectStorage.AccessKey, c.ObjectStorage.SecretKey.Reveal(), ""),
		HTTPClient:   &http.Client{Transport: t},
		HTTPSignerV4: signer{v4.NewSigner(), c.Clock},
		Retryer:      aws.NopRetryer{},

		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	return &storage{s3: s3.New(o), transport: t}
}

func (s *storage) close() { s.transport.CloseIdleConnections() }

// signer signs by the engine's clock.
type signer struct {
	s3.HTTPSignerV4
	clock *clock.Clock
}

// SignHTTP is called by the SDK for each request.
func (s signer) SignHTTP(ctx context.Context, cred aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return s.HTTPSignerV4.SignHTTP(ctx, cred, r, hash, service, region, s.clock.Now(), opts...)
}

// watchStorage looks after the object storage until ctx ends and tells health.
func (e *engine) watchStorage(ctx context.Context) {
	for failures := 0; ; {
		err := e.lookAtStorage(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := storageCheck
		if err != nil {
			failures++
			pause = e.backoff("storage", failures)
			why := explain(err)
			e.health.storageDown(why)
			e.log.Warn("object storage out of reach", "err", err, "retry_in", pause.Round(time.Millisecond))
		} else {
			failures = 0
			e.health.storageUp(e.ObjectStorage.Bucket)
		}
		if e.Clock.Sleep(ctx, pause) != nil {
			return
		}
	}
}

func (e *engine) lookAtStorage(ctx context.Context) error {
	if err := e.Faults.At(ctx, FaultStorage, e.scope()); err != nil {
		return storageError("look at the object storage", err)
	}
	ctx, cancel := e.Clock.WithTimeout(ctx, storageTimeout)
	defer cancel()
	_, err := e.storage.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(e.ObjectStorage.Bucket)})
	return storageError("look at bucket "+e.ObjectStorage.Bucket, err)
}

// try runs a request up to storageTries times, as long as trying again can help.
func (e *engine) try(ctx context.Context, what string, request func() error) error {
	for n := 1; ; n++ {
		err := e.Faults.At(ctx, FaultStorage, e.scope())
		if err == nil {
			err = request()
		}
		if err = storageError(what, err); err == nil || n == storageTries || sim.KindOf(err) != sim.Unavailable || ctx.Err() != nil {
			return err
		}
		if err := e.Clock.Sleep(ctx, e.backoff("storage", n)); err != nil {
			return err
		}
	}
}

// put uploads a file.
func (e *engine) put(ctx context.Context, bucket, key, contentType string, f *os.File) error {
	var trace []func(*s3.Options)
	if cause := event.Cause(ctx); cause != 0 {
		trace = append(trace, s3.WithAPIOptions(smithyhttp.SetHeaderValue(event.CauseHeader, strconv.FormatUint(cause, 10))))
	}
	return e.try(ctx, "upload "+bucket+"/"+key, func() error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := e.storage.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, ContentType: &contentType, Body: f}, trace...)
		return err
	})
}

// open reads an object from its beginning to its end. A connection that breaks half-way is taken up where it broke, as
// long as the object is still the same.
func (e *engine) open(ctx context.Context, bucket, key string) (io.ReadCloser, error) {
	o := &object{engine: e, ctx: ctx, bucket: bucket, key: key}
	return o, o.connect()
}

// object is the body of an object.
type object struct {
	*engine
	ctx         context.Context // of the reading, as in http.Request
	bucket, key string
	body        io.ReadCloser
	etag        *string
	offset      int64 // bytes read
	broken      int   // times that the body broke without a byte between
}

// connect asks for what has not been read yet.
func (o *object) connect() error {
	return o.try(o.ctx, "read "+o.bucket+"/"+o.key, func() error {
		in := &s3.GetObjectInput{Bucket: &o.bucket, Key: &o.key}
		if o.offset > 0 {
			in.Range, in.IfMatch = aws.String(fmt.Sprintf("bytes=%d-", o.offset)), o.etag
		}
		out, err := o.storage.s3.GetObject(o.ctx, in)
		if err == nil {
			o.body, o.etag = out.Body, out.ETag
		}
		return err
	})
}

// Read takes the body up again if it breaks.
func (o *object) Read(p []byte) (int, error) {
	n, err := o.body.Read(p)
	o.offset += int64(n)
	if n > 0 {
		o.broken = 0
	}
	if err == nil || errors.Is(err, io.EOF) || o.ctx.Err() != nil {
		return n, err
	}
	what := "read " + o.bucket + "/" + o.key
	if o.broken++; o.broken >= storageTries {
		return n, storageError(what, err)
	}
	o.log.Info("object broke off, taken up again", "bucket", o.bucket, "key", o.key, "offset", o.offset, "err", err)
	_ = o.body.Close() // broken already
	return n, o.connect()
}

// Close gives the connection back.
func (o *object) Close() error { return o.body.Close() }

// storageError classifies an error of the object storage and says what to do about it.
func storageError(what string, err error) error {
	if err == nil {
		return nil
	}
	e := &sim.Error{
		Kind: sim.Unavailable, Msg: "the object storage cannot be reached to " + what, Err: err,
		Help: "check that the cluster may connect to it: DNS, firewall, proxy, IP allowlist",
	}
	if u := untrusted(err); u != nil {
		e.Msg, e.Err = fmt.Sprintf("%s: %v", e.Msg, u), nil
	}
	if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && r.HTTPStatusCode() > 0 { // 0: there was no response
		switch status := r.HTTPStatusCode(); {
		case status == http.StatusNotFound:
			e.Kind, e.Msg, e.Help = sim.NotFound, "the object storage does not have what is needed to "+what, "check that the bucket and the object exist"
		case status == http.StatusForbidden, status == http.StatusUnauthorized:
			e.Kind, e.Msg = sim.Forbidden, "the object storage refuses to let this DPE "+what+code(err)
			e.Help = "install the values.yaml that the portal generated; a DPE that was removed has no access"
		case status == http.StatusPreconditionFailed:
			e.Kind, e.Msg, e.Help = sim.Conflict, "the object changed during: "+what, "run the job again"
		case status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout && status >= 300:
			e.Kind, e.Msg, e.Help = sim.Invalid, "the object storage cannot "+what+code(err), "look at its log"
		default:
			e.Msg, e.Help = "the object storage is in trouble and cannot "+what+code(err), "try again later"
		}
	}
	return e
}

// code gives S3's code of an error in brackets.
func code(err error) string {
	if a, ok := errors.AsType[smithy.APIError](err); ok {
		return " (" + a.ErrorCode() + ")"
	}
	return ""
}
