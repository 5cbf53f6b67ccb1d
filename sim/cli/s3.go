package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
)

func newS3Command(a *app) *cobra.Command {
	f := &s3Flags{}
	cmd := &cobra.Command{
		Use: "s3", Short: "Use an environment's object storage, over S3, as its operator or as a DPE",
		Long: `Use an environment's object storage, over S3: as its operator, or with --values as the DPE whose values file that is. Then ENVIRONMENT is left
out, and the storage answers what it would answer that DPE.`,
		Example: `  dpesim s3 ls acme sample-data
  dpesim s3 cat acme sample-data/airports.csv
  dpesim s3 ls --values values.yaml`,
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&f.values, "values", "", valuesHelp)
	cmd.AddCommand(newS3ListCommand(a, f), newS3CatCommand(a, f), newS3PutCommand(a, f), newS3RemoveCommand(a, f), newS3PresignCommand(a, f))
	return cmd
}

// s3Flags are those of all commands of s3.
type s3Flags struct{ values string }

// store is an object storage as somebody sees it.
type store struct {
	*s3.Client
	as     string // whose credential it is
	where  string // the arguments that name it
	signer requestSigner
}

// args wants ENVIRONMENT, unless there is a values file, and then between least and most others.
func (f *s3Flags) args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		n := len(args)
		if f.values == "" {
			n--
		}
		if n < least || n > most {
			return usage(sim.Errorf(sim.Invalid, "usage: %s; got %d arguments", cmd.UseLine(), len(args)).
				WithHelp("with --values FILE there is no ENVIRONMENT; see '%s --help'", cmd.CommandPath()))
		}
		return nil
	}
}

// run makes the RunE of a command that uses a storage; use gets the arguments after ENVIRONMENT.
func (f *s3Flags) run(a *app, use func(ctx context.Context, s *store, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		c, known := a.client()
		signs := requestSigner{v4.NewSigner(), clock.New().Now()}
		if known == nil {
			if k, err := c.Clock(ctx); err == nil { // the storage judges signatures by it
				signs.now = k.Now
			}
		}
		if f.values != "" {
			v, err := a.valuesFile(f.values)
			if err != nil {
				return err
			}
			cl, err := s3Client(v.Region, v.ObjectStorageURL, v.AccessKey, v.SecretKey, v.CA, "ca of "+f.values, signs)
			if err != nil {
				return err
			}
			return use(ctx, &store{cl, "DPE " + string(v.Label), "--values " + f.values, signs}, args)
		}
		if known != nil {
			return known
		}
		env := sim.EnvironmentID(args[0])
		o, err := c.ObjectStorage(ctx, env)
		if err != nil {
			return err
		}
		pem, err := c.CA(ctx, env)
		if err != nil {
			return err
		}
		cl, err := s3Client(o.Region, o.Endpoint, o.AccessKey, o.SecretKey, pem, "the portal's CA certificate", signs)
		if err != nil {
			return err
		}
		return use(ctx, &store{cl, "the operator", args[0], signs}, args[1:])
	}
}

// s3Client gives a client of an object storage. what says where the certificates in pem are from.
func s3Client(region, endpoint, accessKey string, secretKey sim.Secret, pem []byte, what string, signs requestSigner) (*s3.Client, error) {
	roots, err := rootsOf(pem, what)
	if err != nil {
		return nil, err
	}
	return s3.New(s3.Options{
		Region:       region,
		BaseEndpoint: &endpoint,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey.Reveal(), ""),
		HTTPClient:   &http.Client{Transport: transport(roots)},
		HTTPSignerV4: signs,
	}), nil
}

// failed says what cannot be done and, in the storage's own words, why.
func (s *store) failed(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	help := fmt.Sprintf("see what is there with 'dpesim s3 ls %s [BUCKET]'", s.where)
	if refused.ErrorCode() == "InvalidAccessKeyId" {
		help = "the credential was withdrawn or replaced: take the present values file of the DPE, if it is still in the portal"
	}
	return &sim.Error{
		Kind: sim.Invalid, Msg: fmt.Sprintf("%s as %s: %s (%s)", what, s.as, refused.ErrorMessage(), refused.ErrorCode()), Help: help, Err: err,
	}
}

// object is one line of a listing.
type object struct {
	Bucket    string    `json:"bucket"`
	Key       string    `json:"key,omitempty"` // empty: the bucket itself
	SizeBytes int64     `json:"size_bytes"`
	Modified  time.Time `json:"modified"`
}

func newS3ListCommand(a *app, f *s3Flags) *cobra.Command {
	cmd := &cobra.Command{Use: "ls ENVIRONMENT [BUCKET[/PREFIX]]", Short: "List buckets, or the objects of one", Args: f.args(0, 1)}
	output := outputFlag(cmd)
	cmd.RunE = f.run(a, func(ctx context.Context, s *store, args []string) error {
		list := s.buckets
		if len(args) == 1 {
			bucket, prefix, _ := strings.Cut(strings.TrimPrefix(args[0], "s3://"), "/")
			list = func(ctx context.Context) ([]object, error) { return s.objects(ctx, bucket, prefix) }
		}
		objects, err := list(ctx)
		if err != nil {
			return err
		}
		return output.print(a.Stdout, objects, func(w *tabwriter.Writer) {
			row(w, "BUCKET", "KEY", "BYTES", "MODIFIED")
			for _, o := range objects {
				row(w, o.Bucket, o.Key, o.SizeBytes, o.Modified.Format(time.DateTime))
			}
		})
	})
	return cmd
}

