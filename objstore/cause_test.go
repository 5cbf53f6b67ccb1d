package objstore_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

func TestAClientSaysWhatLedToAnObject(t *testing.T) {
	t.Parallel()
	f := start(t, "")
	if err := f.EnsureBucket(t.Context(), objstore.ResultsBucket); err != nil {
		t.Fatal(err)
	}
	dispatched := f.bus.Publish(context.WithoutCancel(t.Context()), sim.Event{Part: sim.PartDPM, What: "job dispatched"})
	for claim, want := range map[string]uint64{strconv.FormatUint(dispatched.Seq, 10): dispatched.Seq, "1000000": 0, "no number": 0} {
		before := f.bus.Last()
		_, err := f.s3(engine).PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(objstore.ResultsBucket), Key: aws.String("r")},
			s3.WithAPIOptions(smithyhttp.SetHeaderValue(event.CauseHeader, claim)))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range f.bus.Since(before) {
			if e.What == "object stored" && e.Cause != want {
				t.Errorf("%q: caused by %d, want %d", claim, e.Cause, want)
			}
		}
		if f.bus.Last() == before {
			t.Error("the object was not told of")
		}
	}
}
