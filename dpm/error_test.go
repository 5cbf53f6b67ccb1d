package dpm_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dpesim/dpesim/dpm"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

func TestEveryKindReachesTheClientWithItsCodeKindAndHelp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	codesSeen := map[codes.Code]sim.Kind{}
	for _, k := range sim.Kinds() {
		code := dpm.Code(k)
		if other, taken := codesSeen[code]; taken || code == codes.Unknown || code == codes.OK {
			t.Errorf("%v has code %v, which is no code of its own (%v)", k, code, other)
		}
		codesSeen[code] = k
		if err := r.faults.Arm(fault.Fault{Name: "f", Point: dpm.FaultConnect, Err: sim.Errorf(k, "broken %v", k).WithHelp("mend it")}); err != nil {
			t.Fatal(err)
		}
		_, err := r.knock(t, key, hello("finance", "finance-0")).end(t)
		if err := r.faults.Disarm("f"); err != nil {
			t.Fatal(err)
		}
		st := status.Convert(err)
		var info *errdetails.ErrorInfo
		for _, d := range st.Details() {
			info, _ = d.(*errdetails.ErrorInfo)
		}
		if st.Code() != code || info.GetDomain() != dpm.ErrorDomain || sim.KindFromString(info.GetReason()) != k {
			t.Errorf("%v arrives as %v with %v", k, st, info)
		}
		wantMsg, wantHelp := "broken "+k.String(), "mend it"
		if k == sim.Internal {
			wantMsg, wantHelp = "an internal error occurred", "the cause is in dpesim's log"
		}
		if st.Message() != wantMsg || info.GetMetadata()["help"] != wantHelp {
			t.Errorf("%v says %q, help %q", k, st.Message(), info.GetMetadata()["help"])
		}
	}
	if got := dpm.Code(sim.Kind(99)); got != codes.Unknown {
		t.Errorf("an unknown kind has code %v", got)
	}
}

func TestAFaultMayAskForAnyStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.authorize(t, "finance")
	if err := r.faults.Arm(fault.Fault{Name: "f", Point: dpm.FaultConnect, Err: status.Error(codes.DeadlineExceeded, "slow")}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.knock(t, key, hello("finance", "finance-0")).end(t); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}
