package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/dpesim/dpesim/sim/simtest"
)

// patience bounds each wait of a person in a test, in the machine's time.
const patience = 30 * time.Second

// browser is a headless Chromium that tests share. It is safe for concurrent use.
type browser struct{ ctx context.Context }

// newBrowser starts a Chromium that ends with the test; without one the test is skipped.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(simtest.Require(t, "chromium")), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && ctx.Err() == nil { // waits for the process' end
			t.Errorf("close the browser: %v", err)
		}
		stop()
	})
	if err := chromedp.Do(ctx); err != nil { // starts it, without a bound of its own
		t.Fatalf("start Chromium: %v", err)
	}
	return &browser{ctx: ctx}
}

// tab is one person at a portal: a tab with cookies of its own.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string // address of the portal

	still bool // scripts are off, so that a page stays as it was loaded
}

// open gives a person at the portal of s. What the browser complains of (a script's error, the content security policy) fails
// the test.
func (b *browser) open(t *testing.T, s *simtest.Sim) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	p := &tab{t: t, ctx: ctx, base: s.Endpoints().Portal}
	logged, thrown := chromedp.Events(ctx, cdplog.EntryAdded), chromedp.Events(ctx, runtime.ExceptionThrown)
	listened := make(chan struct{}, 2)
	go func() {
		defer func() { listened <- struct{}{} }()
		for e := range logged {
			// A refused form is no fault of the page, and a file's download ends its navigation.
			if e.Entry != nil && e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
				t.Errorf("the browser says: %s", e.Entry.Text)
			}
		}
	}()
	go func() {
		defer func() { listened <- struct{}{} }()
		for e := range thrown {
			if e.ExceptionDetails != nil {
				t.Errorf("a script failed: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-listened
		<-listened
	})
	p.do("open a tab", call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}), p.theme("light"), chromedp.EmulateViewport(1280, 900))
	return p
}

// as signs a person in as a demo user, and gives p.
func (p *tab) as(user string) *tab {
	p.t.Helper()
	p.visit("/sign-in")
	p.follow(map[string]string{"tess": "Tess Trainer", "ada": "Ada Admin", "otto": "Otto Owner", "mia": "Mia Member", "gwen": "Gwen Globex"}[user])
	p.sees("Environments")
	return p
}

// do runs actions within [patience]; what fails is told with the page's text.
func (p *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.fail(what, err)
	}
}

func (p *tab) fail(what string, err error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Location()) // the first error is the one that matters
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	p.t.Fatalf("%s: %v\n%s says:\n%s", what, err, where, text)
}

// visit opens a page by its path.
func (p *tab) visit(path string) {
	p.t.Helper()
	p.do("open "+path, chromedp.Navigate(p.base+path))
}

// read gives the value of an expression now.
func read[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.fail(expression, err)
	}
	return v
}

// await waits until an expression is true, or gives something, on this page or the next, and gives that.
func await[T comparable](p *tab, what, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if p.still {
		v := read[T](p, expression)
		if v == *new(T) {
			p.fail(what, errors.New("it is not so, and no script will change it"))
		}
		return v
	}
	for {
		v, err := chromedp.Run(ctx, chromedp.Poll[T](expression, chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(40*time.Millisecond)))
		if err == nil {
			return v
		}
		if _, wrong := errors.AsType[*chromedp.ExceptionError](err); wrong || ctx.Err() != nil || errors.Is(err, chromedp.ErrPollingTimeout) {
			p.fail(what, err)
		}
		// The page was left meanwhile: ask the next one.
	}
}

// says tells whether the page shows a text, in whatever case, as an expression.
func says(text string) string {
	return fmt.Sprintf(`!!document.body && document.body.innerText.replace(/\s+/g, " ").toLowerCase().includes(%s)`, quote(strings.ToLower(text)))
}

// sees waits until the page shows all of these.
func (p *tab) sees(texts ...string) {
	p.t.Helper()
	for _, x := range texts {
		await[bool](p, fmt.Sprintf("see %q", x), says(x))
	}
}

// lacks fails if the page shows one of these now.
func (p *tab) lacks(texts ...string) {
	p.t.Helper()
	for _, x := range texts {
		if read[bool](p, says(x)) {
			p.fail("look at the page", fmt.Errorf("it shows %q", x))
		}
	}
}

