package picture

import "github.com/dpesim/dpesim/ui"

// Where things stand in the narrow picture, in SVG units.
const (
	gutter      = 28 // left of the boxes, for wires
	narrowWidth = gutter + max(cloudW, customerW) + 4
	bridge      = 48 // between the two sides
	bend        = 2  // how far left wires go
	titleLine   = 15 // of a frame, from its top
)

// DrawNarrow makes the picture for a narrow screen: the cloud above, the customer below.
func DrawNarrow(f Facts) ui.Picture {
	d := draw(f)
	n := narrow{wide: d.p.Boxes}
	bottom := 0
	for _, b := range d.p.Boxes {
		if !n.customers(b) {
			b = n.place(b)
			bottom = max(bottom, b.Y+b.H)
		}
	}
	n.offset = bottom + bridge - margin
	out := ui.Picture{Width: narrowWidth, WallY: bottom + bridge/2, Text: d.p.Text}
	for _, b := range d.p.Boxes {
		b = n.place(b)
		out.Boxes = append(out.Boxes, b)
		out.Height = max(out.Height, b.Y+b.H+margin)
	}
	for _, w := range d.wires {
		from, to := n.place(w.from), n.place(w.to)
		y := middle(from)
		if w.from.X == customerX && w.from.Kind == "" { // of the frame, not of a box in it
			y = from.Y + titleLine
		}
		out.Wires = append(out.Wires, ui.PictureWire{Path: curve(from.X, y, bend, to.X, middle(to)), State: w.state, Title: w.title})
	}
	for _, r := range d.p.Refused {
		out.Height += 20
		out.Refused = append(out.Refused, ui.Refused{X: narrowWidth / 2, Y: out.Height - margin, Text: cut(r.Text)})
	}
	return out
}

// narrow moves boxes of the wide picture to their places in the narrow one.
type narrow struct {
	wide   []ui.Box
	offset int // of the customer's side
}

func (narrow) customers(b ui.Box) bool { return b.X >= wall }

// place moves b. Frames are as high as what is in them, and what is below moves up.
func (n narrow) place(b ui.Box) ui.Box {
	out := b
	for _, f := range n.wide {
		if f.Kind != "frame" || n.customers(f) != n.customers(b) {
			continue
		}
		if f.Y+f.H <= b.Y {
			out.Y -= n.slack(f)
		}
		if b.Kind == "frame" && f.Y == b.Y {
			out.H -= n.slack(f)
		}
	}
	if n.customers(b) {
		out.X, out.Y = gutter+b.X-customerX, out.Y+n.offset
	} else {
		out.X = gutter + b.X - cloudX
	}
	return out
}

// slack is how much of a frame is empty below what is in it.
func (n narrow) slack(frame ui.Box) int {
	bottom := frame.Y + head
	for _, b := range n.wide {
		if b.Kind != "frame" && n.customers(b) == n.customers(frame) && b.Y >= frame.Y && b.Y+b.H <= frame.Y+frame.H {
			bottom = max(bottom, b.Y+b.H)
		}
	}
	return frame.Y + frame.H - bottom - gap
}
