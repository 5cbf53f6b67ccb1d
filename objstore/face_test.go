package objstore_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

// listing reads all pages: keys as they are, common prefixes in angle brackets.
func listing(tb testing.TB, c *s3.Client, bucket, prefix, delimiter string, page int32) (out []string, pages int) {
	tb.Helper()
	in := &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: &page}
	if prefix != "" {
		in.Prefix = &prefix
	}
	if delimiter != "" {
		in.Delimiter = &delimiter
	}
	p := s3.NewListObjectsV2Paginator(c, in)
	for p.HasMorePages() {
		r, err := p.NextPage(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		pages++
		var keys []string
		for _, o := range r.Contents {
			keys = append(keys, *o.Key)
		}
		for _, o := range r.CommonPrefixes {
			keys = append(keys, "<"+*o.Prefix+">")
		}
		slices.SortFunc(keys, func(a, b string) int { return strings.Compare(strings.Trim(a, "<>"), strings.Trim(b, "<>")) })
		if len(keys) > int(page) {
			tb.Errorf("a page of %d holds %d", page, len(keys))
		}
		out = append(out, keys...)
	}
	return out, pages
}

func TestListingIsInOrderPagedAndRolledUp(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "sample-data")
	c := f.s3(operator)
	keys := []string{"a", "a/1", "a/2", "a/b/3", "b", "b/1", "c//x", "z", "é", "日本/語"}
	for _, k := range []int{5, 0, 9, 3, 1, 7, 2, 8, 4, 6} {
		put(t, c, "sample-data", keys[k], []byte(keys[k]))
	}
	for _, x := range []struct {
		prefix, delimiter string
		want              []string
	}{
		{"", "", keys},
		{"", "/", []string{"a", "<a/>", "b", "<b/>", "<c/>", "z", "é", "<日本/>"}},
		{"a", "/", []string{"a", "<a/>"}},
		{"a/", "/", []string{"a/1", "a/2", "<a/b/>"}},
		{"a/", "", []string{"a/1", "a/2", "a/b/3"}},
		{"c/", "/", []string{"<c//>"}},
		{"none", "/", nil},
	} {
		for _, page := range []int32{1, 2, 3, 1000} {
			got, pages := listing(t, c, "sample-data", x.prefix, x.delimiter, page)
			if d := cmp.Diff(x.want, got); d != "" {
				t.Errorf("prefix %q delimiter %q page %d: %s", x.prefix, x.delimiter, page, d)
			}
			if want := max(1, (len(x.want)+int(page)-1)/int(page)); pages != want {
				t.Errorf("prefix %q delimiter %q page %d: %d pages, want %d", x.prefix, x.delimiter, page, pages, want)
			}
		}
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("sample-data"), StartAfter: aws.String("b/1")})
	if err != nil || len(out.Contents) != 4 || *out.Contents[0].Key != "c//x" || *out.Contents[0].Size != 4 {
		t.Errorf("start after: %+v, %v", out, err)
	}
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("none")})
	wantCode(t, err, 404, "NoSuchBucket")
}

func TestCopyKeepsOrReplacesHeaders(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "sample-data")
	f.bucket(t, "results")
	c := f.s3(operator)
	ctx := t.Context()
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("sample-data"), Key: aws.String("ä.csv"), Body: strings.NewReader("x"), ContentType: aws.String("text/csv"), Metadata: map[string]string{"a": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	source := aws.String("sample-data/%C3%A4.csv")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("results"), Key: aws.String("kept"), CopySource: source})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("results"), Key: aws.String("replaced"), CopySource: source, MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"b": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]map[string]string{"kept": {"a": "1"}, "replaced": {"b": "2"}} {
		h, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("results"), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, h.Metadata); d != "" || (*h.ContentType == "text/csv") != (key == "kept") {
			t.Errorf("%s: type %s, metadata %s", key, *h.ContentType, d)
		}
		if got := get(t, c, "results", key); string(got) != "x" {
			t.Errorf("%s: got %q", key, got)
		}
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("sample-data"), Key: aws.String("ä.csv"), CopySource: source})
	wantCode(t, err, 400, "InvalidRequest")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("results"), Key: aws.String("x"), CopySource: aws.String("sample-data/none")})
	wantCode(t, err, 404, "NoSuchKey")
}

func TestBucketsAreMadeAndRemovedWhenEmpty(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	c := f.s3(operator)
	ctx := t.Context()
	b := aws.String("new-bucket")
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	if e := told(t, f, "bucket created"); e.Detail["bucket"] != *b {
		t.Errorf("got event %+v", e)
	}
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b})
	wantCode(t, err, 409, "BucketAlreadyOwnedByYou")
	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("No_Bucket")})
	wantCode(t, err, 400, "InvalidBucketName")
	put(t, c, *b, "k1", nil)
	put(t, c, *b, "k2", nil)
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b})
	wantCode(t, err, 409, "BucketNotEmpty")
	del, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("k1")}, {Key: aws.String("k2")}, {Key: aws.String("none")}}}})
	if err != nil || len(del.Deleted) != 3 || len(del.Errors) != 0 {
		t.Errorf("delete objects: %+v, %v", del, err)
	}
	told(t, f, "object deleted")
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b}); err != nil {
		t.Error(err)
	}
	_, err = c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: b})
	wantCode(t, err, 404, "NotFound")
	if err := f.EnsureBucket(ctx, "No_Bucket"); sim.KindOf(err) != sim.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
	if _, err := f.PutObject(ctx, "none", "k", "", strings.NewReader("x")); sim.KindOf(err) != sim.NotFound {
		t.Errorf("got %v, want NotFound", err)
	}
}

