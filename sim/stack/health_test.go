package stack_test

import (
	"testing"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/simtest"
)

func TestCertificatesAreRenewedBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	s, ctx := simtest.Start(t), t.Context()
	env := s.Environment(t, api.EnvironmentSpec{Name: "Acme"}).ID
	shown := func() (earliest time.Time) {
		checks, err := s.API.Health(ctx, env)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			if !c.OK || c.CertificateExpires == nil {
				t.Fatalf("%+v", c)
			}
			if earliest.IsZero() || c.CertificateExpires.Before(earliest) {
				earliest = *c.CertificateExpires
			}
		}
		return earliest
	}
	before := shown()
	if _, err := s.API.MoveClock(ctx, api.ClockMove{Advance: "90d"}); err != nil {
		t.Fatal(err)
	}
	if after := shown(); !after.After(before) || !after.After(s.Clock().Now()) {
		t.Errorf("after 90 days the certificate is good until %v, it was until %v", after, before)
	}
}
