// Package mask compares the event logs of two runs: it takes from a log what no two runs share, and nothing else.
package mask

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// Rule is one thing that is taken from a log, and why no seed can make it the same.
type Rule struct {
	What string // is taken
	Why  string

	apply func(*line)
}

// line is an event on its way to a line of text.
type line struct {
	what, cause string // of the event and of what led to it
	detail      map[string]string
	last        bool // of its kind for its DPE
	dropped     bool
}

// Rules are everything that is masked, in the order in which it is done. docs/determinism.md has them, too.
var Rules = []Rule{
	{"when, in which order, and how often", "goroutines and programs run when the machine lets them, and who tries again tries as often as that takes", each(regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME")},
	{"port numbers", "the machine gives free ones", each(regexp.MustCompile(`(\b(?:localhost|\d+\.\d+\.\d+\.\d+)):\d+`), "$1:PORT")},
	{"ids of keys", "keys are secrets: the system draws them, not the seed", keys(set("KEY"), "key_id", "access_key")},
	{"hashes in the names of replica sets and pods", "Kubernetes hashes the pod's template, and with it keys and ports", each(regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{6,10}(-[a-z0-9]{5})?(\b)`), "-HASH$2")},
	{"how long something took, how many were counted together", "it took machine time", keys(drop, "ms", "count")},
	{"the node that a pod lands on", "pods that come at the same time are placed in the order in which they come", keys(set("NODE"), "node")},
	{"connections that came to nothing", "a program that needs one may dial two, and end; another program of the machine may dial a port by mistake", func(l *line) {
		l.dropped = l.what == "connection refused" && (l.detail["reason"] == "no hello" || l.detail["reason"] == "foreign egress")
	}},
	{"whether a container ended because its node was removed", "both are told at once, and either may be first", func(l *line) {
		if l.what == "container exited" && l.cause == "node removed" {
			l.cause = ""
		}
	}},
	{"what something was like on the way; how it ended stays", "who looks while pods come and go one after the other sees another number each time", passing},
}

// each replaces what matches in every value.
func each(pattern *regexp.Regexp, by string) func(*line) {
	return func(l *line) {
		for k, v := range l.detail {
			l.detail[k] = pattern.ReplaceAllString(v, by)
		}
	}
}

// keys changes the values of some keys.
func keys(change func(map[string]string, string), names ...string) func(*line) {
	return func(l *line) {
		for _, k := range names {
			if _, ok := l.detail[k]; ok {
				change(l.detail, k)
			}
		}
	}
}

func set(v string) func(map[string]string, string) {
	return func(m map[string]string, k string) { m[k] = v }
}

func drop(m map[string]string, k string) { delete(m, k) }

// passing drops what is seen only while something is under way.
func passing(l *line) {
	switch l.what {
	case "pod ready", "pod not ready", "replicas ready", "deployment complete":
		l.dropped = true
	case "pod unschedulable":
		l.dropped = !l.last || strings.Contains(l.detail["reason"], "waiting for ephemeral volume controller")
	case "deployment scaled":
		delete(l.detail, "from")
		delete(l.detail, "to")
		if strings.HasPrefix(l.cause, "pod ") || l.cause == "replicas ready" { // whichever of its pods came or went last
			l.cause = ""
		}
	case "dpe status changed", "compliance changed":
		delete(l.detail, "from")
		l.dropped, l.cause = !l.last, ""
	}
}

// Lines gives a log, masked: one line for all events that are alike then, sorted.
func Lines(events []sim.Event) []string {
	type kind struct {
		env  sim.EnvironmentID
		dpe  sim.Label
		what string
	}
	what, last := map[uint64]string{}, map[kind]uint64{}
	for _, e := range events {
		what[e.Seq], last[kind{e.Environment, e.DPE, e.What}] = e.What, e.Seq
	}
	seen := map[string]bool{}
	for _, e := range events {
		l := &line{what: e.What, cause: what[e.Cause], detail: maps.Clone(e.Detail), last: last[kind{e.Environment, e.DPE, e.What}] == e.Seq}
		for _, r := range Rules {
			r.apply(l)
		}
		if l.dropped {
			continue
		}
		words := []string{string(e.Part)}
		for _, s := range []string{string(e.Environment), string(e.DPE)} {
			if s != "" {
				words = append(words, s)
			}
		}
		words = append(words, l.what)
		for _, k := range slices.Sorted(maps.Keys(l.detail)) {
			words = append(words, fmt.Sprintf("%s=%q", k, l.detail[k]))
		}
		if l.cause != "" {
			words = append(words, "because", l.cause)
		}
		seen[strings.Join(words, " ")] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Diff gives the lines that one of two masked logs has and the other has not, "- " before those of a and "+ " before those
// of b.
func Diff(a, b []string) []string {
	var out []string
	for _, side := range []struct {
		mark      string
		has, lack []string
	}{{"- ", a, b}, {"+ ", b, a}} {
		for _, l := range side.has {
			if _, ok := slices.BinarySearch(side.lack, l); !ok {
				out = append(out, side.mark+l)
			}
		}
	}
	return out
}
