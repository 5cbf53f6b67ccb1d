package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dpesim/dpesim/sim/simtest"
)

// person sits at a terminal: a pseudo-terminal on whose other side a program runs.
type person struct {
	t      *testing.T
	keys   *os.File
	mu     sync.Mutex
	screen strings.Builder
	seen   int // bytes of screen
	more   chan struct{}
}

// sit starts a program at a terminal of its own.
func sit(t *testing.T, cmd *exec.Cmd) *person {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	raw, err := keys.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	if cerr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	p := &person{t: t, keys: keys, more: make(chan struct{}, 1)}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		buf := make([]byte, 4096)
		for {
			n, err := keys.Read(buf)
			p.mu.Lock()
			p.screen.Write(buf[:n])
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
			if err != nil { // nobody is on the other side any more
				return
			}
		}
	}()
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		_ = keys.Close()
		<-watched
	})
	return p
}

// press types keys.
func (p *person) press(keys string) {
	p.t.Helper()
	if _, err := p.keys.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// see waits until text has come since what was seen before.
func (p *person) see(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	for {
		p.mu.Lock()
		i := strings.Index(p.screen.String()[p.seen:], text)
		if i >= 0 {
			p.seen += i + len(text)
		}
		p.mu.Unlock()
		if i >= 0 {
			return
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("%q does not come; after what was seen there is %q", text, p.screen.String()[p.seen:])
		}
	}
}

func TestShellAtATerminal(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t)
	dir := t.TempDir()
	endpoints := filepath.Join(dir, "endpoints.json")
	if err := s.Endpoints().WriteFile(endpoints); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dpesim", "shell")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DPESIM_ENDPOINTS="+endpoints, "TERM=xterm")
	p := sit(t, cmd)
	const prompt, goingOn = "dpesim> ", "      > "

	p.see(prompt)
	p.press("echo one $((1+1))\r")
	p.see("one 2\r\n" + prompt)
	p.press("f() {\r")
	p.see(goingOn)
	p.press("echo \"$1 lines\"\r}\rf two\r")
	p.see("two lines\r\n" + prompt)
	p.press("dpesim environment get nosuch\r")
	p.see("Error: there is no environment")
	p.see("exit status 1\r\n" + prompt)
	p.press("echo lsot\x1b[D\x1b[D\x7f\x1b[C\x1b[C\x7f and found\r") // arrows and backspace
	p.see("\r\nlo and found\r\n")
	p.press("\x1b[A\r") // the line before
	p.see("\r\nlo and found\r\n")
	p.press("echo 'half\r")
	p.see(goingOn)
	p.press("\x03") // Ctrl-C
	p.see(prompt)
	p.press("echo one \\\r")
	p.see(goingOn)
	p.press("\r")
	p.see("\none\r\n" + prompt)
	p.press("nonsense\x03echo sense\r")
	p.see("\r\nsense\r\n")
	p.press(")\r")
	p.see("no shell can read this: 1:1: ")
	p.press("echo asks; read -r answer; echo \"got $answer\"\r")
	p.see("asks\r\n")
	p.press("this\r")
	p.see("got this\r\n" + prompt)
	p.press("echo waiting; dpesim timeline --follow --after 1000000\r")
	p.see("waiting\r\n")
	p.press("\x03")
	p.see(prompt)
	p.press("echo still here; kubectl get nodes -o name\r")
	p.see("still here\r\n")
	p.see("node/")
	p.see(prompt)
	p.press("(exit 9)\r")
	p.see("exit status 9\r\n" + prompt)
	p.press("\x04") // Ctrl-D
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("the shell ended with %v", err)
	}
}
