package main

import (
	"strings"
	"testing"

	"github.com/dpesim/dpesim/portal/api"
)

func TestAWaitingJobSaysWhyItWaits(t *testing.T) {
	t.Parallel()
	p, _ := start(t, "dpesim")
	p.run("environment", "create", "Acme")
	id := string(decode[api.Job](t, p.run("job", "submit", "acme", "profile", "sample-data/birdstrikes.csv", "-o", "json")).ID)
	const why = "no DPE is connected"
	if out := p.run("job", "get", "acme", id); !strings.Contains(out, why) {
		t.Errorf("job get does not say %q:\n%s", why, out)
	}
	if job := decode[api.Job](t, p.run("job", "get", "acme", id, "-o", "json")); job.State.Final() || !strings.Contains(job.Reason, why) {
		t.Errorf("the job is %s for %q", job.State, job.Reason)
	}
	p.stop()
}
