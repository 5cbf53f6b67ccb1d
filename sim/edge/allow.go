package edge

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dpesim/dpesim/sim"
)

// SetAllowlist says which source addresses may reach the routes of env: nil everybody, an empty list nobody. Open
// connections that fall out are reset at once, and told as "connection cut", one event for each source. Setting what is
// set does nothing. ctx carries the cause of the events, if there is one.
func (e *Edge) SetAllowlist(ctx context.Context, env sim.EnvironmentID, allow []netip.Prefix) {
	var list []netip.Prefix
	if allow != nil {
		list = make([]netip.Prefix, len(allow))
		for i, p := range allow {
			list[i] = unmapped(p)
		}
	}
	e.mu.Lock()
	if was, limited := e.allow[env]; limited == (list != nil) && slices.Equal(was, list) {
		e.mu.Unlock()
		return
	}
	if list == nil {
		delete(e.allow, env)
	} else {
		e.allow[env] = list
	}
	var out []*conn
	for c := range e.conns {
		if c.env == env && !e.allowedLocked(env, c.source()) {
			out = append(out, c)
			delete(e.conns, c)
		}
	}
	e.cut += uint64(len(out))
	e.mu.Unlock()

	cause := e.opt.Bus.Publish(ctx, sim.Event{
		Part: sim.PartEdge, Environment: env, What: "allowlist set", Detail: map[string]string{"allow": listed(list == nil, list)},
	}).Seq
	bySource := map[netip.Addr]int{}
	for _, c := range out {
		reset(c.TCPConn)
		bySource[c.source()]++
	}
	for _, source := range slices.SortedFunc(maps.Keys(bySource), netip.Addr.Compare) {
		e.opt.Bus.Publish(e.ctx, sim.Event{
			Part: sim.PartEdge, Environment: env, What: "connection cut", Cause: cause,
			Detail: map[string]string{"reason": string(NotAllowed), "source": source.String(), "count": strconv.Itoa(bySource[source])},
		})
	}
}

func (e *Edge) allowedLocked(env sim.EnvironmentID, source netip.Addr) bool {
	list, limited := e.allow[env]
	return !limited || slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(source) })
}

// unmapped gives IPv4 prefixes that were written as IPv6 (::ffff:10.0.0.0/104) as IPv4, as sources are compared.
func unmapped(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}

func listed(everybody bool, list []netip.Prefix) string {
	switch {
	case everybody:
		return "everybody"
	case len(list) == 0:
		return "nobody"
	}
	s := make([]string, len(list))
	for i, p := range list {
		s[i] = p.String()
	}
	return strings.Join(s, " ")
}
