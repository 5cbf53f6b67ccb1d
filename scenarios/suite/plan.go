// Package suite plays many scenarios: it picks those that are wanted, plays some of them at a time, and tells how they went
// in the forms that people and build servers read. How one is played, and in what simulator, is the caller's.
package suite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/scenarios/engine"
)

// Plan says which scenarios are played, how often and in what order. The zero Plan plays each once, as they came.
type Plan struct {
	Tags    []string // play those that have one of these; "!TAG": none that has it; empty: all
	Shard   Shard    // play a part of them
	Repeat  int      // how often each is played; less than 1: once
	Shuffle uint64   // seed of the order; 0: as they came
}

// Shard is part I of N, counted from 1, so that N machines share the work. The zero Shard is all of it.
type Shard struct{ I, N int }

// ParseShard reads "2/3".
func ParseShard(text string) (Shard, error) {
	left, right, ok := strings.Cut(text, "/")
	i, err := strconv.Atoi(left)
	n, err2 := strconv.Atoi(right)
	if !ok || err != nil || err2 != nil || i < 1 || i > n {
		return Shard{}, fmt.Errorf("%q is no shard: write I/N, as 1/3 for the first of three", text)
	}
	return Shard{i, n}, nil
}

// Case is one playing of a scenario.
type Case struct {
	Scenario *engine.Scenario
	Round    int // of the scenario, from 1
}

// Cases gives what the plan plays of a list of scenarios. All shards of one plan together play each case once.
func (p Plan) Cases(list []*engine.Scenario) []Case {
	var out []Case
	for round := range max(p.Repeat, 1) {
		for _, s := range list {
			if p.wants(s) {
				out = append(out, Case{s, round + 1})
			}
		}
	}
	if p.Shuffle != 0 {
		r := rand.New(rand.NewPCG(p.Shuffle, 0)) //nolint:gosec // an order, no secret
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	if p.Shard.N == 0 {
		return out
	}
	var part []Case
	for i := p.Shard.I - 1; i < len(out); i += p.Shard.N {
		part = append(part, out[i])
	}
	return part
}

func (p Plan) wants(s *engine.Scenario) bool {
	wanted, asked := false, false
	for _, tag := range p.Tags {
		if not, ok := strings.CutPrefix(tag, "!"); ok {
			if slices.Contains(s.Tags, not) {
				return false
			}
			continue
		}
		asked = true
		wanted = wanted || slices.Contains(s.Tags, tag)
	}
	return wanted || !asked
}
