package engine

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
)

// closesWithin bounds the wait for a socket that was closed to give its port back.
const closesWithin = time.Second

// open opens the sockets of listeners that are new, and finds those that are leaving
// and will be taken back. held are those whose port is kept by an egress that is
// wanted no more: takeOver opens them, when the change is sure to come. Nothing of
// the engine changes: the rest may fail yet.
func (e *Engine) open(keys []snapshot.Key) (opened, back []*group, held []snapshot.Key, err error) {
	var errs []error
	for _, k := range keys {
		if e.groups[k] != nil {
			continue
		}
		if g := e.leavingGroup(k); g != nil {
			back = append(back, g)
			continue
		}
		g, err := e.listen(k)
		switch {
		case err == nil:
			opened = append(opened, g)
		case errors.Is(err, syscall.EADDRINUSE) && e.egressAt(k.Addr, keys) != nil:
			held = append(held, k)
		default:
			errs = append(errs, err)
		}
	}
	if err = errors.Join(errs...); err != nil {
		closeAll(opened)
		return nil, nil, nil, err
	}
	return opened, back, held, nil
}

// listen opens the sockets of a listener, those of an egress on the port that it
// would have rather than any.
func (e *Engine) listen(k snapshot.Key) (*group, error) {
	sockets, err := transport.ListenUDP(netip.AddrPortFrom(k.Addr.Addr(), max(k.Addr.Port(), k.Port)), e.cfg.Sockets, e.cfg.UDP)
	if err != nil && k.Port != 0 {
		e.log.Warn("the port of a virtual service is taken in the family that only its servers have: another is used, and another one after a restart",
			"virtual_service", k.Egress, "error", err)
		sockets, err = transport.ListenUDP(k.Addr, e.cfg.Sockets, e.cfg.UDP)
	}
	if err != nil {
		return nil, err
	}
	g := &group{key: k, bound: sockets[0].LocalAddr()}
	for i, s := range sockets {
		g.lanes = append(g.lanes, newLane(s, i))
	}
	return g, nil
}

// egressAt is the group of an egress that has the port of an address and is not
// wanted any more, or nil.
func (e *Engine) egressAt(a netip.AddrPort, wanted []snapshot.Key) *group {
	clash := func(g *group) bool {
		return g.key.Egress != "" && g.bound.Port() == a.Port() && g.bound.Addr().Is4() == a.Addr().Is4() && !slices.Contains(wanted, g.key)
	}
	for _, g := range e.groups {
		if clash(g) {
			return g
		}
	}
	for _, l := range e.leaving {
		if i := slices.IndexFunc(l.groups, clash); i >= 0 {
			return l.groups[i]
		}
	}
	return nil
}

// takeOver opens listeners in the place of egresses that keep their ports. These
// cannot linger: what is still to come for them comes to who has their port now.
// The kernel has just said that nothing but the port is in the way.
func (e *Engine) takeOver(held, wanted []snapshot.Key) ([]*group, error) {
	var opened []*group
	for _, k := range held {
		for g := e.egressAt(k.Addr, wanted); g != nil; g = e.egressAt(k.Addr, wanted) {
			e.dismiss(g)
		}
		g, err := e.listen(k)
		for end := time.Now().Add(closesWithin); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); g, err = e.listen(k) {
			time.Sleep(time.Millisecond) // a socket is closed when the last call under way has returned
		}
		if err != nil {
			return opened, err
		}
		opened = append(opened, g)
	}
	return opened, nil
}

// dismiss closes a group at once.
func (e *Engine) dismiss(g *group) {
	g.close()
	if e.groups[g.key] == g {
		delete(e.groups, g.key)
	}
	for i := range e.leaving {
		l := &e.leaving[i]
		l.groups = slices.DeleteFunc(l.groups, func(o *group) bool { return o == g })
	}
}

func closeAll(groups []*group) {
	for _, g := range groups {
		g.close()
	}
}
