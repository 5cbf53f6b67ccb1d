// Package picture draws the perimeter: the cloud on the left, the customer on the right, a wire for each connection
// between them. It decides where things stand; package ui decides how they look.
package picture

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/ui"
)

// Facts is what is drawn.
type Facts struct {
	Now          time.Time // product time
	Environments []Environment
	Connections  []api.Connection
	Faults       []api.Fault
	Events       []sim.Event // the last ones, oldest first
}

// Environment is an environment with the engines that are connected to it, by replica.
type Environment struct {
	api.Environment
	Engines []api.Engine
}

// Where things stand, in SVG units.
const (
	width      = 960
	cloudX     = 16
	cloudW     = 316
	customerX  = 628
	customerW  = 316
	wall       = (cloudX + cloudW + customerX) / 2
	margin     = 14
	boxH       = 48
	engineH    = 48
	gap        = 10
	head       = 34
	maxEngines = 24 // of an environment: more become one line
)

// How long something counts as lately, in product time.
const (
	activeFor  = 2 * time.Second
	refusedFor = time.Minute
)

// maxRefused bounds how many refusals are shown.
const maxRefused = 4

// drawing is a picture in the making.
type drawing struct {
	f     Facts
	p     ui.Picture
	y     int
	wires []wire
}

// wire is a line between two boxes, from the customer's side to the cloud's.
type wire struct {
	from, to     ui.Box
	state, title string
}

// Draw makes the picture: the cloud left, the customer right.
func Draw(f Facts) ui.Picture {
	d := draw(f)
	for _, w := range d.wires {
		x1, y1, x2, y2 := w.from.X, middle(w.from), w.to.X+w.to.W, middle(w.to)
		d.p.Wires = append(d.p.Wires, ui.PictureWire{Path: curve(x1, y1, wall, x2, y2), State: w.state, Title: w.title})
	}
	return d.p
}

// curve is a path from one point to another that bends towards x.
func curve(x1, y1, x, x2, y2 int) string {
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x, y1, x, y2, x2, y2)
}

func middle(b ui.Box) int { return b.Y + b.H/2 }

func draw(f Facts) *drawing {
	d := &drawing{f: f, p: ui.Picture{Width: width, Wall: wall}, y: margin}
	d.shared()
	for _, e := range f.Environments {
		d.environment(e)
	}
	if len(f.Environments) == 0 {
		d.box(ui.Box{X: cloudX, Y: d.y, W: cloudW, H: boxH, Kind: "place", Title: "No environment yet"})
		d.y += boxH + gap
	}
	d.refused()
	d.p.Height = d.y + margin
	d.p.Text = d.text()
	return d
}

// box draws b. What is broken there stands in place of its text.
func (d *drawing) box(b ui.Box) {
	if b.Fault != "" && b.Text != "" {
		b.Text = cut("broken: " + b.Fault)
	}
	d.p.Boxes = append(d.p.Boxes, b)
}

// maxText is how many characters of text fit into a box.
const maxText = 40

// cut cuts text to what fits into a box.
func cut(s string) string {
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText-1]) + "…"
	}
	return s
}

// shared draws what belongs to no environment: portal and registry, and the people and nodes who use them.
func (d *drawing) shared() {
	portal := ui.Box{X: cloudX, Y: d.y, W: cloudW, H: boxH, Kind: "service", Title: "Portal", Text: "environments, DPEs, files", Fault: d.fault("portal.", "", "")}
	people := ui.Box{X: customerX, Y: d.y, W: customerW, H: boxH, Kind: "place", Title: "This machine", Text: "browsers, helm, kubectl"}
	d.y += boxH + gap
	registry := ui.Box{X: cloudX, Y: d.y, W: cloudW, H: boxH, Kind: "service", Title: "Artifacts registry", Text: "charts and images", Fault: d.fault("registry.", "", "")}
	nodes := ui.Box{X: customerX, Y: d.y, W: customerW, H: boxH, Kind: "place", Title: "Cluster nodes", Text: "pull images, run pods", Fault: d.fault("cluster.", "", "")}
	d.y += boxH + 2*gap
	for _, b := range []ui.Box{portal, people, registry, nodes} {
		d.box(b)
	}
	own, outside := d.split("portal")
	d.wire(people, portal, own, "browsers and tools to the portal")
	d.wire(nodes, portal, outside, "the customer's network to the portal")
	own, outside = d.split("registry", "localhost")
	d.wire(people, registry, own, "helm to the registry")
	d.wire(nodes, registry, outside, "image pulls")
}

