package portal

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/internal/picture"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

// Simulator is what the control room sees and does beyond the product. Its methods are safe for concurrent use.
type Simulator interface {
	// Connections lists what is open through the edge.
	Connections() []api.Connection
	// FaultPoints lists where something can be broken on purpose.
	FaultPoints() []api.FaultPoint
	// Addresses lists where a person finds the parts of the simulator: names and addresses, in order.
	Addresses() [][2]string
	// Cluster gives the customer's cluster. It returns Unavailable while there is none.
	Cluster() (Cluster, error)
}

// Cluster is the customer's cluster as its operator sees it and acts in it. What its API server refuses comes back in its
// own words. Its methods are safe for concurrent use.
type Cluster interface {
	Read(ctx context.Context) (api.Cluster, error)
	Scale(ctx context.Context, namespace, deployment string, replicas int) error
	DeletePod(ctx context.Context, namespace, pod string) error
	Log(ctx context.Context, namespace, pod string, previous bool) (string, error) // the end of it
	Cordon(ctx context.Context, node string, on bool) error
	SetPower(ctx context.Context, node string, on bool) error
}

func (p *Portal) roomRoutes(r *router) {
	r.api(http.MethodGet, "/clock", needUser, p.getClock, op("clock", "Tell the simulator's time").gives(200, api.Clock{}))
	r.api(http.MethodPost, "/clock", needTrainer, p.postClock, op("moveClock", "Move the simulator's clock; what falls due by an advance has been done when the answer comes").takes(api.ClockMove{}).gives(200, api.Clock{}))
	r.api(http.MethodGet, "/fault-points", needTrainer, func(c echo.Context) error { return ok(c, p.opts.Simulator.FaultPoints()) },
		op("faultPoints", "List where something can be broken on purpose").gives(200, []api.FaultPoint{}))
	r.api(http.MethodGet, "/faults", needTrainer, func(c echo.Context) error { return ok(c, p.armed()) },
		op("faults", "List what is broken on purpose, in the order of arming").gives(200, []api.Fault{}))
	r.api(http.MethodPost, "/faults", needTrainer, p.postFault, op("armFault", "Break something on purpose").takes(api.Fault{}).gives(201, api.Fault{}))
	r.api(http.MethodDelete, "/faults/:fault", needTrainer, p.deleteFault, op("disarmFault", "Mend what is broken on purpose").gives(204, nil))
	r.api(http.MethodGet, "/connections", needTrainer, func(c echo.Context) error { return ok(c, notNil(p.opts.Simulator.Connections())) },
		op("connections", "List what is open through the edge").gives(200, []api.Connection{}))

	r.page(http.MethodGet, "/room", needTrainer, p.showPerimeter)
	r.page(http.MethodGet, "/room/cluster", needTrainer, p.showCluster)
	r.page(http.MethodPost, "/room/cluster", needTrainer, p.submitCluster)
	r.page(http.MethodGet, "/room/cluster/:namespace/:pod", needTrainer, p.showLog)
	r.page(http.MethodGet, "/room/timeline", needTrainer, p.showTimeline)
	r.page(http.MethodGet, "/room/why", needTrainer, p.showWhy)
	r.page(http.MethodGet, "/room/controls", needTrainer, p.showControls)
	r.page(http.MethodPost, "/room/clock", needTrainer, p.submitClock)
	r.page(http.MethodPost, "/room/faults", needTrainer, p.submitFault)
	r.page(http.MethodPost, "/room/faults/:fault/disarm", needTrainer, p.submitDisarm)
}

// roomFrame is what a page of the control room has around it.
func (p *Portal) roomFrame(ctx context.Context, title, page string) (ui.Frame, error) {
	f, err := p.frame(ctx, title)
	f.Nav, f.Room = "room", page
	return f, err
}

// recently is how many events the perimeter looks at.
const recently = 400

