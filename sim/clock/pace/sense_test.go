package pace

import (
	"context"
	"testing"
	"time"

	"github.com/dpesim/dpesim/sim/clock"
)

// script is a sense that always feels rest, and ends the run after so many looks.
type script struct {
	looks int
	end   context.CancelFunc
}

func (s *script) rested() bool { return true }

func (s *script) pause(time.Duration) {
	if s.looks--; s.looks == 0 {
		s.end()
	}
}

func TestWhoHoldsTimeKeepsItFromJumping(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		begin func(p *Pace) (release func())
		looks int
		least int // of ten timers, a second apart
		most  int
	}{
		{"nobody", func(*Pace) func() { return func() {} }, 100, 10, 10},
		{"held", (*Pace).Hold, 100, 0, 0},
		{"held twice, released once", func(p *Pace) func() { p.Hold()(); return p.Hold() }, 100, 0, 0},
		{"a program: 20 s in a second", (*Pace).Program, 205, 4, 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := clock.NewFrozen(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			ran := 0
			for i := range 10 {
				c.AfterFunc(time.Duration(i+1)*time.Second, func() { ran++ })
			}
			run := func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				p := New(c)
				p.sense = func() sense { return &script{tc.looks, cancel} }
				release := tc.begin(p)
				p.Run(ctx)
				release()
				release() // once more does nothing
				if p.held+p.programs != 0 {
					t.Errorf("%d hold it, %d programs", p.held, p.programs)
				}
			}
			run()
			if ran < tc.least || ran > tc.most {
				t.Errorf("%d timers ran", ran)
			}
		})
	}
}