// environment draws one environment with its engines.
func (d *drawing) environment(e Environment) {
	top := d.y
	self, managed, inside := sides(e.Engines)
	shown := self[:min(len(self), maxEngines)]
	lines, services := max(1, len(shown)), 2
	if len(self) > len(shown) {
		lines++
	}
	if managed > 0 {
		services++
	}
	h := head + max(services*(boxH+gap), lines*(engineH+gap/2)+gap)
	d.box(ui.Box{X: cloudX, Y: top, W: cloudW, H: h, Kind: "frame", Title: e.Name + " · " + string(e.Release)})
	d.box(ui.Box{X: customerX, Y: top, W: customerW, H: h, Kind: "frame", Title: "DPEs of " + e.Name})
	dpm := ui.Box{X: cloudX + gap, Y: top + head, W: cloudW - 2*gap, H: boxH, Kind: "service", Title: "DPM", Text: plural(len(e.Engines), "engine") + " connected", Fault: d.fault("dpm.", e.ID, "")}
	storage := ui.Box{X: cloudX + gap, Y: dpm.Y + boxH + gap, W: cloudW - 2*gap, H: boxH, Kind: "service", Title: "ONE Object Storage", Text: "S3", Fault: d.fault("objstore.", e.ID, "")}
	d.box(dpm)
	d.box(storage)
	if managed > 0 {
		d.box(ui.Box{X: cloudX + gap, Y: storage.Y + boxH + gap, W: cloudW - 2*gap, H: boxH, Kind: "engine", Title: plural(managed, "Ataccama-managed engine")})
	}
	streams := map[string]api.Connection{}
	var bulk, own []api.Connection
	for _, c := range d.f.Connections {
		switch {
		case c.Environment != e.ID, inside[hostOf(c.Source)]:
		case strings.HasPrefix(c.Host, "dpm-grpc-"):
			streams[c.Source] = c
		case loopback(c.Source):
			own = append(own, c)
		default:
			bulk = append(bulk, c)
		}
	}
	y := top + head
	for _, x := range shown {
		b := ui.Box{X: customerX + gap, Y: y, W: customerW - 2*gap, H: engineH, Kind: "engine", Title: string(x.Replica), Fault: d.fault("dpe.", e.ID, x.Label)}
		b.Text, b.Bad = d.passed(e.ID, x, streams[x.Remote])
		d.box(b)
		to := dpm
		to.Fault = d.fault("dpm.", e.ID, x.Label) // what is broken for another DPE is not for this one
		if c, ok := streams[x.Remote]; ok {
			d.wire(b, to, []api.Connection{c}, string(x.Replica)+" to DPM")
		} else {
			d.wireState(b, dpm, "idle", string(x.Replica)+" to DPM")
		}
		y += engineH + gap/2
	}
	switch {
	case len(self) > len(shown):
		d.box(ui.Box{X: customerX + gap, Y: y, W: customerW - 2*gap, H: engineH, Kind: "place", Title: fmt.Sprintf("and %d more", len(self)-len(shown))})
	case len(shown) == 0:
		d.box(ui.Box{X: customerX + gap, Y: y, W: customerW - 2*gap, H: engineH, Kind: "place", Title: "No engine is connected"})
	}
	frame := ui.Box{X: customerX, Y: top, W: customerW, H: 2*(storage.Y-top) + boxH}
	d.wire(frame, storage, bulk, "engines to the object storage")
	d.wire(frame, storage, own, "this machine to the object storage")
	d.y = top + h + gap
}

// sides parts the engines: self-managed ones, and how many run inside the cloud, from which addresses.
func sides(all []api.Engine) (self []api.Engine, managed int, inside map[string]bool) {
	inside = map[string]bool{}
	for _, x := range all {
		if x.Managed {
			managed++
			inside[hostOf(x.Remote)] = true
		} else {
			self = append(self, x)
		}
	}
	return self, managed, inside
}

// hostOf gives the host of a source.
func hostOf(source string) string {
	host, _, err := net.SplitHostPort(source)
	if err != nil {
		return source
	}
	return host
}

