package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// TestKilledInMidWorkComesBackWhole kills `up --data` while jobs run, starts it again, and finds everything that was
// acknowledged: environments, DPEs and their keys, the release in the cluster, objects, and each job with one end.
func TestKilledInMidWorkComesBackWhole(t *testing.T) {
	t.Parallel()
	p, _ := start(t, "dpesim", "--data", t.TempDir())
	p.run("environment", "create", "Acme", "--release", "15.1.0")
	p.install("acme", "Finance", "finance", "15.1.0", 2)
	p.run("wait", "acme/finance")

	objects := map[string]string{}
	for i := range 5 {
		key, text := fmt.Sprintf("sample-data/mine-%d.csv", i), strings.Repeat(fmt.Sprintf("id,name\n%d,row\n", i), 1000*(i+1))
		p.write("mine.csv", text)
		p.run("s3", "put", "acme", "mine.csv", key)
		objects[key] = digest(text)
	}
	var ids []sim.JobID
	for key := range objects {
		ids = append(ids, decode[api.Job](t, p.run("job", "submit", "acme", "profile", key, "-o", "json")).ID)
	}
	ids = append(ids, decode[api.Job](t, p.run("job", "submit", "acme", "profile", "sample-data/birdstrikes.csv", "-o", "json")).ID)
	before := decode[api.DPE](t, p.run("dpe", "get", "acme", "finance", "-o", "json"))
	values := p.run("dpe", "values", "acme", "finance")

	p.kill()
	p.up()

	after := decode[api.DPE](t, p.run("dpe", "get", "acme", "finance", "-o", "json"))
	if before.KeyID != after.KeyID || before.Revision != after.Revision || before.Created != after.Created {
		t.Errorf("the DPE came back as %+v, it was %+v", after, before)
	}
	if p.run("dpe", "values", "acme", "finance") != values {
		t.Error("values.yaml is another one after the restart")
	}
	p.run("wait", "acme/finance") // the pods come back by themselves
	if releases := p.run("helm", "list", "--namespace", "dpe", "--output", "json"); !strings.Contains(releases, `"finance"`) {
		t.Errorf("helm list after the restart: %s", releases)
	}
	for key, want := range objects {
		if got := digest(p.run("s3", "cat", "acme", key)); got != want {
			t.Errorf("object %s has digest %s, want %s", key, got, want)
		}
	}
	for _, id := range ids {
		p.run("job", "watch", "acme", string(id))
		job := decode[api.Job](t, p.run("job", "get", "acme", string(id), "-o", "json"))
		if job.State != api.JobSuccess || job.Result == nil {
			t.Errorf("job %s ended as %s: %s", id, job.State, job.Reason)
			continue
		}
		if got := digest(p.run("s3", "cat", "acme", job.Result.Bucket+"/"+job.Result.Key)); got != job.Result.SHA256 {
			t.Errorf("the result of job %s has digest %s, it was announced with %s", id, got, job.Result.SHA256)
		}
	}
	if n := len(decode[[]api.Job](t, p.run("job", "list", "acme", "-o", "json"))); n != len(ids) {
		t.Errorf("%d jobs after the restart, %d were accepted", n, len(ids))
	}
	p.stop()
}

func digest(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

func decode[T any](tb testing.TB, s string) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		tb.Fatalf("%v in %s", err, s)
	}
	return v
}
