package engine

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
)

// closesWithin bounds the wait for a socket that was closed to give its port back.
const closesWithin = time.Second

// open opens the sockets of listeners that are new, and finds those that are leaving
// and will be taken back. Of those whose port is kept by an egress that is wanted no
// more takeOver opens the sockets, when the change is sure to come. Nothing of
// the engine changes: the rest may fail yet.
func (e *Engine) open(c *change, wants []snapshot.Want) error {
	var errs []error
	c.back, c.held = nil, nil
	for _, w := range wants {
		for _, k := range w.Keys {
			if e.groups[k] != nil || c.opened[k] != nil {
				continue
			}
			if err := c.refused[k]; err != nil {
				errs = append(errs, err)
				continue
			}
			if g := e.leavingGroup(k); g != nil {
				c.back = append(c.back, g)
				continue
			}
			was := e.refused[k] // who has the port was found out then, which takes milliseconds
			g, err := e.listen(k, was != nil || len(c.refused) >= maxHolders)
			if sameRefusal(was, err) {
				err = was
			}
			switch {
			case err == nil:
				c.opened[k] = g
			case errors.Is(err, syscall.EADDRINUSE) && e.egressAt(k, wants) != nil:
				c.held = append(c.held, k)
			default:
				c.refused[k] = err
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// sameRefusal reports whether an address can't be listened on for the same reason as before.
func sameRefusal(was, is error) bool {
	var a, b *transport.ListenError
	return errors.As(was, &a) && errors.As(is, &b) && a.Errno == b.Errno
}

// closeUnwanted closes what was opened for a form of the configuration that did not come about.
func (c *change) closeUnwanted(wants []snapshot.Want) {
	wanted := make(map[snapshot.Key]bool, len(c.opened))
	for _, w := range wants {
		for _, k := range w.Keys {
			wanted[k] = true
		}
	}
	for k, g := range c.opened {
		if !wanted[k] {
			g.close()
			delete(c.opened, k)
		}
	}
}

// listen opens the sockets of a listener, those of an egress on the port that it
// would have rather than any.
func (e *Engine) listen(k snapshot.Key, quiet bool) (*group, error) {
	if g, err := e.inherited(k); g != nil || err != nil {
		return g, err
	}
	if k.Transport.Stream() {
		return e.listenStream(k)
	}
	opt := e.cfg.UDP
	opt.Quiet = quiet
	sockets, err := transport.ListenUDP(netip.AddrPortFrom(k.Addr.Addr(), max(k.Addr.Port(), k.Port)), e.cfg.Sockets, opt)
	if err != nil && k.Port != 0 {
		e.log.Warn("the port of a virtual service is taken in the family that only its servers have: another is used, and another one after a restart",
			"virtual_service", k.Egress, "error", err)
		sockets, err = transport.ListenUDP(k.Addr, e.cfg.Sockets, opt)
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

func (e *Engine) listenStream(k snapshot.Key) (*group, error) {
	secure := k.Transport == sip.TLS
	ln, err := transport.ListenStream(netip.AddrPortFrom(k.Addr.Addr(), max(k.Addr.Port(), k.Port)), secure, e.cfg.Stream)
	if err != nil && k.Port != 0 {
		e.log.Warn("the port of a virtual service is taken for the transport that only its servers have: another is used, and another one after a restart",
			"virtual_service", k.Egress, "error", err)
		ln, err = transport.ListenStream(netip.AddrPortFrom(k.Addr.Addr(), 0), secure, e.cfg.Stream)
	}
	if err != nil {
		return nil, err
	}
	return &group{key: k, bound: ln.LocalAddr(), stream: ln}, nil
}

// egressAt is the group of an egress that has the port of a listener's address and is not
// wanted any more, or nil.
func (e *Engine) egressAt(k snapshot.Key, wants []snapshot.Want) *group {
	clash := func(g *group) bool {
		return g.key.Egress != "" && g.bound.Port() == k.Addr.Port() && g.bound.Addr().Is4() == k.Addr.Addr().Is4() &&
			g.key.Transport.Stream() == k.Transport.Stream() &&
			!slices.ContainsFunc(wants, func(w snapshot.Want) bool { return slices.Contains(w.Keys, g.key) })
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
func (e *Engine) takeOver(c *change, wants []snapshot.Want) error {
	for _, k := range c.held {
		for g := e.egressAt(k, wants); g != nil; g = e.egressAt(k, wants) {
			e.dismiss(g)
		}
		g, err := e.listen(k, true)
		for end := time.Now().Add(closesWithin); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); g, err = e.listen(k, true) {
			time.Sleep(time.Millisecond) // a socket is closed when the last call under way has returned
		}
		if err != nil {
			c.refused[k] = err
			return err
		}
		c.opened[k] = g
	}
	return nil
}

// dismiss closes a group at once.
func (e *Engine) dismiss(g *group) {
	g.close()
	e.streams.closeGroup(g)
	if e.groups[g.key] == g {
		delete(e.groups, g.key)
	}
	for i := range e.leaving {
		l := &e.leaving[i]
		l.groups = slices.DeleteFunc(l.groups, func(o *group) bool { return o == g })
	}
}

func closeAll(groups map[snapshot.Key]*group) {
	for _, g := range groups {
		g.close()
	}
}
