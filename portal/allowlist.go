package portal

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// maxAllowlist bounds the ranges of one allowlist. It is our choice: nobody reads a longer one.
const maxAllowlist = 200

func (p *Portal) allowlistRoutes(r *router) {
	r.api(http.MethodGet, "/environments/:env/allowlist", needUser, p.getAllowlist, op("allowlist", "Give the IP allowlist").gives(200, api.Allowlist{}).tagged())
	r.api(http.MethodPut, "/environments/:env/allowlist", needManage, p.putAllowlist, op("setAllowlist", "Change the IP allowlist, for new and open connections at once; 409 if connected engines would be cut, unless confirmed").takes(api.AllowlistEdit{}).gives(200, api.AllowlistChange{}).tagged().ifMatched())
}

// getAllowlist handles GET /environments/{env}/allowlist.
func (p *Portal) getAllowlist(c echo.Context) error {
	e, err := p.store.Environment(c.Request().Context(), environmentOf(c))
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", api.ETag(e.Allowlist.Version))
	return ok(c, e.Allowlist)
}

// putAllowlist handles PUT /environments/{env}/allowlist.
func (p *Portal) putAllowlist(c echo.Context) error {
	var e api.AllowlistEdit
	if err := decode(c, &e); err != nil {
		return err
	}
	version, err := ifMatch(c.Request().Header.Get("If-Match"))
	if err != nil {
		return err
	}
	out, err := p.setAllowlist(c.Request().Context(), environmentOf(c), e, version)
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", api.ETag(out.Version))
	return ok(c, out)
}

// setAllowlist changes who may reach an environment. The edge follows at once, for new connections and open ones.
func (p *Portal) setAllowlist(ctx context.Context, env sim.EnvironmentID, edit api.AllowlistEdit, version int64) (api.AllowlistChange, error) {
	entries, prefixes, err := checkAllowlist(edit)
	if err != nil {
		return api.AllowlistChange{}, err
	}
	engines, err := p.engines(ctx, env)
	if err != nil {
		return api.AllowlistChange{}, err
	}
	cuts := cutBy(edit.On, prefixes, engines)
	if edit.DryRun {
		e, err := p.store.Environment(ctx, env)
		return api.AllowlistChange{Allowlist: api.Allowlist{On: edit.On, Entries: entries, Version: e.Allowlist.Version}, Cuts: cuts}, err
	}
	if len(cuts) > 0 && !edit.Confirm {
		return api.AllowlistChange{}, sim.Errorf(sim.Conflict, "the allowlist would cut engines that are connected: %s", cutWords(cuts)).
			WithHelp("add their addresses to the list, or confirm that they are to be cut")
	}
	var after store.Environment
	err = p.change(ctx, func() (sim.Event, error) {
		before, e, err := p.store.SetAllowlist(ctx, env, edit.On, entries, version)
		if err != nil {
			return sim.Event{}, fmt.Errorf("change the allowlist: %w", err)
		}
		after = e
		if before.Allowlist.Version == e.Allowlist.Version {
			return sim.Event{}, nil
		}
		return sim.Event{Environment: env, What: allowlistChanged, Detail: store.AllowlistDetail(e.Allowlist)}, nil
	})
	return api.AllowlistChange{Allowlist: after.Allowlist, Cuts: cuts}, err
}

// checkAllowlist gives the entries as they are kept and what they mean. It returns Invalid for a list that nobody can want.
func checkAllowlist(edit api.AllowlistEdit) ([]api.AllowlistEntry, []netip.Prefix, error) {
	if len(edit.Entries) > maxAllowlist {
		return nil, nil, sim.Errorf(sim.Invalid, "an allowlist cannot have %d ranges", len(edit.Entries)).WithHelp("give at most %d", maxAllowlist)
	}
	if edit.On && len(edit.Entries) == 0 {
		return nil, nil, sim.Errorf(sim.Invalid, "an allowlist that is on and empty would let nobody in").WithHelp("add a range first, or turn it off")
	}
	entries, prefixes := []api.AllowlistEntry{}, []netip.Prefix{}
	for _, e := range edit.Entries {
		prefix, err := parseRange(e.CIDR)
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(prefixes, prefix) {
			return nil, nil, sim.Errorf(sim.Invalid, "the range %s is there twice", prefix).WithHelp("give each range once")
		}
		note := strings.TrimSpace(e.Note)
		if utf8.RuneCountInString(note) > maxName || !utf8.ValidString(note) || strings.ContainsFunc(note, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return nil, nil, sim.Errorf(sim.Invalid, "the note of %s cannot be shown", prefix).WithHelp("use at most %d letters, digits and spaces", maxName)
		}
		entries, prefixes = append(entries, api.AllowlistEntry{CIDR: prefix.String(), Note: note}), append(prefixes, prefix)
	}
	return entries, prefixes, nil
}

// parseRange reads a CIDR range, or an address as a range of one.
func parseRange(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, sim.Errorf(sim.Invalid, "%.60q is no range of addresses", s).WithHelp("give it as CIDR, for example 203.0.113.0/24 or 2001:db8::/32, or one address")
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, sim.Errorf(sim.Invalid, "%s is an address inside a range, not the range", s).
			WithHelp("the range is %s; the address alone is %s", prefix.Masked(), prefix.Addr())
	}
	return prefix, nil
}

// cutBy lists the engines that a list does not let in, by source address. Ataccama-managed ones are inside the cloud, where
// no allowlist counts.
func cutBy(on bool, list []netip.Prefix, engines []api.Engine) []api.AllowlistCut {
	out := []api.AllowlistCut{}
	if !on {
		return out
	}
	for _, x := range engines {
		source, ok := sourceOf(x)
		if !ok || x.Managed || slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(source) }) {
			continue
		}
		i := slices.IndexFunc(out, func(c api.AllowlistCut) bool { return c.Source == source.String() })
		if i < 0 {
			i = len(out)
			out = append(out, api.AllowlistCut{Source: source.String()})
		}
		out[i].Engines = append(out[i].Engines, x.Replica)
	}
	slices.SortFunc(out, func(a, b api.AllowlistCut) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// sourceOf gives the address that an engine is connected from.
func sourceOf(x api.Engine) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(x.Remote)
	if err != nil {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(host)
	return a.Unmap().WithZone(""), err == nil
}

// cutWords lists cuts for a person.
func cutWords(cuts []api.AllowlistCut) string {
	out := make([]string, len(cuts))
	for i, c := range cuts {
		out[i] = joined(c.Engines) + " from " + c.Source
	}
	return strings.Join(out, "; ")
}

// allowed gives the ranges that may reach an environment; nil: everybody may.
func allowed(a api.Allowlist) ([]netip.Prefix, error) {
	if !a.On {
		return nil, nil
	}
	out := make([]netip.Prefix, 0, len(a.Entries))
	for _, e := range a.Entries {
		prefix, err := netip.ParsePrefix(e.CIDR)
		if err != nil {
			return nil, fmt.Errorf("read the allowlist: %w", err)
		}
		out = append(out, prefix)
	}
	return out, nil
}
