package picture_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/room/internal/picture"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func environment(engines int) picture.Environment {
	e := picture.Environment{Environment: api.Environment{ID: "prod", Name: "Prod", Release: "15.3.0"}}
	for i := range engines {
		e.Engines = append(e.Engines, api.Engine{Label: "finance", Replica: sim.ReplicaID(fmt.Sprintf("finance-%d", i)), Remote: fmt.Sprintf("203.0.113.10:%d", 40000+i)})
	}
	return e
}

func inPlace(t *testing.T, engines int, p ui.Picture) {
	t.Helper()
	for i, a := range p.Boxes {
		if a.X < 0 || a.Y < 0 || a.X+a.W > p.Width || a.Y+a.H > p.Height || p.WallY > a.Y && p.WallY < a.Y+a.H {
			t.Errorf("%d engines: %+v is outside of %d x %d, or on the wall", engines, a, p.Width, p.Height)
		}
		for _, b := range p.Boxes[:i] {
			frame := a.Kind == "frame" || b.Kind == "frame"
			if (a.Kind == b.Kind || !frame) && a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%d engines: %+v lies over %+v", engines, a, b)
			}
		}
	}
}

// Whatever the facts: nothing lies outside the picture, and no two boxes of a kind overlap.
func TestEverythingHasItsPlace(t *testing.T) {
	t.Parallel()
	for _, engines := range []int{0, 1, 2, 24, 25, 300} {
		f := picture.Facts{Now: now, Environments: []picture.Environment{environment(engines), environment(1)}}
		for _, p := range []ui.Picture{picture.Draw(f), picture.DrawNarrow(f)} {
			inPlace(t, engines, p)
		}
	}
	if p := picture.Draw(picture.Facts{Now: now}); !strings.Contains(fmt.Sprint(p.Boxes), "No environment yet") {
		t.Errorf("without environments: %+v", p.Boxes)
	}
}

func wires(p ui.Picture) map[string]string {
	out := map[string]string{}
	for _, w := range p.Wires {
		out[w.Title] = w.State
	}
	return out
}

func TestWiresAreTheConnections(t *testing.T) {
	t.Parallel()
	f := picture.Facts{Now: now, Environments: []picture.Environment{environment(2)}, Connections: []api.Connection{
		{Environment: "prod", Host: "dpm-grpc-prod.dpesim.localhost", Source: "203.0.113.10:40000", In: 999, Out: 1500, Active: now},
		{Environment: "prod", Host: "minio-prod.dpesim.localhost", Source: "203.0.113.10:1", In: 2_500_000, Active: now.Add(-time.Minute)},
		{Environment: "prod", Host: "minio-prod.dpesim.localhost", Source: "203.0.113.10:2", Active: now.Add(-time.Minute)},
		{Host: "localhost", Source: "127.0.0.1:5", Active: now},
		{Host: "registry.dpesim.localhost", Source: "203.0.113.10:9", Active: now.Add(-time.Hour)},
		{Host: "portal.dpesim.localhost", Source: "[::1]:5", Active: now.Add(-time.Hour)},
	}}
	want := map[string]string{
		"finance-0 to DPM: 1 connection, 999 B to the cloud, 1.5 kB from it": "active",
		"finance-1 to DPM": "idle", // known to DPM, not seen at the edge
		"engines to the object storage: 2 connections, 2.5 MB to the cloud, 0 B from it": "idle",
		"helm to the registry: 1 connection, 0 B to the cloud, 0 B from it":              "active",
		"image pulls: 1 connection, 0 B to the cloud, 0 B from it":                       "idle",
		"browsers and tools to the portal: 1 connection, 0 B to the cloud, 0 B from it":  "idle",
	}
	got := wires(picture.Draw(f))
	if len(got) != len(want) {
		t.Errorf("wires are %v", got)
	}
	for title, state := range want {
		if got[title] != state {
			t.Errorf("%q is %q, want %q", title, got[title], state)
		}
	}
	f.Faults = []api.Fault{{Name: "cut", Point: "edge.accept", Environment: "prod"}, {Name: "slow", Point: "dpm.connect"}, {Name: "other", Point: "objstore.get", Environment: "test"}}
	f.Environments[0].Engines = append(f.Environments[0].Engines, api.Engine{Label: "ataccama-managed", Replica: "ataccama-managed-0", Remote: "192.0.2.9:7", Managed: true})
	f.Connections = append(f.Connections, api.Connection{Environment: "prod", Host: "minio-prod.dpesim.localhost", Source: "192.0.2.9:8", Active: now})
	p := picture.Draw(f)
	for title, state := range wires(p) {
		if strings.HasPrefix(title, "engines to") && state != "bad" {
			t.Errorf("%q is %q while the edge is broken", title, state)
		}
	}
	for _, b := range p.Boxes {
		if broken := b.Fault != ""; broken != (b.Title == "DPM") {
			t.Errorf("%s is broken: %q", b.Title, b.Fault)
		}
	}
	inside := false
	for _, b := range p.Boxes {
		if b.Title == "1 Ataccama-managed engine" && b.X < p.Wall {
			inside = true
		}
	}
	if !inside || len(p.Wires) != 6 {
		t.Errorf("the Ataccama-managed engine is not inside the cloud: %+v, %+v", p.Boxes, p.Wires)
	}
	if p.Text != "Environment Prod: 3 engines connected. 7 connections open through the edge. 3 faults armed." {
		t.Errorf("in words: %s", p.Text)
	}
}

func TestRefusalsAreShownForAMinute(t *testing.T) {
	t.Parallel()
	refusal := func(ago time.Duration, source string) sim.Event {
		return sim.Event{Part: sim.PartEdge, What: "connection refused", Time: now.Add(-ago), Detail: map[string]string{"source": source, "reason": "not allowed", "count": "2"}}
	}
	p := picture.Draw(picture.Facts{Now: now, Events: []sim.Event{refusal(2*time.Minute, "192.0.2.1"), refusal(time.Second, "192.0.2.2"), refusal(0, "192.0.2.2"), {Part: sim.PartDPM, What: "connection refused", Time: now}}})
	if len(p.Refused) != 1 || p.Refused[0].Text != "refused 192.0.2.2: not allowed (4)" {
		t.Errorf("refused are %+v", p.Refused)
	}
}
