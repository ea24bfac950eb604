package snapshot

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/carillon-sip/carillon/internal/sip"
)

// Toward a server the routing table was asked when the snapshot was made. Whom
// servers call nobody knows before, and asking for each message would be two system
// calls. So what the table says is compiled: of the links that this machine is on,
// and of the rest of the world.

// exits are the faces at which requests to addresses of one family leave.
type exits struct {
	links []exit // the longest prefix first
	rest  *Face  // by the default route; nil: the service has no listener of the family
}

type exit struct {
	net  netip.Prefix
	face *Face
}

func (e *exits) toward(to netip.Addr) *Face {
	for i := range e.links {
		if e.links[i].net.Contains(to) {
			return e.links[i].face
		}
	}
	return e.rest
}

// exitKinds is how many exits a listener has: for each family and transport.
const exitKinds = 2 * int(sip.NumTransports)

func exitOf(t sip.Transport, family int) int { return 2*int(t) + family }

// FaceFor is the face at which a request to an address outside leaves by a transport, that came
// in at a face of this listener; nil if the service does not speak it. Of several addresses of one link it is the one at
// which the request came in.
func (l *Listener) FaceFor(to netip.Addr, t sip.Transport, in *Face) *Face {
	f := l.exits[exitOf(t, familyOf(to))].toward(to)
	if f != nil && f.link != 0 && f.link == in.link && in.Transport == t {
		return in
	}
	return f
}

// elsewhere are addresses of documentation (RFC 5737, RFC 3849, RFC 9637), which
// nobody has: the way to the first that is on no link of ours is the default route.
var elsewhere = [2][]netip.Addr{
	{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.1")},
	{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("3fff::1"), netip.MustParseAddr("3fff:fff::1")},
}

// findLinks notes the prefixes of this machine's links, the longest first. An
// address with a prefix of its own says nothing of its neighbours, unless all
// that it reaches is the machine itself.
func (c *compiler) findLinks() {
	for _, h := range c.env.Hosts {
		if !h.IsSingleIP() || h.Addr().IsLoopback() {
			c.links = append(c.links, h.Masked())
		}
	}
	slices.SortFunc(c.links, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(b.Bits(), a.Bits()), a.Addr().Compare(b.Addr()))
	})
	c.links = slices.Compact(c.links)
}

// linkOf is the number of the link that an address is on, from 1; 0: it is on none.
func (c *compiler) linkOf(a netip.Addr) int {
	return 1 + slices.IndexFunc(c.links, func(p netip.Prefix) bool { return p.Contains(a) })
}

// exitsOf finds where requests that came in at a listener leave: by its own
// addresses, or where the family changes by those of the others.
func (c *compiler) exitsOf(l *Listener) {
	own := exitOf(l.Key.Transport, family(l.Addr))
	for i := range l.exits {
		if i == own {
			l.exits[i] = c.exits(l.faces())
			continue
		}
		other := exitKey{l.Service, i}
		if c.others[other] == nil { // the same for all listeners of another family or transport
			var faces []*Face
			for _, o := range l.Service.Listeners {
				if exitOf(o.Key.Transport, family(o.Addr)) == i {
					faces = append(faces, o.faces()...)
				}
			}
			c.others[other] = c.exits(faces)
		}
		l.exits[i] = c.others[other]
	}
}

type exitKey struct {
	service *Service
	kind    int
}

// exits chooses among faces of one family.
func (c *compiler) exits(faces []*Face) *exits {
	e := &exits{}
	if len(faces) < 2 {
		if len(faces) == 1 {
			e.rest = faces[0]
		}
		return e
	}
	for i, net := range c.links {
		var on []*Face
		for _, f := range faces {
			if f.link == i+1 {
				on = append(on, f)
			}
		}
		if len(on) > 0 {
			e.links = append(e.links, exit{net, c.routed(on, c.neighbour(net))})
		}
	}
	outside := slices.DeleteFunc(slices.Clone(faces), func(f *Face) bool { return f.Addr().IsLoopback() })
	if len(outside) == 0 {
		outside = faces
	}
	e.rest = c.routed(outside, c.stranger(familyOf(faces[0].Addr())))
	return e
}

// routed is that of the faces by which the routing table leads to an address; the
// first if it leads by none of them.
func (c *compiler) routed(faces []*Face, to netip.Addr) *Face {
	if len(faces) > 1 && to.IsValid() {
		local := c.localAddr(to)
		for _, f := range faces {
			if f.Addr() == local {
				return f
			}
		}
	}
	return faces[0]
}

// localAddr asks the routing table, once for each address.
func (c *compiler) localAddr(to netip.Addr) netip.Addr {
	if a, asked := c.asked[to]; asked || c.env.LocalAddr == nil {
		return a
	}
	a, err := c.env.LocalAddr(to)
	if err != nil {
		a = netip.Addr{}
	}
	c.asked[to] = a
	return a
}

// neighbour is an address on a link that is none of this machine's: to its own
// address a machine sends from that very address.
func (c *compiler) neighbour(net netip.Prefix) netip.Addr {
	for a := net.Addr().Next(); net.Contains(a); a = a.Next() {
		if !slices.ContainsFunc(c.env.Hosts, func(h netip.Prefix) bool { return h.Addr() == a }) {
			return a
		}
	}
	return netip.Addr{}
}

func (c *compiler) stranger(family int) netip.Addr {
	for _, a := range elsewhere[family] {
		if c.linkOf(a) == 0 {
			return a
		}
	}
	return netip.Addr{}
}

// faces lists the faces of a listener in the order of their addresses.
func (l *Listener) faces() []*Face {
	if l.face != nil {
		return []*Face{l.face}
	}
	out := make([]*Face, 0, len(l.byLocal))
	for _, f := range l.byLocal {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *Face) int { return a.Source.Compare(b.Source) })
	return out
}