func TestMultipartUploadBecomesOneObject(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "results")
	c := f.s3(operator)
	ctx := t.Context()
	b, k := aws.String("results"), aws.String("big")
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k, ContentType: aws.String("text/csv")})
	if err != nil {
		t.Fatal(err)
	}
	data := noise(objstore.MinPart + 1234)
	var parts []types.CompletedPart
	sums := md5.New()
	for i, p := range [][]byte{data[:objstore.MinPart], data[objstore.MinPart:]} {
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(p)})
		if err != nil {
			t.Fatal(err)
		}
		s := md5.Sum(p)
		sums.Write(s[:])
		parts = append(parts, types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(int32(i + 1))})
	}
	listed, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: b, Key: k, UploadId: up.UploadId})
	if err != nil || len(listed.Parts) != 2 || *listed.Parts[1].Size != 1234 {
		t.Errorf("parts: %+v, %v", listed, err)
	}
	uploads, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b})
	if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].Key != "big" {
		t.Errorf("uploads: %+v, %v", uploads, err)
	}
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k})
	wantCode(t, err, 404, "NotFound")
	complete := func(p ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: b, Key: k, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: p}})
	}
	_, err = complete(parts[1], parts[0])
	wantCode(t, err, 400, "InvalidPartOrder")
	_, err = complete(parts[0], types.CompletedPart{ETag: parts[0].ETag, PartNumber: aws.Int32(2)})
	wantCode(t, err, 400, "InvalidPart")
	done, err := complete(parts...)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`"%x-2"`, sums.Sum(nil))
	h, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k})
	if err != nil || *done.ETag != want || *h.ETag != want || *h.ContentType != "text/csv" {
		t.Errorf("got ETags %s and %+v, want %s (%v)", *done.ETag, h, want, err)
	}
	if got := get(t, c, "results", "big"); !bytes.Equal(got, data) {
		t.Errorf("got %d other bytes", len(got))
	}
	_, err = complete(parts...)
	wantCode(t, err, 404, "NoSuchUpload")
	up, err = c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: b, Key: k, UploadId: up.UploadId}); err != nil {
		t.Error(err)
	}
	_, err = c.ListParts(ctx, &s3.ListPartsInput{Bucket: b, Key: k, UploadId: up.UploadId})
	wantCode(t, err, 404, "NoSuchUpload")
}

func TestConditionsAreHeeded(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "results")
	c := f.s3(operator)
	ctx := t.Context()
	b, k := aws.String("results"), aws.String("k")
	etag := put(t, c, "results", "k", []byte("one")).ETag
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("two"), IfNoneMatch: aws.String("*")})
	wantCode(t, err, 412, "PreconditionFailed")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("two"), IfMatch: aws.String(`"00"`)})
	wantCode(t, err, 412, "PreconditionFailed")
	if got := get(t, c, "results", "k"); string(got) != "one" {
		t.Errorf("got %q, want the first content", got)
	}
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("two"), IfMatch: etag})
	if err != nil {
		t.Error(err)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfMatch: etag})
	wantCode(t, err, 412, "PreconditionFailed")
	h, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfNoneMatch: h.ETag})
	if re, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); !ok || re.HTTPStatusCode() != http.StatusNotModified {
		t.Errorf("got %v, want 304", err)
	}
	if _, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfMatch: h.ETag, IfModifiedSince: aws.Time(h.LastModified.Add(-time.Hour))}); err != nil {
		t.Error(err)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfUnmodifiedSince: aws.Time(h.LastModified.Add(-time.Hour))})
	wantCode(t, err, 412, "PreconditionFailed")
}

func TestAnArmedFaultFailsTheCallAndNothingElse(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	f.bucket(t, "results")
	c := f.s3(engine)
	put(t, c, "results", "k", []byte("one"))
	err := f.faults.Arm(fault.Fault{Name: "full", Point: "objstore.put", Match: fault.Scope{Environment: "acme", DPE: "finance"}, Err: sim.Errorf(sim.Exhausted, "the disk is full")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("results"), Key: aws.String("k"), Body: strings.NewReader("two")})
	wantCode(t, err, 503, "ServiceUnavailable")
	if got := get(t, c, "results", "k"); string(got) != "one" {
		t.Errorf("got %q", got)
	}
	put(t, f.s3(operator), "results", "k", []byte("three"))
}
