package ui

import "time"

// What follows is the control room: pages of who runs the simulator, set apart from the product's.

// PerimeterPage is the picture of what is connected.
type PerimeterPage struct {
	Frame
	Picture     Picture
	Narrow      Picture // the same for a narrow screen: the cloud above, the customer below
	Connections []Wire  // those that were used last
	Open        int     // connections in all
	Ticker      []Event
	Endpoints   []Endpoint
}

// Picture is the cloud on the left, the customer on the right and what runs between them, in a grid of SVG units.
type Picture struct {
	Width, Height int
	Wall          int // x of the line between the two; 0: it lies
	WallY         int // y of it, if it lies
	Boxes         []Box
	Wires         []PictureWire
	Refused       []Refused
	Text          string // the whole in a sentence, for who cannot see it
}

// Box is something in the picture.
type Box struct {
	X, Y, W, H  int
	Kind        string // "frame", "service", "engine", "place"
	Title, Text string
	Fault       string // what is broken here on purpose; empty: nothing
	Bad         bool   // Text tells of a failure
}

// TitleX is where the title begins.
func (b Box) TitleX() int { return b.X + 12 }

// TitleY is the baseline of the title.
func (b Box) TitleY() int {
	if b.Text == "" && b.Kind != "frame" {
		return b.Y + b.H/2 + 5
	}
	return b.Y + 20
}

// TextY is the baseline of the text.
func (b Box) TextY() int { return b.Y + 37 }

// FaultX is the middle of the mark of a fault.
func (b Box) FaultX() int { return b.X + b.W - 14 }

// FaultY is the middle of the mark of a fault.
func (b Box) FaultY() int { return b.Y + 15 }

// PictureWire is a connection in the picture, or several of one kind.
type PictureWire struct {
	Path  string // of SVG
	State string // "idle", "active", "bad"
	Title string
}

// Refused is what the edge did not let through lately.
type Refused struct {
	X, Y int
	Text string
}

// Wire is an open connection. Busy: something passes now.
type Wire struct {
	Host, Source, Who, In, Out string
	Busy                       bool
}

// Endpoint is where something is to be found.
type Endpoint struct{ ID, Name, Address string }

// Perimeter renders the picture of what is connected.
func Perimeter(p PerimeterPage) ([]byte, error) { return render("room-perimeter", "layout", p) }

// ClusterPage is the customer's cluster.
type ClusterPage struct {
	Frame
	Unavailable string // why there is nothing to show; empty: there is
	Did         string // the command that does in a terminal what was just done; empty: nothing was
	Nodes       []ClusterNode
	Deployments []ClusterDeployment
	Events      []ClusterEvent
	Warnings    bool   // they alone are shown
	OtherEvents string // path of this page with all, or with warnings alone

	Text, Status    string     // that pods are filtered by
	Counts          []PodCount // of those with the text, by status
	Pods            []ClusterPod
	Total, Matching int    // pods in the cluster; of those, that the filter leaves
	From, To        int    // which of the matching are on this page
	Self            string // path of this page
	All             string // path without the filter; empty: there is none
	Earlier, Later  string // paths of the pages beside; empty: there is none
}

// Act is a button of the cluster's operator, with what does the same in a terminal.
type Act struct{ Name, Command string }

// ClusterNode is a node.
type ClusterNode struct {
	Name, Status, CPU, Memory, Disk string
	Pods, Percent                   int
	Ready, Cordoned, Off            bool
	Power, Schedule                 Act
}

// ClusterDeployment is a Deployment.
type ClusterDeployment struct {
	Namespace, Name, Ready string
	Desired                int
	Whole                  bool
	Scale                  Act
}

// PodCount is how many pods have a status.
type PodCount struct {
	Status, Colour, Path string
	Count                int
	Chosen               bool
}

// ClusterPod is a pod.
type ClusterPod struct {
	Namespace, Name, Ready, Status, Node, Image string
	Restarts                                    int
	Colour                                      string
	Created                                     time.Time
	Delete                                      Act
}

// ClusterEvent is an event of Kubernetes.
type ClusterEvent struct {
	Time                    time.Time
	Warning                 bool
	Reason, Object, Message string
	Count                   int
	Why                     string // subject of "why?"; empty: none
}

// Cluster renders the customer's cluster.
func Cluster(p ClusterPage) ([]byte, error) { return render("room-cluster", "layout", p) }

// LogPage is a pod's log.
type LogPage struct {
	Frame
	Namespace, Pod, Text string
	Previous             bool
}

// Log renders a pod's log.
func Log(p LogPage) ([]byte, error) { return render("room-log", "layout", p) }

// TimelinePage is what happened, newest first.
type TimelinePage struct {
	Frame
	Parts, Environments []Option
	Text                string // that events must contain
	Events              []Event
	Self                string // address of this page
	Older               string // address of what is older; empty: nothing is
	Newest              string // address of the newest; empty: this is it
	Command             string // that shows them in a terminal
}

// Event is a row of the timeline.
type Event struct {
	Seq, Cause                           uint64
	Time                                 time.Time
	Part, Environment, DPE, What, Detail string
	CausePath                            string // where the event of Cause is shown
	Why                                  string // subject of "why?"; empty: none
	Bad                                  bool
	First                                bool // the first cause of a chain
}

// Timeline renders what happened.
func Timeline(p TimelinePage) ([]byte, error) { return render("room-timeline", "layout", p) }

// WhyPage is what led to something.
type WhyPage struct {
	Frame
	Subject, State, Hint string
	Chains               []WhyChain
}

// WhyChain leads from the first cause to the symptom.
type WhyChain struct {
	Title string
	Steps []Event
}

// Why renders what led to something.
func Why(p WhyPage) ([]byte, error) { return render("room-why", "layout", p) }

// ControlsPage is the simulator's clock and what is broken on purpose.
type ControlsPage struct {
	Frame
	Clock        Clock
	Armed        []ArmedFault
	Points       []FaultPoint
	Environments []Option
	Typed        ArmedFault // as it was typed
	Command      string     // that breaks in a terminal what was typed
}

// Clock is the simulator's clock.
type Clock struct {
	Now            time.Time
	Mode, Offset   string
	Rate           string
	Frozen, Moved  bool
	Advance, SetTo string // as they were typed
}

// ArmedFault is something that is broken on purpose.
type ArmedFault struct {
	Name, Point, Environment, DPE, Delay, Error string
	Skip, Times, Probability                    string
	Mend                                        string // the command that does; empty: it is not armed
}

// FaultPoint is where something can be broken.
type FaultPoint struct {
	Point, Where, Symptom string
	Chosen                bool
}

// CommandFragment renders the command that a form asks for so far.
func CommandFragment(command string) ([]byte, error) { return render("room-controls", "cli", command) }

// Controls renders the simulator's clock and what is broken on purpose.
func Controls(p ControlsPage) ([]byte, error) { return render("room-controls", "layout", p) }
