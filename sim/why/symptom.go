package why

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// about gives the names that e tells of, of one kind.
func about(k kind, e sim.Event) (subject, bool) {
	s := subject{kind: k, where: e.Detail["namespace"]}
	switch k {
	case kindPod:
		s.name = e.Detail["pod"]
	case kindDeployment:
		s.name = e.Detail["deployment"]
	case kindRelease:
		s.name = e.Detail["release"]
	case kindNode:
		s.where, s.name = "", e.Detail["node"]
	case kindJob:
		s.where, s.name = "", e.Detail["job_id"]
	case kindDPE:
		s.where, s.name = string(e.Environment), string(e.DPE)
		if e.Environment == "" { // a cluster knows labels alone
			return s, false
		}
	}
	return s, s.name != ""
}

// thing explains what is known by its events alone: pods, nodes, releases, deployments.
func (l *log) thing(s subject) (Explanation, error) {
	known := map[subject]bool{}
	for _, e := range l.events {
		if x, ok := about(s.kind, e); ok {
			known[x] = true
		}
	}
	s, err := s.find(known)
	if err != nil {
		return Explanation{}, err
	}
	e, ok := l.newest(0, 0, func(e sim.Event) bool { return s.shows(e) })
	if !ok { // it is only ever mentioned
		e, _ = l.newest(0, 0, func(e sim.Event) bool { x, ok := about(s.kind, e); return ok && x == s })
	}
	out := Explanation{Subject: s.String(), Chains: l.chains(e)}
	if s.kind == kindRelease {
		if p, ok := l.podTrouble(sim.Label(s.name), 0); ok {
			out.Chains = append(out.Chains, l.beside("its pods", p)...)
			e = p
		}
	}
	out.Summary, out.Hint = s.String()+": "+says(e), advice(out.Chains, hint(e))
	return out, nil
}

// beside gives the chains of e, in relation to those before.
func (l *log) beside(words string, e sim.Event) []Chain {
	c := l.chains(e)
	c[0].Relation = words
	return c
}

// shows tells whether e is a state of s, and not only something that names it in passing.
func (s subject) shows(e sim.Event) bool {
	x, ok := about(s.kind, e)
	if s.kind == kindPod && e.Part == sim.PartDPM && (e.What == "engine connected" || e.What == "engine disconnected") {
		return e.Detail["replica"] == s.name
	}
	if !ok || x != s {
		return false
	}
	if strings.HasPrefix(e.What, "object ") && e.What != "object deleted" || e.What == writeRefused {
		return false
	}
	switch s.kind {
	case kindNode:
		return e.Detail["pod"] == ""
	case kindRelease:
		return strings.HasPrefix(e.What, "helm ")
	case kindPod, kindJob, kindDPE, kindDeployment:
	}
	return true
}

// says is the short form of an event: without details.
func says(e sim.Event) string {
	for _, k := range []string{"message", "reason"} {
		if v := e.Detail[k]; v != "" {
			return e.What + ": " + oneLine(v)
		}
	}
	return e.What
}

// became gives the event by which a DPE came to the state and the count of replicas that it is in. Later ones that tell of
// something else, a failed job for example, do not explain its colour.
func (l *log) became(mine func(sim.Event) bool) (came sim.Event, ok bool) {
	for _, e := range l.events {
		if e.What != "dpe status changed" || !mine(e) {
			continue
		}
		if !ok || e.Detail["to"] != came.Detail["to"] || e.Detail["replicas"] != came.Detail["replicas"] {
			came, ok = e, true
		}
	}
	return came, ok
}

