package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/dpesim/dpesim/sim"
)

// What follows belongs to the simulator itself, not to the product: the control room of who runs it.

// Clock is the simulator's clock.
type Clock struct {
	Mode   string    `json:"mode"` // "real", "offset", "scaled", "frozen"
	Now    time.Time `json:"now"`
	Offset string    `json:"offset"` // product time minus the machine's, "2160h0m0s"
	Rate   float64   `json:"rate"`   // product seconds per second
}

// ClockMove is the body of POST /clock: exactly one of its fields is set.
type ClockMove struct {
	Advance string    `json:"advance,omitempty"` // forward by a span, "90d"; what falls due is done when the answer comes
	Set     time.Time `json:"set,omitzero"`
	Freeze  bool      `json:"freeze,omitempty"`
	Rate    float64   `json:"rate,omitempty"` // product seconds per second
	Real    bool      `json:"real,omitempty"` // follow the machine's clock again
}

// FaultPoint is a place where something can be broken on purpose.
type FaultPoint struct {
	Point   string `json:"point"`
	Where   string `json:"where"`   // in words
	Symptom string `json:"symptom"` // what people see
}

// Fault is something that is broken on purpose.
type Fault struct {
	Name        string            `json:"name"`
	Point       string            `json:"point"`
	Environment sim.EnvironmentID `json:"environment,omitempty"` // empty: all
	DPE         sim.Label         `json:"dpe,omitempty"`         // empty: all
	Skip        int               `json:"skip,omitempty"`        // let so many pass first
	Times       int               `json:"times,omitempty"`       // then hit so many; 0: all
	Probability float64           `json:"probability,omitempty"` // of each hit; 0: always
	Delay       string            `json:"delay,omitempty"`       // span to wait first
	Error       string            `json:"error,omitempty"`       // what went wrong, in words; empty: the delay only
}

// Connection is one that is open through the edge.
type Connection struct {
	Environment sim.EnvironmentID `json:"environment,omitempty"`
	Host        string            `json:"host"`
	Source      string            `json:"source"` // host:port, as the allowlist sees it
	Opened      time.Time         `json:"opened"`
	In          int64             `json:"in"`  // bytes to the cloud
	Out         int64             `json:"out"` // bytes from it
	Active      time.Time         `json:"active"`
}

// Cluster is what the customer's cluster looks like.
type Cluster struct {
	Nodes       []ClusterNode       `json:"nodes"`
	Deployments []ClusterDeployment `json:"deployments"`
	Pods        []ClusterPod        `json:"pods"`
	Events      []ClusterEvent      `json:"events"` // newest first
}

// ClusterNode is a node.
type ClusterNode struct {
	Name    string `json:"name"`
	Status  string `json:"status"` // as kubectl prints it: "Ready,SchedulingDisabled"
	Power   string `json:"power"`  // "on", "off"
	Pods    int    `json:"pods"`
	CPU     string `json:"cpu"` // "1200m of 3860m"
	Memory  string `json:"memory"`
	Disk    string `json:"disk"`
	Percent int    `json:"percent"` // of the scarcest of the three that is requested
}

// ClusterDeployment is a Deployment.
type ClusterDeployment struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Ready     int    `json:"ready"`
	Desired   int    `json:"desired"`
}

// ClusterPod is a pod.
type ClusterPod struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Ready     string    `json:"ready"`  // "1/1"
	Status    string    `json:"status"` // as kubectl prints it: "ImagePullBackOff"
	Restarts  int       `json:"restarts"`
	Node      string    `json:"node,omitempty"`
	Image     string    `json:"image"`
	Created   time.Time `json:"created"`
}

// ClusterEvent is an event of Kubernetes.
type ClusterEvent struct {
	Time      time.Time `json:"time"` // of the last occurrence
	Warning   bool      `json:"warning"`
	Reason    string    `json:"reason"`
	Namespace string    `json:"namespace"`
	Object    string    `json:"object"` // "pod/edge-eu-5d8f9c7b6d-x2x4z"
	Message   string    `json:"message"`
	Count     int       `json:"count"`
}

// Clock tells the simulator's time.
func (c *Client) Clock(ctx context.Context) (Clock, error) {
	return get[Clock](ctx, c, call{method: http.MethodGet, path: Prefix + "/clock"})
}

// MoveClock moves the simulator's clock. What falls due by an advance has been done, and has settled, when it returns.
func (c *Client) MoveClock(ctx context.Context, m ClockMove) (Clock, error) {
	return get[Clock](ctx, c, call{method: http.MethodPost, path: Prefix + "/clock", body: m})
}

// FaultPoints lists where something can be broken.
func (c *Client) FaultPoints(ctx context.Context) ([]FaultPoint, error) {
	return get[[]FaultPoint](ctx, c, call{method: http.MethodGet, path: Prefix + "/fault-points"})
}

// Faults lists what is broken on purpose, in the order of arming.
func (c *Client) Faults(ctx context.Context) ([]Fault, error) {
	return get[[]Fault](ctx, c, call{method: http.MethodGet, path: Prefix + "/faults"})
}

// Arm breaks something on purpose.
func (c *Client) Arm(ctx context.Context, f Fault) (Fault, error) {
	return get[Fault](ctx, c, call{method: http.MethodPost, path: Prefix + "/faults", body: f})
}

// Disarm mends what is broken on purpose.
func (c *Client) Disarm(ctx context.Context, name string) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: Prefix + "/faults/" + url.PathEscape(name)})
	return err
}

// Connections lists what is open through the edge.
func (c *Client) Connections(ctx context.Context) ([]Connection, error) {
	return get[[]Connection](ctx, c, call{method: http.MethodGet, path: Prefix + "/connections"})
}
