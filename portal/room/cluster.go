package room

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

// Cluster shows the customer's cluster. It returns Unavailable while there is none.
func (r *Room) Cluster(ctx context.Context) (ui.ClusterPage, error) {
	var view ui.ClusterPage
	k, err := r.Simulator.Cluster()
	if err != nil {
		return view, err
	}
	is, err := k.Read(ctx)
	if err != nil {
		return view, fmt.Errorf("look at the cluster: %w", err)
	}
	for _, n := range is.Nodes {
		view.Nodes = append(view.Nodes, ui.ClusterNode{
			Name: n.Name, Status: n.Status, CPU: n.CPU, Memory: n.Memory, Disk: n.Disk, Pods: n.Pods, Percent: min(n.Percent, 100),
			Ready: strings.HasPrefix(n.Status, "Ready"), Cordoned: strings.HasSuffix(n.Status, "SchedulingDisabled"), Off: n.Power == "off",
		})
	}
	for _, d := range is.Deployments {
		view.Deployments = append(view.Deployments, ui.ClusterDeployment{
			Namespace: d.Namespace, Name: d.Name, Ready: fmt.Sprintf("%d/%d", d.Ready, d.Desired), Desired: d.Desired, Whole: d.Ready >= d.Desired,
		})
	}
	for _, x := range is.Pods {
		view.Pods = append(view.Pods, ui.ClusterPod{
			Namespace: x.Namespace, Name: x.Name, Ready: x.Ready, Status: x.Status, Node: x.Node, Image: x.Image, Restarts: x.Restarts,
			Colour: podColour(x), Created: x.Created,
		})
	}
	for _, e := range is.Events {
		view.Events = append(view.Events, ui.ClusterEvent{Time: e.Time, Warning: e.Warning, Reason: e.Reason, Object: e.Object, Message: e.Message, Count: e.Count})
	}
	return view, nil
}

// podColour is green for a pod that does what it shall, red for one that failed, orange for one on its way.
func podColour(x api.ClusterPod) string {
	have, want, _ := strings.Cut(x.Ready, "/")
	switch {
	case x.Status == "Completed" || x.Status == "Running" && have == want:
		return "green"
	case strings.Contains(x.Status, "Err") || strings.Contains(x.Status, "BackOff") || x.Status == "OOMKilled" || x.Status == "Evicted" || x.Status == "Failed" || x.Status == "Unknown":
		return "red"
	}
	return "orange"
}

// Act is something that the cluster's operator does by a button of the page.
type Act struct {
	Name              string // of the button
	Namespace, Object string
	Replicas          string // as typed
}

// Do does a.
func (r *Room) Do(ctx context.Context, a Act) error {
	k, err := r.Simulator.Cluster()
	if err != nil {
		return err
	}
	switch a.Name {
	case "scale":
		n, err := strconv.Atoi(a.Replicas)
		if err != nil {
			return sim.Errorf(sim.Invalid, "the number of replicas cannot be %.20q", a.Replicas).WithHelp("give a whole number from 0")
		}
		return k.Scale(ctx, a.Namespace, a.Object, n)
	case "delete-pod":
		return k.DeletePod(ctx, a.Namespace, a.Object)
	case "cordon", "uncordon":
		return k.Cordon(ctx, a.Object, a.Name == "cordon")
	case "stop", "start":
		return k.SetPower(ctx, a.Object, a.Name == "start")
	default:
		return NoAct(a.Name)
	}
}

// NoAct refuses an act that no button of a page asks for.
func NoAct(name string) error {
	return sim.Errorf(sim.Invalid, "there is no act %.20q", name).WithHelp("use the buttons of the page")
}

// Log shows the end of a pod's log, or of its container before. A page comes with each error.
func (r *Room) Log(ctx context.Context, namespace, pod string, previous bool) (ui.LogPage, error) {
	view := ui.LogPage{Namespace: namespace, Pod: pod, Previous: previous}
	k, err := r.Simulator.Cluster()
	if err == nil {
		view.Text, err = k.Log(ctx, namespace, pod, previous)
	}
	return view, err
}
