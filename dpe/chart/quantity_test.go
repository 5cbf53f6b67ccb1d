package chart_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/dpe/chart"
)

// TestQuantitiesAreThoseOfKubernetes: the same amounts, written in the same way.
func TestQuantitiesAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?|[1-9][0-9]{0,8}m`)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := text.Draw(rt, "a"), text.Draw(rt, "b")
		qa, okA := chart.ParseQuantity(a)
		qb, okB := chart.ParseQuantity(b)
		ka, kb := resource.MustParse(a), resource.MustParse(b)
		if !okA || !okB || qa.Cmp(qb) != ka.Cmp(kb) {
			rt.Fatalf("%s and %s compare as %d, in Kubernetes as %d", a, b, qa.Cmp(qb), ka.Cmp(kb))
		}
		ka.Neg() // twice: so that it is written anew, not as it was read
		ka.Neg()
		one, _ := chart.ParseQuantity("1")
		if got, want := qa.String(), ka.String(); got != want && qa.Of(one) && ka.Sign() > 0 {
			rt.Fatalf("%s is written %s, by Kubernetes %s", a, got, want)
		}
		if again, ok := chart.ParseQuantity(qa.String()); qa.Of(one) && (!ok || again.Cmp(qa) != 0) {
			rt.Fatalf("%s is written %s, which is another amount", a, qa)
		}
	})
}

func TestWhatIsNoQuantity(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "m", "-1", "+1", "1e3", "1.", ".5", "1 ", "1P", "1Pi", "1Mb", "１", "11111111111111111111111111111111111111111"} {
		if q, ok := chart.ParseQuantity(s); ok {
			t.Errorf("%q is taken as %s", s, q)
		}
	}
}
