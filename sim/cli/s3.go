package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

func newS3Command(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "s3", Short: "Look at an environment's object storage, over S3, as its operator",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newS3ListCommand(a), newS3CatCommand(a), newS3PutCommand(a))
	return cmd
}

// s3Client gives a client of env's object storage with the operator's credential.
func (a *app) s3Client(ctx context.Context, c *api.Client, env sim.EnvironmentID) (*s3.Client, error) {
	store, err := c.ObjectStorage(ctx, env)
	if err != nil {
		return nil, err
	}
	pem, err := c.CA(ctx, env)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, sim.Errorf(sim.Invalid, "the portal gave no CA certificate")
	}
	return s3.New(s3.Options{
		Region:       store.Region,
		BaseEndpoint: &store.Endpoint,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(store.AccessKey, store.SecretKey.Reveal(), ""),
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext:       dialLocalhost,
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, // a command may run in a process that goes on
		}},
	}), nil
}

// s3Error says what cannot be done and, in the storage's own words, why.
func s3Error(err error, env, format string, args ...any) error {
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	what := fmt.Sprintf(format, args...)
	return &sim.Error{
		Kind: sim.Invalid, Msg: fmt.Sprintf("%s: %s (%s)", what, refused.ErrorMessage(), refused.ErrorCode()),
		Help: fmt.Sprintf("see what is there with 'dpesim s3 ls %s [BUCKET]'", env), Err: err,
	}
}

// dialLocalhost resolves names under .localhost to loopback, as RFC 6761 (section 6.3) asks and Go's resolver does not.
func dialLocalhost(ctx context.Context, network, addr string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".localhost") {
		addr = net.JoinHostPort("localhost", port)
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// object is one line of a listing.
type object struct {
	Bucket    string    `json:"bucket"`
	Key       string    `json:"key,omitempty"` // empty: the bucket itself
	SizeBytes int64     `json:"size_bytes"`
	Modified  time.Time `json:"modified"`
}

func newS3ListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls ENVIRONMENT [BUCKET[/PREFIX]]", Short: "List buckets, or the objects of one",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usage(fmt.Errorf("%s takes an environment and at most one bucket", cmd.CommandPath()))
			}
			return nil
		},
	}
	output := outputFlag(cmd)
	cmd.RunE = a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
		cl, err := a.s3Client(ctx, c, sim.EnvironmentID(args[0]))
		if err != nil {
			return err
		}
		list := listBuckets
		if len(args) == 2 {
			bucket, prefix, _ := strings.Cut(strings.TrimPrefix(args[1], "s3://"), "/")
			list = func(ctx context.Context, cl *s3.Client) ([]object, error) {
				return listObjects(ctx, cl, args[0], bucket, prefix)
			}
		}
		objects, err := list(ctx, cl)
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

func listBuckets(ctx context.Context, cl *s3.Client) ([]object, error) {
	res, err := cl.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	out := []object{}
	for _, b := range res.Buckets {
		out = append(out, object{Bucket: aws.ToString(b.Name), Modified: aws.ToTime(b.CreationDate)})
	}
	return out, nil
}

func listObjects(ctx context.Context, cl *s3.Client, env, bucket, prefix string) ([]object, error) {
	out := []object{}
	pages := s3.NewListObjectsV2Paginator(cl, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		res, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s3Error(err, env, "bucket %s cannot be listed", bucket)
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

func newS3CatCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cat ENVIRONMENT BUCKET/KEY", Short: "Print an object", Args: exactArgs(2),
		RunE: a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
			bucket, key, err := bucketKey(args[1])
			if err != nil {
				return err
			}
			cl, err := a.s3Client(ctx, c, sim.EnvironmentID(args[0]))
			if err != nil {
				return err
			}
			res, err := cl.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
			if err != nil {
				return s3Error(err, args[0], "%s/%s cannot be read", bucket, key)
			}
			_, err = io.Copy(a.Stdout, res.Body)
			return errors.Join(err, res.Body.Close())
		}),
	}
}

func newS3PutCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "put ENVIRONMENT FILE BUCKET/KEY", Short: "Upload a file", Args: exactArgs(3),
		RunE: a.clientRun(func(ctx context.Context, c *api.Client, args []string) error {
			bucket, key, err := bucketKey(args[2])
			if err != nil {
				return err
			}
			cl, err := a.s3Client(ctx, c, sim.EnvironmentID(args[0]))
			if err != nil {
				return err
			}
			f, err := os.Open(a.path(args[1]))
			if err != nil {
				return err
			}
			_, err = cl.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: f})
			if err != nil {
				err = s3Error(err, args[0], "%s/%s cannot be written", bucket, key)
			}
			return errors.Join(err, f.Close())
		}),
	}
}