func (s *store) buckets(ctx context.Context) ([]object, error) {
	res, err := s.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil {
		return nil, s.failed(err, "the buckets cannot be listed")
	}
	out := []object{}
	for _, b := range res.Buckets {
		out = append(out, object{Bucket: aws.ToString(b.Name), Modified: aws.ToTime(b.CreationDate)})
	}
	return out, nil
}

func (s *store) objects(ctx context.Context, bucket, prefix string) ([]object, error) {
	out := []object{}
	pages := s3.NewListObjectsV2Paginator(s, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		res, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.failed(err, "bucket %s cannot be listed", bucket)
		}
		for _, o := range res.Contents {
			out = append(out, object{Bucket: bucket, Key: aws.ToString(o.Key), SizeBytes: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)})
		}
	}
	return out, nil
}

// bucketKey splits BUCKET/KEY.
func bucketKey(arg string) (bucket, key string, err error) {
	bucket, key, ok := strings.Cut(strings.TrimPrefix(arg, "s3://"), "/")
	if !ok || bucket == "" || key == "" {
		return "", "", usage(sim.Errorf(sim.Invalid, "%q is not BUCKET/KEY", arg).WithHelp("for example sample-data/birdstrikes.csv"))
	}
	return bucket, key, nil
}

func newS3CatCommand(a *app, f *s3Flags) *cobra.Command {
	return &cobra.Command{
		Use: "cat ENVIRONMENT BUCKET/KEY", Short: "Print an object", Args: f.args(1, 1),
		RunE: f.run(a, func(ctx context.Context, s *store, args []string) error {
			bucket, key, err := bucketKey(args[0])
			if err != nil {
				return err
			}
			res, err := s.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
			if err != nil {
				return s.failed(err, "%s/%s cannot be read", bucket, key)
			}
			_, err = io.Copy(a.Stdout, res.Body)
			return errors.Join(err, res.Body.Close())
		}),
	}
}

func newS3PutCommand(a *app, f *s3Flags) *cobra.Command {
	return &cobra.Command{
		Use: "put ENVIRONMENT FILE BUCKET/KEY", Short: "Upload a file, or the standard input (-)", Args: f.args(2, 2),
		RunE: f.run(a, func(ctx context.Context, s *store, args []string) error {
			bucket, key, err := bucketKey(args[1])
			if err != nil {
				return err
			}
			var body io.ReadSeeker
			if args[0] == "-" { // its length and digest must be known before it is sent
				text, err := io.ReadAll(a.Stdin)
				if err != nil {
					return err
				}
				body = bytes.NewReader(text)
			} else {
				file, err := os.Open(a.path(args[0]))
				if err != nil {
					return err
				}
				defer file.Close() //nolint:errcheck // it was only read
				body = file
			}
			if _, err = s.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body}); err != nil {
				return s.failed(err, "%s/%s cannot be written", bucket, key)
			}
			return nil
		}),
	}
}

func newS3RemoveCommand(a *app, f *s3Flags) *cobra.Command {
	return &cobra.Command{
		Use: "rm ENVIRONMENT BUCKET/KEY", Short: "Remove an object; one that is not there is no error", Args: f.args(1, 1),
		RunE: f.run(a, func(ctx context.Context, s *store, args []string) error {
			bucket, key, err := bucketKey(args[0])
			if err != nil {
				return err
			}
			if _, err := s.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
				return s.failed(err, "%s/%s cannot be removed", bucket, key)
			}
			return nil
		}),
	}
}

func newS3PresignCommand(a *app, f *s3Flags) *cobra.Command {
	var expires time.Duration
	cmd := &cobra.Command{
		Use: "presign ENVIRONMENT BUCKET/KEY", Short: "Print a URL by which anybody may read an object for some time", Args: f.args(1, 1),
		Example: `  dpesim http "$(dpesim s3 presign acme sample-data/airports.csv)"`,
	}
	cmd.Flags().DurationVar(&expires, "expires", 15*time.Minute, "how long, by the simulator's clock")
	cmd.RunE = f.run(a, func(ctx context.Context, s *store, args []string) error {
		bucket, key, err := bucketKey(args[0])
		if err != nil {
			return err
		}
		if expires < time.Second || expires > maxPresigned {
			return usage(sim.Errorf(sim.Invalid, "--expires %s: a URL is good for 1s to %s", expires, maxPresigned))
		}
		by := s3.NewPresignClient(s.Client, s3.WithPresignExpires(expires), func(o *s3.PresignOptions) { o.Presigner = s.signer })
		req, err := by.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.Stdout, req.URL)
		return err
	})
	return cmd
}

// maxPresigned is how long a presigned URL may be good for at most.
// Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters" (X-Amz-Expires, 7 days).
const maxPresigned = 7 * 24 * time.Hour

// requestSigner signs as of now, which may not be the machine's time.
type requestSigner struct {
	*v4.Signer
	now time.Time
}

// SignHTTP signs a request.
func (r requestSigner) SignHTTP(ctx context.Context, c aws.Credentials, req *http.Request, payload, service, region string, _ time.Time, o ...func(*v4.SignerOptions)) error {
	return r.Signer.SignHTTP(ctx, c, req, payload, service, region, r.now, o...)
}

// PresignHTTP signs a URL.
func (r requestSigner) PresignHTTP(ctx context.Context, c aws.Credentials, req *http.Request, payload, service, region string, _ time.Time, o ...func(*v4.SignerOptions)) (string, http.Header, error) {
	return r.Signer.PresignHTTP(ctx, c, req, payload, service, region, r.now, o...)
}