// dpe explains the colour that the portal shows of a DPE.
func (l *log) dpe(s subject, rows []DPE) (Explanation, error) {
	known := map[subject]bool{}
	for _, d := range rows {
		known[subject{kindDPE, string(d.Environment), string(d.Label)}] = true
	}
	there := len(known)
	for _, e := range l.events { // removed ones, too
		if x, ok := about(kindDPE, e); ok && e.Part == sim.PartPortal {
			known[x] = true
		}
	}
	s, err := s.find(known)
	if err != nil {
		return Explanation{}, err
	}
	env, label := sim.EnvironmentID(s.where), sim.Label(s.name)
	out := Explanation{Subject: s.String()}
	i := slices.IndexFunc(rows[:min(there, len(rows))], func(d DPE) bool { return d.Environment == env && d.Label == label })
	if i < 0 {
		e, _ := l.newest(0, 0, func(e sim.Event) bool {
			return e.Part == sim.PartPortal && e.Environment == env && e.DPE == label && e.What != "dpe status changed"
		})
		out.Summary = s.String() + " is not in the portal: " + says(e)
		out.Chains = l.chains(e)
		if p, ok := l.newestPod(label); ok && p.What != "pod deleted" {
			out.Chains = append(out.Chains, l.beside("what still runs in the cluster", p)...)
			out.Hint = fmt.Sprintf("uninstall it: 'dpesim helm uninstall %s -n %s'; 'dpesim residue %s %s' lists what is left", label, p.Detail["namespace"], env, label)
		} else {
			out.Hint = fmt.Sprintf("'dpesim residue %s %s' lists what is left of it", env, label)
		}
		return out, nil
	}
	d := rows[i]
	out.Summary = fmt.Sprintf("%s: %s (%s)", s, d.Message, d.Detail)
	mine := func(e sim.Event) bool { return e.DPE == label && e.Environment == env }
	if d.Connected {
		out.Hint = "nothing: it works"
		if d.Compliance != "" {
			out.Summary += ": " + d.Compliance
			out.Hint = fmt.Sprintf("it works, and more run than may: 'dpesim kubectl scale deployment/%s -n NAMESPACE --replicas N' takes some away, 'dpesim dpe edit %s %s --replicas N' asks for more", label, env, label)
		}
		e, ok := l.became(mine)
		if !ok {
			e, ok = l.newest(0, 0, func(e sim.Event) bool { return mine(e) && e.What == "engine connected" })
		}
		if ok {
			out.Chains = l.chains(e)
		}
		return out, nil
	}
	connected, _ := l.newest(0, 0, func(e sim.Event) bool { return mine(e) && e.What == "engine connected" })
	e, ok := l.newest(connected.Seq, 0, func(e sim.Event) bool {
		return refusal(e) && (mine(e) || e.Environment == env && e.Part == sim.PartEdge || concerns(e, label) && e.Environment == "")
	})
	if !ok {
		e, ok = l.podTrouble(label, connected.Seq)
	}
	if !ok {
		e, ok = l.newest(connected.Seq, 0, func(e sim.Event) bool { return mine(e) && e.What == "engine disconnected" })
	}
	if !ok { // others connected after this one had got into trouble
		e, ok = l.podTrouble(label, 0)
	}
	if !ok {
		e, ok = l.newestPod(label)
	}
	if !ok {
		out.Summary += ": nobody has installed it yet"
		out.Hint = fmt.Sprintf("install it: 'dpesim dpe commands %[1]s %[2]s' prints how, 'dpesim dpe run-commands %[1]s %[2]s' does it", env, label)
		if e, ok := l.newest(0, 0, func(e sim.Event) bool { return mine(e) && e.What == "dpe added" }); ok {
			out.Chains = l.chains(e)
		}
		return out, nil
	}
	out.Summary += ": " + says(e)
	out.Chains = l.chains(e)
	out.Hint = advice(out.Chains, hint(e))
	return out, nil
}

// newestPod gives the newest state of any pod of a DPE.
func (l *log) newestPod(label sim.Label) (sim.Event, bool) {
	return l.newest(0, 0, func(e sim.Event) bool { return isPodOf(e, label) })
}

func isPodOf(e sim.Event, label sim.Label) bool {
	return e.Part == sim.PartCluster && e.DPE == label && e.Detail["pod"] != "" && !strings.HasPrefix(e.What, "object ") && e.What != writeRefused
}

// podTrouble gives the newest sign of trouble after the event with Seq after, of a pod of the DPE that is there and whose
// newest state it is.
func (l *log) podTrouble(label sim.Label, after uint64) (sim.Event, bool) {
	last := map[string]sim.Event{}
	for _, e := range l.events {
		if isPodOf(e, label) {
			last[e.Detail["namespace"]+"/"+e.Detail["pod"]] = l.settled(last[e.Detail["namespace"]+"/"+e.Detail["pod"]], e)
		}
	}
	var worst sim.Event
	for _, e := range last {
		if e.Seq > max(after, worst.Seq) && trouble(e) {
			worst = e
		}
	}
	return worst, worst.Seq != 0
}

// settled gives what a pod's state is by a new event: one that only starts again after it failed is still failing.
func (l *log) settled(was, now sim.Event) sim.Event {
	if trouble(was) && (now.What == "container started" || now.What == "pod not ready") {
		return was
	}
	return now
}

// trouble tells whether a pod with this newest event does not work.
func trouble(e sim.Event) bool {
	switch e.What {
	case "", "pod created", "pod scheduled", "pod started", "pod ready", "container started", "pod deleted", "image pulled":
		return false
	}
	return true
}

// job explains a job's state.
func (l *log) job(s subject, rows []Job) (Explanation, error) {
	known := map[subject]bool{}
	for _, j := range rows {
		known[subject{kindJob, "", string(j.ID)}] = true
	}
	s, err := s.find(known)
	if err != nil {
		return Explanation{}, err
	}
	j := rows[slices.IndexFunc(rows, func(j Job) bool { return string(j.ID) == s.name })]
	out := Explanation{Subject: s.String(), Summary: fmt.Sprintf("%s of %s: %s", s, j.Environment, j.State)}
	if j.Reason != "" {
		out.Summary += ": " + oneLine(j.Reason)
	}
	out.Hint = fmt.Sprintf("'dpesim job get %s %s' shows it; 'dpesim environment engines %s' who could run it", j.Environment, j.ID, j.Environment)
	e, ok := l.newest(0, 0, func(e sim.Event) bool { return e.Environment == j.Environment && e.Detail["job_id"] == s.name })
	if ok {
		out.Chains = l.chains(e)
		out.Hint = advice(out.Chains, out.Hint)
	}
	return out, nil
}
