package objstore_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// BenchmarkPut compares a put through the SDK (TLS, signature, checksum, two digests, durable) with writing a plain file
// and syncing it, in the same run.
func BenchmarkPut(b *testing.B) {
	f := start(b, "")
	f.bucket(b, "results")
	c := f.s3(operator)
	dir := b.TempDir()
	for _, size := range []int{4 << 10, 1 << 20, 16 << 20} {
		data := noise(size)
		b.Run(fmt.Sprintf("file/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				w, err := os.Create(filepath.Join(dir, strconv.Itoa(i%8)))
				if err == nil {
					_, err = w.Write(data)
				}
				if err == nil {
					err = w.Sync()
				}
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("s3/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				put(b, c, "results", strconv.Itoa(i%8), data)
			}
		})
	}
}

// BenchmarkGet compares a get through the SDK with reading a plain file.
func BenchmarkGet(b *testing.B) {
	f := start(b, "")
	f.bucket(b, "results")
	c := f.s3(operator)
	path := filepath.Join(b.TempDir(), "file")
	for _, size := range []int{4 << 10, 1 << 20, 16 << 20} {
		data := noise(size)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
		put(b, c, "results", "k", data)
		b.Run(fmt.Sprintf("file/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if got, err := os.ReadFile(path); err != nil || len(got) != size {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("s3/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				out, err := c.GetObject(b.Context(), &s3.GetObjectInput{Bucket: aws.String("results"), Key: aws.String("k")})
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, out.Body)
				if err != nil || n != int64(size) {
					b.Fatal(n, err)
				}
				_ = out.Body.Close()
			}
		})
	}
}
