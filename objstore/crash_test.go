package objstore_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/dpesim/dpesim/objstore"
)

// crashDir names the data directory to the child of TestKillLosesNothingThatWasAcknowledged.
const crashDir = "OBJSTORE_CRASH_DIR"

// TestCrashChild is not a test: it is the server that the test below kills.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("runs as a child of TestKillLosesNothingThatWasAcknowledged")
	}
	f := start(t, dir)
	f.bucket(t, "results")
	fmt.Println("serving", f.url) // to the parent
	<-t.Context().Done()          // never: it is killed
}

// ledger is what the clients know: what was acknowledged last under each key, and what was on its way.
type ledger struct {
	mu           sync.Mutex
	acked, tried map[string][]byte
	count        int // acknowledged in this round
}

// upload puts objects until the server dies, and calls kill at the 60th acknowledgement of the round. A key belongs to
// one worker, so its uploads follow one another.
func (l *ledger) upload(ctx context.Context, c *s3.Client, round, worker int, kill func()) {
	for i := worker; ; i += 4 {
		key := fmt.Sprintf("%d/%04d", round, i%40) // the later ones overwrite
		data := noise(1 + (round*7919+i*104729)%(400<<10))
		l.mu.Lock()
		l.tried[key] = data
		l.mu.Unlock()
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("results"), Key: &key, Body: bytes.NewReader(data)})
		if err != nil {
			return
		}
		l.mu.Lock()
		l.acked[key] = data
		if l.count++; l.count == 60 {
			kill()
		}
		l.mu.Unlock()
	}
}

func TestKillLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := &ledger{acked: map[string][]byte{}}
	for round := range 3 {
		l.tried, l.count = map[string][]byte{}, 0
		killInTheMiddle(t, dir, round, l)
		checkSurvivors(t, dir, round, l)
	}
}

func killInTheMiddle(t *testing.T, dir string, round int, l *ledger) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
	child.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	url := ""
	lines := bufio.NewScanner(out)
	for url == "" && lines.Scan() {
		_, url, _ = strings.Cut(lines.Text(), "serving ")
	}
	if url == "" {
		_ = child.Wait()
		t.Fatal("the child did not serve")
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer tr.CloseIdleConnections()
	c := s3.New(s3.Options{
		BaseEndpoint: &url, UsePathStyle: true, Region: objstore.DefaultRegion, HTTPClient: &http.Client{Transport: tr}, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(operator.AccessKey, operator.SecretKey.Reveal(), ""),
	})
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			l.upload(t.Context(), c, round, w, func() { _ = child.Process.Kill() }) // SIGKILL, with others in mid-upload
		})
	}
	workers.Wait()
	_ = child.Wait() // "signal: killed"
	if l.count < 60 {
		t.Fatalf("only %d uploads were acknowledged before the server died", l.count)
	}
}

func checkSurvivors(t *testing.T, dir string, round int, l *ledger) {
	t.Helper()
	f := start(t, dir)
	defer f.stop()
	c := f.s3(operator)
	keys, _ := listing(t, c, "results", "", "", 1000)
	for _, key := range keys {
		got := get(t, c, "results", key)
		if acked := l.acked[key]; !bytes.Equal(got, acked) && !bytes.Equal(got, l.tried[key]) { // stored, but the kill swallowed the answer
			t.Errorf("round %d: %s holds %d bytes that are neither the acknowledged nor those on their way", round, key, len(got))
		}
		l.acked[key] = got
	}
	for key := range l.acked {
		if !slices.Contains(keys, key) {
			t.Errorf("round %d: %s was acknowledged and is gone", round, key)
		}
	}
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs"))
	if err != nil || len(blobs) != len(keys) {
		t.Errorf("round %d: %d blobs for %d objects (%v)", round, len(blobs), len(keys), err)
	}
}
