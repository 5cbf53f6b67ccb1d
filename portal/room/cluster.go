package room

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

// podsPage is how many pods one page of the cluster has.
const podsPage = 50

// PodFilter says which pods the cluster's page shows.
type PodFilter struct {
	Status string // empty: all
	Text   string // that stands in namespace, name, node or image, whatever the case of its letters
	Page   int    // from 1

	Warnings bool // of the events, those alone
}

// Cluster shows the customer's cluster. It returns Unavailable while there is none.
func (r *Room) Cluster(ctx context.Context, f PodFilter) (ui.ClusterPage, error) {
	view := ui.ClusterPage{Text: f.Text, Status: f.Status}
	k, err := r.Simulator.Cluster()
	if err != nil {
		return view, err
	}
	is, err := k.Read(ctx)
	if err != nil {
		return view, fmt.Errorf("look at the cluster: %w", err)
	}
	for _, n := range is.Nodes {
		v := ui.ClusterNode{
			Name: n.Name, Status: n.Status, CPU: n.CPU, Memory: n.Memory, Disk: n.Disk, Pods: n.Pods, Percent: min(n.Percent, 100),
			Ready: strings.HasPrefix(n.Status, "Ready"), Cordoned: strings.HasSuffix(n.Status, "SchedulingDisabled"), Off: n.Power == "off",
		}
		power, schedule := actStop, actCordon
		if v.Off {
			power = actStart
		}
		if v.Cordoned {
			schedule = actUncordon
		}
		v.Power, v.Schedule = button(Act{Name: power, Object: n.Name}), button(Act{Name: schedule, Object: n.Name})
		view.Nodes = append(view.Nodes, v)
	}
	for _, d := range is.Deployments {
		view.Deployments = append(view.Deployments, ui.ClusterDeployment{
			Namespace: d.Namespace, Name: d.Name, Ready: fmt.Sprintf("%d/%d", d.Ready, d.Desired), Desired: d.Desired, Whole: d.Ready >= d.Desired,
			Scale: button(Act{Name: actScale, Namespace: d.Namespace, Object: d.Name}),
		})
	}
	view.Events = eventViews(is.Events, f.Warnings)
	choosePods(&view, is.Pods, f)
	return view, nil
}

// shownEvents bounds how many events the page shows.
const shownEvents = 15

// eventViews gives the last events, or the last warnings.
func eventViews(all []api.ClusterEvent, warnings bool) []ui.ClusterEvent {
	var out []ui.ClusterEvent
	for _, e := range all {
		if warnings && !e.Warning || len(out) == shownEvents {
			continue
		}
		v := ui.ClusterEvent{Time: e.Time, Warning: e.Warning, Reason: e.Reason, Object: e.Object, Message: e.Message, Count: e.Count}
		if strings.HasPrefix(e.Object, "pod/") || strings.HasPrefix(e.Object, "node/") {
			v.Why = e.Object
		}
		out = append(out, v)
	}
	return out
}

// button is what asks for an act.
func button(a Act) ui.Act { return ui.Act{Name: a.Name, Command: a.Command()} }

// choosePods counts the pods by status and shows a page of those that f chooses: what is in trouble first.
func choosePods(view *ui.ClusterPage, all []api.ClusterPod, f PodFilter) {
	counts := map[string]*ui.PodCount{}
	text := strings.ToLower(strings.TrimSpace(f.Text))
	var chosen []api.ClusterPod
	for _, x := range all {
		if !strings.Contains(strings.ToLower(x.Namespace+" "+x.Name+" "+x.Node+" "+x.Image), text) {
			continue
		}
		n := counts[x.Status]
		if n == nil {
			n = &ui.PodCount{Status: x.Status, Colour: podColour(x), Path: clusterPath(PodFilter{Status: x.Status, Text: f.Text}), Chosen: x.Status == f.Status}
			counts[x.Status] = n
		}
		n.Count++
		if f.Status == "" || x.Status == f.Status {
			chosen = append(chosen, x)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(counts)) {
		view.Counts = append(view.Counts, *counts[s])
	}
	slices.SortStableFunc(chosen, func(a, b api.ClusterPod) int { return cmp.Compare(podRank(a), podRank(b)) })
	page := max(1, min(f.Page, (len(chosen)+podsPage-1)/podsPage))
	from, to := (page-1)*podsPage, min(page*podsPage, len(chosen))
	view.Total, view.Matching, view.From, view.To = len(all), len(chosen), from+1, to
	at := f
	at.Page = page
	view.Self, view.Warnings = clusterPath(at), f.Warnings
	other := at
	other.Warnings = !f.Warnings
	view.OtherEvents = clusterPath(other) + "#events"
	if f.Status != "" || f.Text != "" {
		view.All = clusterPath(PodFilter{})
	}
	if page > 1 {
		at.Page = page - 1
		view.Earlier = clusterPath(at)
	}
	if to < len(chosen) {
		at.Page = page + 1
		view.Later = clusterPath(at)
	}
	for _, x := range chosen[from:to] {
		view.Pods = append(view.Pods, ui.ClusterPod{
			Namespace: x.Namespace, Name: x.Name, Ready: x.Ready, Status: x.Status, Node: x.Node, Image: x.Image, Restarts: x.Restarts,
			Colour: podColour(x), Created: x.Created, Delete: button(Act{Name: actDelete, Namespace: x.Namespace, Object: x.Name}),
		})
	}
}

// clusterPath is the address of the cluster's page with pods as f chooses them.
func clusterPath(f PodFilter) string {
	q := url.Values{}
	for k, v := range map[string]string{"status": f.Status, "text": f.Text} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if f.Page > 1 {
		q.Set("page", strconv.Itoa(f.Page))
	}
	if f.Warnings {
		q.Set("warnings", "true")
	}
	return (&url.URL{Path: "/room/cluster", RawQuery: q.Encode()}).String()
}

// podRank orders pods by how much they ask for being looked at.
func podRank(x api.ClusterPod) int {
	return slices.Index([]string{"red", "orange", "green"}, podColour(x))
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

// The acts of the cluster's operator.
const (
	actScale    = "scale"
	actDelete   = "delete-pod"
	actCordon   = "cordon"
	actUncordon = "uncordon"
	actStop     = "stop"
	actStart    = "start"
)

// Act is something that the cluster's operator does by a button of the page.
type Act struct {
	Name              string // of the button
	Namespace, Object string
	Replicas          string // as typed
}

// Do does a, and tells of it.
func (r *Room) Do(ctx context.Context, a Act) error {
	k, err := r.Simulator.Cluster()
	if err != nil {
		return err
	}
	if err := a.do(ctx, k); err != nil {
		return err
	}
	return r.Product.Tell(ctx, sim.Event{What: clusterOperated, Detail: map[string]string{"command": a.Command()}})
}

// do does a in k.
func (a Act) do(ctx context.Context, k Cluster) error {
	switch a.Name {
	case actScale:
		n, err := strconv.Atoi(a.Replicas)
		if err != nil {
			return sim.Errorf(sim.Invalid, "the number of replicas cannot be %.20q", a.Replicas).WithHelp("give a whole number from 0")
		}
		return k.Scale(ctx, a.Namespace, a.Object, n)
	case actDelete:
		return k.DeletePod(ctx, a.Namespace, a.Object)
	case actCordon, actUncordon:
		return k.Cordon(ctx, a.Object, a.Name == actCordon)
	case actStop, actStart:
		return k.SetPower(ctx, a.Object, a.Name == actStart)
	}
	return NoAct(a.Name)
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
