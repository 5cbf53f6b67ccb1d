package room

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/portal/api"
)

// word writes s as one word of a shell.
func word(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Command is what does the same in a terminal; empty: there is no such act.
func (a Act) Command() string {
	object, namespace := word(a.Object), " -n "+word(a.Namespace)
	switch a.Name {
	case actScale:
		return "dpesim kubectl scale deployment/" + object + namespace + " --replicas " + word(cmp.Or(a.Replicas, "N"))
	case actDelete:
		return "dpesim kubectl delete pod " + object + namespace
	case actCordon, actUncordon:
		return "dpesim kubectl " + a.Name + " " + object
	case actStop, actStart:
		return "dpesim node " + a.Name + " " + object
	}
	return ""
}

// FaultCommand is what breaks the same in a terminal.
func FaultCommand(f api.Fault) string {
	out := "dpesim fault arm " + word(cmp.Or(f.Point, "POINT"))
	flag := func(name, value string) {
		if value != "" {
			out += " --" + name + " " + word(value)
		}
	}
	if f.Name != f.Point {
		flag("name", f.Name)
	}
	flag("error", f.Error)
	flag("delay", f.Delay)
	flag("environment", string(f.Environment))
	flag("dpe", string(f.DPE))
	if f.Skip != 0 {
		flag("skip", strconv.Itoa(f.Skip))
	}
	if f.Times != 0 {
		flag("times", strconv.Itoa(f.Times))
	}
	if f.Probability != 0 {
		flag("probability", strconv.FormatFloat(f.Probability, 'g', -1, 64))
	}
	return out
}
