package operator_test

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/dpesim/dpesim/scenarios/operator"
	"github.com/dpesim/dpesim/scenarios/verb"
)

func TestMain(m *testing.M) {
	if code, ok := verb.Dispatch(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// screen is what was printed. It is safe for concurrent use.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func TestTheOperatorHasHelmAndKubectlAndNothingElse(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]struct {
		code  int
		print string
	}{
		"helm version --short && kubectl version --client": {0, "Client Version: "},
		"helm frobnicate":  {1, `unknown command "frobnicate" for "helm"`},
		"ls":               {127, "ls: no such word; no programs run here, there are helm, kubectl"},
		`echo "[$HOME]"`:   {0, "/.home]"},
		`echo "[$PATH$X]"`: {0, "[x]"},
	} {
		var out screen
		code, err := operator.Run(t.Context(), t.TempDir(), map[string]string{"X": "x"}, command, &out)
		if got := out.b.String(); err != nil || code != want.code || !strings.Contains(got, want.print) {
			t.Errorf("%s: exit code %d, %v, prints %q", command, code, err, got)
		}
	}
}
