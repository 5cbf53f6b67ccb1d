package why

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// Troubled names what the events show not to work, as [Explain] takes it, the newest trouble first: pods, releases and nodes by
// their newest state, jobs that failed, DPEs whose engine was refused last.
func Troubled(events []sim.Event) []string {
	l, last := newLog(events), map[subject]sim.Event{}
	for _, e := range l.events {
		for _, k := range kinds() {
			if s, ok := about(k, e); ok && (s.shows(e) || k == kindDPE && refusal(e)) {
				last[s] = l.settled(last[s], e)
			}
		}
	}
	type found struct {
		subject
		seq uint64
	}
	var all []found
	for s, e := range last {
		if broken(s.kind, e) {
			all = append(all, found{s, e.Seq})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.seq, a.seq), strings.Compare(a.String(), b.String()))
	})
	var out []string
	for _, f := range all {
		out = append(out, f.String())
	}
	return out
}

// broken tells whether something of a kind with this newest event does not work.
func broken(k kind, e sim.Event) bool {
	switch k {
	case kindPod:
		return trouble(e) && e.Part == sim.PartCluster && e.Detail["exit_code"] != "0"
	case kindRelease:
		return e.What == "helm release failed"
	case kindNode:
		return slices.Contains([]string{"node stopped", "node lost", "node not started"}, e.What)
	case kindJob:
		return e.What == "job failed"
	case kindDPE:
		return refusal(e)
	case kindDeployment:
	}
	return false
}

// Objects names what a command line names, as [Explain] takes it: of jobs, which a command names with their environment, the
// id alone.
func Objects(command string) []string {
	var out []string
	for _, word := range strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(" \t\n'\"|;&()<>=", r) }) {
		if parts := strings.Split(word, "/"); len(parts) == 3 && parts[0] == string(kindJob) {
			word = parts[0] + "/" + parts[2]
		}
		if _, err := parse(word); err == nil && !strings.Contains(word, "$") && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}
