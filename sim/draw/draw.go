// Package draw gives the random numbers of a run: ids, jitter, fault probabilities.
//
// Every draw is keyed by the place that draws ("dpm/lease-jitter"), so that a new draw in one place changes nothing in
// another, and the same seed and inputs give the same events. Keys, passwords and tokens are not drawn here: they come
// from crypto/rand.
package draw

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// Source is the root of a run's draws. It is safe for concurrent use.
type Source struct {
	seed uint64

	mu     sync.Mutex
	places map[string]*rand.Rand
}

// New gives the source of a seed.
func New(seed uint64) *Source { return &Source{seed: seed, places: map[string]*rand.Rand{}} }

// Seed gives the seed that the source was made of.
func (s *Source) Seed() uint64 { return s.seed }

func (s *Source) atLocked(place string) *rand.Rand {
	r, ok := s.places[place]
	if !ok {
		h := fnv.New64a()
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], s.seed)
		_, _ = h.Write(b[:])
		_, _ = h.Write([]byte(place))
		r = rand.New(rand.NewPCG(s.seed, h.Sum64()))
		s.places[place] = r
	}
	return r
}

// Uint64 draws 64 bits.
func (s *Source) Uint64(place string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.atLocked(place).Uint64()
}

// Float64 draws from [0, 1).
func (s *Source) Float64(place string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.atLocked(place).Float64()
}

// Jitter draws a duration from [d/2, d).
func (s *Source) Jitter(place string, d time.Duration) time.Duration {
	return d/2 + time.Duration(s.Float64(place)*float64(d/2))
}

// alphabet is Kubernetes' own for generated names: no vowels, nothing that is easily taken for something else.
const alphabet = "bcdfghjklmnpqrstvwxz2456789"

// ID draws n characters that are safe in names, host names and URLs.
func (s *Source) ID(place string, n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.atLocked(place)
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}