// split gives the connections of a host's first label: those of this machine and those from outside.
func (d *drawing) split(hosts ...string) (own, outside []api.Connection) {
	for _, c := range d.f.Connections {
		first, _, _ := strings.Cut(c.Host, ".")
		switch {
		case c.Environment != "" || !slices.Contains(hosts, first):
		case loopback(c.Source):
			own = append(own, c)
		default:
			outside = append(outside, c)
		}
	}
	return own, outside
}

func loopback(source string) bool {
	a, err := netip.ParseAddrPort(source)
	return err == nil && a.Addr().IsLoopback()
}

// wire draws connections as one line from right to left, if there are any.
func (d *drawing) wire(from, to ui.Box, all []api.Connection, what string) {
	if len(all) == 0 {
		return
	}
	state := "idle"
	if to.Fault != "" {
		state = "bad"
	}
	var in, out int64
	for _, c := range all {
		in, out = in+c.In, out+c.Out
		if Busy(c, d.f.Now) && state == "idle" {
			state = "active"
		}
	}
	if d.fault("edge.", all[0].Environment, "") != "" {
		state = "bad"
	}
	d.wireState(from, to, state, fmt.Sprintf("%s: %s, %s to the cloud, %s from it", what, plural(len(all), "connection"), Bytes(in), Bytes(out)))
}

// Busy tells whether something passes through c now.
func Busy(c api.Connection, now time.Time) bool { return now.Sub(c.Active) < activeFor }

// passed tells what has passed between an engine and DPM: bytes of its stream, and the last command or event of either. bad:
// that was a failure.
func (d *drawing) passed(env sim.EnvironmentID, x api.Engine, stream api.Connection) (words string, bad bool) {
	words = fmt.Sprintf("↑ %s ↓ %s", Bytes(stream.In), Bytes(stream.Out))
	for _, e := range slices.Backward(d.f.Events) {
		if e.Part == sim.PartDPM && e.Environment == env && e.Detail["replica"] == string(x.Replica) {
			return words + " · " + e.What, strings.Contains(e.What, "failed") || strings.Contains(e.What, "lost") || strings.Contains(e.What, "refused")
		}
	}
	return words, false
}

func (d *drawing) wireState(from, to ui.Box, state, title string) {
	d.wires = append(d.wires, wire{from, to, state, title})
}

// fault names what is broken on purpose at points that begin with prefix, for that environment and DPE; for any DPE if that is empty.
func (d *drawing) fault(prefix string, env sim.EnvironmentID, dpe sim.Label) string {
	var names []string
	for _, f := range d.f.Faults {
		if strings.HasPrefix(f.Point, prefix) && (f.Environment == "" || f.Environment == env) && (f.DPE == "" || dpe == "" || f.DPE == dpe) {
			name := f.Name + " (" + f.Point + ")"
			if dpe == "" && f.DPE != "" {
				name = f.Name + " (" + f.Point + " of " + string(f.DPE) + ")"
			}
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// refused lists what the edge did not let through lately, under the wall.
func (d *drawing) refused() {
	type key struct{ source, reason, name string }
	counts := map[key]int{}
	var order []key
	for _, e := range d.f.Events {
		if e.Part != sim.PartEdge || e.What != "connection refused" && e.What != "connection cut" || d.f.Now.Sub(e.Time) > refusedFor {
			continue
		}
		k := key{e.Detail["source"], e.Detail["reason"], e.Detail["name"]}
		if counts[k] == 0 {
			order = append(order, k)
		}
		n, _ := strconv.Atoi(e.Detail["count"])
		counts[k] += max(1, n)
	}
	for _, k := range order[max(0, len(order)-maxRefused):] {
		d.y += 20
		d.p.Refused = append(d.p.Refused, ui.Refused{X: wall, Y: d.y, Text: fmt.Sprintf("refused %s: %s (%d)", cmp.Or(k.source, "a client"), k.reason, counts[k])})
	}
}

// text tells the picture in sentences.
func (d *drawing) text() string {
	var b strings.Builder
	for _, e := range d.f.Environments {
		fmt.Fprintf(&b, "Environment %s: %s connected. ", e.Name, plural(len(e.Engines), "engine"))
	}
	fmt.Fprintf(&b, "%s open through the edge.", plural(len(d.f.Connections), "connection"))
	if len(d.f.Faults) > 0 {
		fmt.Fprintf(&b, " %s armed.", plural(len(d.f.Faults), "fault"))
	}
	return b.String()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// Bytes writes a number of bytes for people.
func Bytes(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
