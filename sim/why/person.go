package why

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// writeRefused is the event of a person whom the cluster did not let do something: it says nothing of the thing itself.
const writeRefused = "write refused"

// commandsStarted is the event of a person who has the portal run what it prints, on the simulator's own cluster.
const commandsStarted = "commands started"

// person tells whether e is what a person did in the cluster.
func person(e sim.Event) bool { return e.Part == sim.PartCluster && e.Detail["client"] != "" }

// told tells whether a detail is in the words of [did].
func told(key string) bool {
	return slices.Contains([]string{"user", "client", "version", "command", "verb", "resource", "name", "pod", "deployment", "node", "release", "subresource", "by", "task"}, key)
}

// Act says what a person did in the cluster, if e tells that: "operator ran helm install of edge-eu", "ada had the portal
// run the install commands of edge-eu".
func Act(e sim.Event) (words string, ok bool) {
	if e.Part == sim.PartPortal && e.What == commandsStarted && e.Detail["by"] != "" {
		return oneLine(e.Detail["by"] + " had the portal run the " + e.Detail["task"] + " commands of " + string(e.DPE)), true
	}
	if !person(e) {
		return "", false
	}
	return oneLine(did(e)), true
}

// did says what a person did: "operator ran helm upgrade of edge-eu", "operator ran kubectl delete on pods/edge-eu-1". A real
// cluster does not say who it was: "somebody ran kubectl scale on deployments/edge-eu/scale".
func did(e sim.Event) string {
	d := e.Detail
	who := cmp.Or(d["user"], "somebody")
	if verb, ok := strings.CutSuffix(strings.TrimPrefix(e.What, "helm "), " started"); ok && d["release"] != "" {
		return who + " ran helm " + verb + " of " + d["release"]
	}
	command := cmp.Or(d["command"], d["client"]+" "+d["verb"])
	object := d["resource"]
	if d["name"] != "" {
		object += "/" + d["name"]
	}
	if d["subresource"] != "" {
		object += "/" + d["subresource"]
	}
	return who + " ran " + command + " on " + object
}
