package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/scenarios/engine"
	"github.com/dpesim/dpesim/scenarios/verb"
)

// BenchmarkStep measures what the engine adds to a step with two fences of one word each, against the limit of 5 ms.
func BenchmarkStep(b *testing.B) {
	const steps, limit = 100, 5 * time.Millisecond
	var src strings.Builder
	src.WriteString("---\ntitle: T\n---\n")
	for i := range steps {
		fmt.Fprintf(&src, "## Step %d\n\nProse.\n\n```sh run\nword %d\n```\n\n```sh check\neventually 1s word\n```\n", i, i)
	}
	s, err := engine.Parse("x.md", []byte(src.String()))
	if err != nil {
		b.Fatal(err)
	}
	o := engine.Options{Dir: b.TempDir(), Verbs: map[string]verb.Verb{"word": func(context.Context, verb.Call) error { return nil }}}
	for b.Loop() {
		if err := engine.Run(b.Context(), s, o); err != nil {
			b.Fatal(err)
		}
	}
	step := b.Elapsed() / time.Duration(b.N*steps)
	b.ReportMetric(float64(step.Nanoseconds())/1e6, "ms/step")
	b.ReportMetric(float64(step)/float64(limit), "of_5ms")
}
