package why

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// kind is what a subject is.
type kind string

const (
	kindPod        kind = "pod"
	kindDPE        kind = "dpe"
	kindJob        kind = "job"
	kindNode       kind = "node"
	kindRelease    kind = "release"
	kindDeployment kind = "deployment"
)

func kinds() []kind {
	return []kind{kindPod, kindDPE, kindJob, kindNode, kindRelease, kindDeployment}
}

// subject is what a person asks about.
type subject struct {
	kind  kind
	where string // namespace or environment; empty: any
	name  string
}

func (s subject) String() string {
	if s.where == "" {
		return string(s.kind) + "/" + s.name
	}
	return string(s.kind) + "/" + s.where + "/" + s.name
}

// maxSubject bounds what is looked for, in bytes: twice the longest name that Kubernetes has, and a kind.
const maxSubject = 600

const subjectHelp = "name it pod/[NAMESPACE/]NAME, dpe/[ENVIRONMENT/]LABEL, job/ID, node/NAME, release/[NAMESPACE/]NAME or deployment/[NAMESPACE/]NAME"

func parse(text string) (subject, error) {
	parts := strings.Split(text, "/")
	s := subject{kind: kind(parts[0]), name: parts[len(parts)-1]}
	placed := s.kind != kindJob && s.kind != kindNode
	switch {
	case len(text) > maxSubject, len(parts) < 2, len(parts) > 3, slices.Contains(parts, ""),
		!slices.Contains(kinds(), s.kind), len(parts) == 3 && !placed:
		return s, sim.Errorf(sim.Invalid, "%.80q is nothing that can be explained", text).WithHelp(subjectHelp)
	case len(parts) == 3:
		s.where = parts[1]
	}
	return s, nil
}

// matches tells whether s may mean what is called name at where.
func (s subject) matches(where, name string) bool {
	return s.name == name && (s.where == "" || s.where == where)
}

// find completes s by the names that there are: exactly that one, or the only one that begins so.
func (s subject) find(known map[subject]bool) (subject, error) {
	var exact, begun []subject
	for k := range known {
		switch {
		case s.matches(k.where, k.name):
			exact = append(exact, k)
		case strings.HasPrefix(k.name, s.name) && (s.where == "" || s.where == k.where):
			begun = append(begun, k)
		}
	}
	found := exact
	if len(found) == 0 && (s.kind == kindPod || s.kind == kindJob) {
		found = begun
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return s, s.unknown(known)
	}
	return s, sim.Errorf(sim.Invalid, "%s may mean %s", s, strings.Join(names(found, maxNamed), ", ")).WithHelp("name one of them in full")
}

// maxNamed is how many names an error gives: as many as fit on a line or two.
const maxNamed = 5

func names(s []subject, most int) []string {
	slices.SortFunc(s, func(a, b subject) int { return strings.Compare(a.String(), b.String()) })
	out := make([]string, 0, most+1)
	for i, x := range s {
		if i == most {
			return append(out, "...")
		}
		out = append(out, x.String())
	}
	return out
}

// unknown says that nobody knows s, and names the nearest that are known.
func (s subject) unknown(known map[subject]bool) error {
	err := sim.Errorf(sim.NotFound, "nothing was told of %s in this run", s)
	near := slices.SortedFunc(maps.Keys(known), func(a, b subject) int {
		return cmp.Or(cmp.Compare(distance(s.name, a.name), distance(s.name, b.name)), strings.Compare(a.String(), b.String()))
	})
	if len(near) == 0 {
		return err.WithHelp("no %s has been seen; 'dpesim timeline' shows what was", s.kind)
	}
	out := make([]string, 0, maxNamed)
	for _, x := range near[:min(len(near), maxNamed)] {
		out = append(out, x.String())
	}
	return err.WithHelp("the nearest are %s", strings.Join(out, ", "))
}

// distance is the edit distance of Levenshtein: insertions, deletions and substitutions, of bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