// showPerimeter handles GET /room: what is connected with what.
func (p *Portal) showPerimeter(c echo.Context) error {
	ctx := c.Request().Context()
	f, err := p.roomFrame(ctx, "Perimeter", "perimeter")
	if err != nil {
		return err
	}
	events := p.opts.Bus.Since(0)
	facts := picture.Facts{
		Now: p.opts.Clock.Now(), Connections: p.opts.Simulator.Connections(), Faults: p.armed(), Events: events[max(0, len(events)-recently):],
	}
	all, err := p.environments(ctx)
	if err != nil {
		return err
	}
	who := map[string]string{}
	for _, e := range all {
		engines, err := p.engines(ctx, e.ID)
		if err != nil {
			return err
		}
		for _, x := range engines {
			who[x.Remote] = string(x.Replica)
		}
		facts.Environments = append(facts.Environments, picture.Environment{Environment: e, Engines: engines})
	}
	view := ui.PerimeterPage{Frame: f, Picture: picture.Draw(facts)}
	for _, x := range facts.Connections {
		view.Connections = append(view.Connections, ui.Wire{
			Host: x.Host, Source: x.Source, Who: who[x.Source], In: picture.Bytes(x.In), Out: picture.Bytes(x.Out),
		})
	}
	for _, e := range facts.Events {
		switch e.Part {
		case sim.PartDPM, sim.PartEdge, sim.PartObjstore, sim.PartRegistry:
			view.Ticker = append(view.Ticker, eventView(e))
		case sim.PartSim, sim.PartPortal, sim.PartDPE, sim.PartCluster:
		}
	}
	view.Ticker = newest(view.Ticker, maxTicker)
	for i, a := range p.opts.Simulator.Addresses() {
		view.Endpoints = append(view.Endpoints, ui.Endpoint{ID: "endpoint-" + strconv.Itoa(i), Name: a[0], Address: a[1]})
	}
	return page(c, http.StatusOK)(ui.Perimeter(view))
}

// maxTicker bounds how many of the last events the perimeter shows.
const maxTicker = 10

// newest gives the last n, the newest first.
func newest(events []ui.Event, n int) []ui.Event {
	events = events[max(0, len(events)-n):]
	out := make([]ui.Event, len(events))
	for i, e := range events {
		out[len(events)-1-i] = e
	}
	return out
}

// showCluster handles GET /room/cluster.
func (p *Portal) showCluster(c echo.Context) error { return p.clusterPage(c, nil) }

// clusterPage shows the cluster, and what was wrong with what was asked of it.
func (p *Portal) clusterPage(c echo.Context, wrong error) error {
	ctx := c.Request().Context()
	f, err := p.roomFrame(ctx, "Cluster", "cluster")
	if err != nil {
		return err
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view := ui.ClusterPage{Frame: f}
	is, err := p.readCluster(ctx)
	if view.Unavailable, err = unavailable(err); err != nil {
		return fmt.Errorf("look at the cluster: %w", err)
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
	return page(c, code)(ui.Cluster(view))
}

func (p *Portal) readCluster(ctx context.Context) (api.Cluster, error) {
	k, err := p.opts.Simulator.Cluster()
	if err != nil {
		return api.Cluster{}, err
	}
	return k.Read(ctx)
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

// submitCluster handles POST /room/cluster: one act of the cluster's operator.
func (p *Portal) submitCluster(c echo.Context) error {
	if err := p.actInCluster(c); err != nil {
		return p.clusterPage(c, err)
	}
	return see(c, "/room/cluster")
}

func (p *Portal) actInCluster(c echo.Context) error {
	ctx, namespace, name := c.Request().Context(), c.FormValue("namespace"), c.FormValue("name")
	k, err := p.opts.Simulator.Cluster()
	if err != nil {
		return err
	}
	switch act := c.FormValue("act"); act {
	case "scale":
		n, err := strconv.Atoi(c.FormValue("replicas"))
		if err != nil {
			return sim.Errorf(sim.Invalid, "the number of replicas cannot be %.20q", c.FormValue("replicas")).WithHelp("give a whole number from 0")
		}
		return k.Scale(ctx, namespace, name, n)
	case "delete-pod":
		return k.DeletePod(ctx, namespace, name)
	case "cordon", "uncordon":
		return k.Cordon(ctx, name, act == "cordon")
	case "stop", "start":
		return k.SetPower(ctx, name, act == "start")
	default:
		return sim.Errorf(sim.Invalid, "there is no act %.20q", act).WithHelp("use the buttons of the page")
	}
}

// showLog handles GET /room/cluster/{namespace}/{pod}.
func (p *Portal) showLog(c echo.Context) error {
	ctx := c.Request().Context()
	view := ui.LogPage{Namespace: c.Param("namespace"), Pod: c.Param("pod"), Previous: c.QueryParam("previous") != ""}
	f, err := p.roomFrame(ctx, "Log of "+view.Pod, "cluster")
	if err != nil {
		return err
	}
	k, wrong := p.opts.Simulator.Cluster()
	if wrong == nil {
		view.Text, wrong = k.Log(ctx, view.Namespace, view.Pod, view.Previous)
	}
	code, err := failure(&f, wrong)
	if err != nil {
		return err
	}
	view.Frame = f
	return page(c, code)(ui.Log(view))
}

// tell tells what was done to the simulator: on the bus, and in the audit log.
func (p *Portal) tell(ctx context.Context, e sim.Event) error {
	p.publish(ctx, 0, e)
	return p.store.Record(ctx, store.Act{Action: e.What, Detail: e.Detail})
}
