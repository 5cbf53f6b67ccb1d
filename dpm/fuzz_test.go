package dpm

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/jwk"
)

// FuzzHello: what is accepted keeps every rule of dpm.proto, and everything else is Invalid or Forbidden.
func FuzzHello(f *testing.F) {
	for _, h := range []*dpmv1.Hello{
		{},
		{Label: "finance", Replica: "finance-0", Version: "15.1.0", Slots: 4, Capabilities: []string{"job:profile"}, Drivers: []string{"s3"}},
		{Label: "finance", Replica: "finance-5d8f9c7b6d-x2x4z.x", Version: "15.1.0", Slots: 1000},
		{Label: "finance", Replica: "-", Version: "15", Slots: 1001, ConfigurationRevision: -1},
	} {
		b, err := proto.Marshal(h)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &dpmv1.Hello{}
		if proto.Unmarshal(b, h) != nil {
			return
		}
		e, err := engineFromProto(h, "finance")
		if err != nil {
			if k := sim.KindOf(err); k != sim.Invalid && k != sim.Forbidden {
				t.Fatalf("kind %v of %v", k, err)
			}
			return
		}
		if e.Label != "finance" || e.Slots < 1 || e.Slots > maxSlots || e.Revision < 0 || e.Replica == "" || len(e.Replica) > 253 ||
			strings.ContainsAny(string(e.Replica), " /\\\"\n") || sim.CheckDrivers(e.Drivers) != nil {
			t.Fatalf("accepted %+v", e)
		}
	})
}

// FuzzToken: no text that was not signed by the key is taken for a token, nothing panics, and every refusal has a kind.
func FuzzToken(f *testing.F) {
	key, err := jwk.Generate()
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	good, err := jwk.Sign(key, "finance", "host", now, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	find := func(k sim.KeyID) (Component, error) {
		if k == jwk.Fingerprint(&key.PublicKey) {
			return Component{Key: k, Label: "finance", PublicKey: &key.PublicKey}, nil
		}
		return Component{}, sim.Errorf(sim.Unauthenticated, "unknown")
	}
	if _, err := verify(good, "host", func() time.Time { return now }, find); err != nil {
		f.Fatalf("the good token: %v", err)
	}
	f.Add(good[:len(good)-1])
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6MX0.e30.AAAA")
	f.Add("eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.e30.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if token == good {
			return
		}
		if _, err := verify(token, "host", func() time.Time { return now }, find); sim.KindOf(err) != sim.Unauthenticated {
			t.Fatalf("%q: %v, want Unauthenticated", token, err)
		}
	})
}

// FuzzEvent: what passes has a known state, and a payload and a reference in their bounds.
func FuzzEvent(f *testing.F) {
	for _, ev := range []*dpmv1.JobEvent{
		{},
		{JobId: "j", Attempt: 1, State: dpmv1.JobState_JOB_STATE_SUCCEEDED, Payload: []byte(`{"a":1}`)},
		{JobId: "j", Attempt: -1, State: 77, Result: &dpmv1.ObjectReference{Bucket: "b", Key: "k", Sha256: "x"}},
	} {
		b, err := proto.Marshal(ev)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ev := &dpmv1.JobEvent{}
		if proto.Unmarshal(b, ev) != nil || checkEvent(ev) != "" {
			return
		}
		if ev.GetState() < 1 || ev.GetState() > 3 || len(ev.GetPayload()) > maxPayload || ev.GetResult() != nil && len(ev.GetResult().GetSha256()) != 64 {
			t.Fatalf("accepted %v", ev)
		}
	})
}
