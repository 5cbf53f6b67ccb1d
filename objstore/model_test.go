package objstore_test

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMain lets the model test run a few times only, unless the command line says otherwise: each step waits for the disk.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "15"); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// modelListing is what a listing of keys should be: sorted, rolled up, prefixes in angle brackets.
func modelListing(keys []string, prefix, delimiter string) []string {
	seen := map[string]bool{}
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k, prefix)
		if !ok {
			continue
		}
		if head, _, ok := strings.Cut(rest, delimiter); ok && delimiter != "" {
			seen["<"+prefix+head+delimiter+">"] = true
		} else {
			seen[k] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return strings.Compare(strings.Trim(a, "<>"), strings.Trim(b, "<>")) })
}

func missing(err error) bool {
	e, ok := errors.AsType[smithy.APIError](err)
	return ok && (e.ErrorCode() == "NoSuchKey" || e.ErrorCode() == "NotFound")
}

// TestStoreBehavesAsAMap runs random operations against the store and a map, with restarts in between.
func TestStoreBehavesAsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		f := start(t, dir)
		defer func() { f.stop() }()
		f.bucket(t, "results")
		c := f.s3(operator)
		model := map[string][]byte{}
		key := rapid.StringOfN(rapid.RuneFrom([]rune("ab/é")), 1, 5, -1)
		b := aws.String("results")
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k, v := key.Draw(rt, "key"), rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(rt, "data")
				put(t, c, *b, k, v)
				model[k] = v
			},
			"copy": func(rt *rapid.T) {
				from, to := key.Draw(rt, "from"), key.Draw(rt, "to")
				if from == to {
					rt.Skip("refused")
				}
				_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: &to, CopySource: aws.String("results/" + strings.ReplaceAll(from, "é", "%C3%A9"))})
				if v, ok := model[from]; ok && err == nil {
					model[to] = v
				} else if ok || !missing(err) {
					rt.Fatalf("copy %q to %q: %v", from, to, err)
				}
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: &k}); err != nil {
					rt.Fatal(err)
				}
				delete(model, k)
			},
			"list": func(rt *rapid.T) {
				prefix, delimiter := rapid.SampledFrom([]string{"", "a", "a/", "é/"}).Draw(rt, "prefix"), rapid.SampledFrom([]string{"", "/", "b"}).Draw(rt, "delimiter")
				got, _ := listing(t, c, *b, prefix, delimiter, rapid.Int32Range(1, 4).Draw(rt, "page"))
				if d := cmp.Diff(modelListing(slices.Collect(maps.Keys(model)), prefix, delimiter), got); d != "" {
					rt.Fatalf("prefix %q delimiter %q: %s", prefix, delimiter, d)
				}
			},
			"reopen": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "seldom") > 0 {
					rt.Skip("slow")
				}
				f.stop()
				f = start(t, dir)
				c = f.s3(operator)
			},
			"": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: &k})
				want, ok := model[k]
				if !ok {
					if !missing(err) {
						rt.Fatalf("%q should not be there: %v", k, err)
					}
					return
				}
				if err != nil {
					rt.Fatalf("%q should be there: %v", k, err)
				}
				_ = out.Body.Close()
				if got := get(t, c, *b, k); !bytes.Equal(got, want) {
					rt.Fatalf("%q holds %q, want %q", k, got, want)
				}
			},
		})
	})
}
