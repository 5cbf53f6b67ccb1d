package why

import (
	"fmt"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// hint says what to do next about e.
func hint(e sim.Event) string {
	ns, pod, reason := e.Detail["namespace"], e.Detail["pod"], e.Detail["message"]+e.Detail["reason"]
	describe := fmt.Sprintf("'dpesim kubectl describe pod %s -n %s' shows more", pod, ns)
	if tooOld(e) {
		return fmt.Sprintf("upgrade it: 'dpesim dpe commands %s %s' prints how", e.Environment, e.DPE)
	}
	switch e.What {
	case "pod unschedulable":
		switch {
		case strings.Contains(reason, "Insufficient"), strings.Contains(reason, "enough free storage"):
			return "make room: add a node, free what others request, or ask for less (fewer replicas, a smaller tier); 'dpesim kubectl describe nodes' shows what is requested"
		case strings.Contains(reason, "unschedulable"):
			return "'dpesim kubectl uncordon NODE' lets pods onto a node again; 'dpesim kubectl get nodes' shows which are cordoned"
		case strings.Contains(reason, "taint"):
			return "remove the taint ('dpesim kubectl taint nodes NODE KEY-'), or tolerate it in the values file"
		}
		return describe
	case "image pull failed", "image pull backed off", "login refused", "pull refused", "token refused":
		return "install it anew with a fresh values file: its access token may be old ('dpesim dpe values ENVIRONMENT LABEL'); is the image's name right?"
	case "container exited", "container waiting", "container out of memory":
		if pod != "" {
			return fmt.Sprintf("read what it said: 'dpesim kubectl logs %s -n %s --previous'", pod, ns)
		}
	case "pod evicted":
		return "give it more scratch disk, or the node more room; " + describe
	case "engine refused":
		switch e.Detail["kind"] {
		case sim.Forbidden.String():
			return "its key is withdrawn for ever: uninstall it, or add the DPE again and install that with its new values file"
		case sim.Unauthenticated.String():
			return "install it with the values file of this very environment: 'dpesim dpe values ENVIRONMENT LABEL'"
		}
		return "its log says more: 'dpesim kubectl logs -l app.kubernetes.io/instance=" + string(e.DPE) + " -A'"
	case "connection refused":
		return "the edge does not let the source address in: look at the environment's allowlist, or at the name that was asked for"
	case "request refused":
		return "object storage refused its credential: install it with a fresh values file ('dpesim dpe values ENVIRONMENT LABEL')"
	case "engine disconnected":
		return fmt.Sprintf("'dpesim why pod/%s' tells what became of its pod", e.Detail["replica"])
	case "engine connected", "pod ready", "helm release deployed", "deployment complete", "node ready":
		return "nothing: it works"
	case "pod created", "pod scheduled", "pod started", "container started", "helm install started", "helm upgrade started", "helm rollback started":
		return "wait a moment and ask again; it is on its way"
	case "helm release failed":
		return fmt.Sprintf("'dpesim helm history %s -n %s' shows the revisions; upgrade again, or 'dpesim helm rollback %s -n %s'", e.Detail["release"], ns, e.Detail["release"], ns)
	}
	if pod != "" {
		return describe
	}
	return "'dpesim timeline' shows what happened around it"
}
