package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"

	"github.com/dpesim/dpesim/sim"
)

// ListenTCP listens on addr, host:port, and explains to a person why it cannot: Conflict if the port is taken, with the
// process that has it where the system tells (Linux, for processes that the user may see), Forbidden if the user may not
// have it, Invalid for an address that is none of this machine. flag is what sets addr on the command line ("--tls"); empty: nothing does.
func ListenTCP(ctx context.Context, addr, flag string) (net.Listener, error) {
	ln, err := listenTCP(ctx, addr, flag)
	if err != nil {
		return nil, err
	}
	return ln, nil
}

func listenTCP(ctx context.Context, addr, flag string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, explainListen(ctx, addr, flag, err)
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listen on %s: not a TCP listener but %T", addr, ln), ln.Close())
	}
	return tcp, nil
}

// Winsock's codes, which package syscall does not map to its own.
const (
	errWSAAccess       syscall.Errno = 10013
	errWSAAddrInUse    syscall.Errno = 10048
	errWSAAddrNotAvail syscall.Errno = 10049
)

func explainListen(ctx context.Context, addr, flag string, err error) error {
	is := func(unix, windows syscall.Errno) bool {
		return errors.Is(err, unix) || runtime.GOOS == "windows" && errors.Is(err, windows)
	}
	const op = "sim/edge.ListenTCP"
	switch {
	case is(syscall.EADDRINUSE, errWSAAddrInUse):
		return &sim.Error{Op: op, Kind: sim.Conflict, Err: err, Msg: taken(ctx, addr), Help: otherPort("stop it, or choose another port", flag)}
	case is(syscall.EACCES, errWSAAccess):
		return &sim.Error{
			Op: op, Kind: sim.Forbidden, Err: err, Msg: "this user may not listen on " + addr,
			Help: otherPort("choose a port above 1023", flag),
		}
	case is(syscall.EADDRNOTAVAIL, errWSAAddrNotAvail):
		return &sim.Error{
			Op: op, Kind: sim.Invalid, Err: err, Msg: addr + " is no address of this machine",
			Help: otherPort("use 127.0.0.1, or an address of this machine", flag),
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	return &sim.Error{
		Op: op, Kind: sim.Invalid, Err: err, Msg: fmt.Sprintf("cannot listen on %q: %v", addr, err),
		Help: otherPort("an address is host:port, for example 127.0.0.1:8443", flag),
	}
}

func otherPort(what, flag string) string {
	if flag == "" {
		return what
	}
	return fmt.Sprintf("%s: %s 127.0.0.1:0 takes a free one", what, flag)
}

func taken(ctx context.Context, addr string) string {
	host, port, _ := net.SplitHostPort(addr) // addr was good enough to be tried
	s := fmt.Sprintf("port %s on %s is taken", port, host)
	if host == "" {
		s = fmt.Sprintf("port %s is taken", port)
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil { // a name, or no host: any address of that port
		n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
		if err != nil {
			return s
		}
		ap = netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(n))
	}
	if owner := owner(ap); owner != "" {
		return s + " by " + owner
	}
	return s + "; the system does not tell by whom"
}