// loses waits until the page does not show the text any more.
func (p *tab) loses(text string) {
	p.t.Helper()
	await[bool](p, fmt.Sprintf("see %q go", text), fmt.Sprintf("!(%s)", says(text)))
}

// at waits until the page at a path is there.
func (p *tab) at(path string) {
	p.t.Helper()
	await[bool](p, "be at "+path, fmt.Sprintf(`location.pathname === %s && document.readyState !== "loading"`, quote(path)))
}

// quote writes a string as JavaScript has it.
func quote(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

// control finds what can be clicked by its name, which is its label for who hears it, or its text: the whole of it, or how it
// begins. What is not shown, or is covered by something else, is not found.
const control = `(name => {
	const of = e => (e.getAttribute("aria-label") ?? e.textContent).replace(/\s+/g, " ").trim();
	const all = [...document.querySelectorAll("a[href], button:not([disabled]), summary, label")].filter(e => e.checkVisibility());
	const e = all.find(e => of(e) === name) ?? all.find(e => of(e).startsWith(name));
	if (!e) return null;
	e.scrollIntoView({block: "center", behavior: "instant"});
	const r = e.getClientRects()[0], x = r.x + r.width / 2, y = r.y + r.height / 2;
	return e.contains(document.elementFromPoint(x, y)) ? {x, y} : null;
})(%s)`

// place is where something is in the window, in pixels.
type place struct{ X, Y float64 }

// clicking is the action of clicking what has a name, with the mouse, as soon as it is there.
func (p *tab) clicking(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(context.Context, *chromedp.Target) error {
		at := await[place](p, "find "+name, fmt.Sprintf(control, quote(name)))
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		defer cancel()
		return chromedp.Do(ctx, chromedp.MouseClickXY(at.X, at.Y))
	})
}

// click clicks what has a name.
func (p *tab) click(name string) {
	p.t.Helper()
	p.do("click "+name, p.clicking(name))
}

// follow clicks what has a name and waits for the page that it leads to.
func (p *tab) follow(name string) {
	p.t.Helper()
	p.do("follow "+name, loaded(p.clicking(name)))
}

// loaded does something and waits until the next page has been loaded.
func loaded(act chromedp.Action[chromedp.Void]) chromedp.Action[chromedp.Void] {
	return does(chromedp.WaitEvent(page.LoadEventFired, nil, act))
}

// field finds a form's field by its label.
const field = `(name => {
	const l = [...document.querySelectorAll("label")].find(l => l.textContent.replace(/\s+/g, " ").trim().startsWith(name) && l.control?.checkVisibility());
	return l?.control;
})(%s)`

// fill types a text into the field that has a label, instead of what was there.
func (p *tab) fill(label, text string) {
	p.t.Helper()
	at := fmt.Sprintf(field, quote(label))
	await[bool](p, "find the field "+label, fmt.Sprintf(`(e => !!e && (e.focus(), e.select?.(), document.activeElement === e))(%s)`, at))
	p.do("type into "+label, chromedp.KeyEvent("\b"), call(input.InsertText, input.InsertTextParams{Text: text}))
	if got := p.value(label); got != text {
		p.fail("type into "+label, fmt.Errorf("it holds %q, not %q", got, text))
	}
}

// choose picks the option of a value in a list.
func (p *tab) choose(label, value string) {
	p.t.Helper()
	at := fmt.Sprintf(field, quote(label))
	await[bool](p, "choose "+value, fmt.Sprintf(`(e => !!e && (e.value = %s, e.dispatchEvent(new Event("change", {bubbles: true})), e.value === %[1]s))(%s)`, quote(value), at))
}

// value gives what a field holds.
func (p *tab) value(label string) string {
	p.t.Helper()
	return read[string](p, fmt.Sprintf(field, quote(label))+`.value`)
}

// press presses keys, one after the other.
func (p *tab) press(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		p.do(fmt.Sprintf("press %q", k), chromedp.KeyEvent(k))
	}
}

// call is the action of one command of the protocol.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, command, params)
		return err
	})
}

// does is an action whose value does not matter.
func does[T any](a chromedp.Action[T]) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := a(ctx, t)
		return chromedp.Void{}, err
	}
}

// keep is an action whose value goes to to.
func keep[T any](a chromedp.Action[T], to *T) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (_ chromedp.Void, err error) {
		*to, err = a(ctx, t)
		return chromedp.Void{}, err
	}
}
