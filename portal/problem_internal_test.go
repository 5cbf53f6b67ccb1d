package portal

import (
	"net/http"
	"testing"

	"github.com/dpesim/dpesim/sim"
)

func TestStatusCoversEveryKind(t *testing.T) {
	t.Parallel()
	seen := map[int]sim.Kind{}
	for _, k := range sim.Kinds() {
		code := status(k)
		if other, ok := seen[code]; ok {
			t.Errorf("%v and %v are both answered with %d", other, k, code)
		}
		if seen[code] = k; k != sim.Internal && code == http.StatusInternalServerError {
			t.Errorf("%v is answered as our own fault", k)
		}
	}
}
