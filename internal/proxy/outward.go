package proxy

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

// outward routes a request that comes from a server: by its Route set and
// Request-URI (RFC 3261 16.5, 16.6 (6) and (7)), never by the algorithm.
func (p *Proxy) outward(r *request) Verdict {
	hop := p.nextHop(r)
	to, v, ok := p.target(r, hop)
	if !ok {
		return v
	}
	if !sendable(to) {
		return p.refuse(r.Input, 404, "Not Found", NoRoute)
	}
	if r.Snapshot.Own(r.svc, to) {
		return p.hairpin(r, hop)
	}
	in := r.Listener.FaceAt(r.Local)
	face := p.exit(r, in, to.Addr())
	if face == nil {
		return p.refuse(r.Input, 500, "No Address Of That Family", NoTransport)
	}
	p.bindRequest(r)
	p.routeEdits(r, hop)
	p.via(face, in, r, 0)
	p.receivedEdit(r)
	if r.server != nil {
		p.knowCall(r, r.server, false)
		t := token.Route{Server: r.server.ID, Opener: p.sealer.Hash24(r.m.Bytes(r.m.From.Tag)), FromServer: true}
		p.recordRoute(r, face, in, &t)
	}
	p.hops()
	return Verdict{Action: Forward, Reason: FromServer, To: to, Face: face, Order: r.call, Server: nil}
}

// exit is the face at which a request to an address outside leaves. In a dialog it
// is the one that the other side knows: ours of the last Route value of the pass
// (RFC 5658 section 5). A value without a token was not written by us, but
// configured in the server, and shows its side of us.
func (p *Proxy) exit(r *request, in *snapshot.Face, to netip.Addr) *snapshot.Face {
	if u := r.named; u != nil {
		if a, ok := sip.HostAddr(r.m.Bytes(u.Host)); ok {
			f := r.Snapshot.FaceNamed(r.svc, netip.AddrPortFrom(a, orDefault(u.Port)))
			if f != nil && f.Reaches(to) {
				return f
			}
		}
	}
	return r.Listener.FaceFor(to, in)
}

// hairpin goes on with a request whose next hop turned out to be us: as a Route
// value it is taken off like those that were known as ours at once (16.4), as a
// Request-URI it makes the request one for the pool, balanced like any other.
func (p *Proxy) hairpin(r *request, hop *sip.URI) Verdict {
	if hop == r.uri || r.ours == len(r.m.Route)-1 {
		return p.inward(r)
	}
	r.ours++
	if t, ok := p.openToken(r, hop); ok {
		r.token, r.sealed, r.named = t, true, hop
	}
	if p.towardClient(r) {
		return p.outward(r)
	}
	return p.inward(r)
}

// target finds the address of a next hop: maddr, an address, or a name that has
// been resolved (RFC 3263 section 4). Without one it gives the verdict.
func (p *Proxy) target(r *request, u *sip.URI) (netip.AddrPort, Verdict, bool) {
	m := r.m
	switch {
	case u.Scheme == sip.SchemeSIPS:
		p.refusal.extra("Warning: 380 carillon \"SIPS Not Allowed\"\r\n")
		return netip.AddrPort{}, p.refuse(r.Input, 480, "Temporarily Unavailable", SIPSNotAllowed), false
	case u.Scheme != sip.SchemeSIP:
		return netip.AddrPort{}, p.refuse(r.Input, 404, "Not Found", NoRoute), false
	case u.Transport.Len() > 0 && !isUDP(m.Bytes(u.Transport)):
		// not 503: to the server that would say that we are out of order (21.5.4)
		return netip.AddrPort{}, p.refuse(r.Input, 500, "Transport Not Available", NoTransport), false
	}
	host := m.Bytes(u.Host)
	if u.Maddr.Len() > 0 {
		host = m.Bytes(u.Maddr)
	}
	if a, ok := sip.HostAddr(host); ok {
		return netip.AddrPortFrom(a, orDefault(u.Port)), Verdict{}, true
	}
	if r.svc.Named(host, u.Port) {
		return r.Listener.FaceAt(r.Local).SentBy, Verdict{}, true
	}
	if p.names == nil {
		return netip.AddrPort{}, p.refuse(r.Input, 404, "Not Found", Unresolvable), false
	}
	a, known := p.names.get(host, u.Port)
	if !known {
		return netip.AddrPort{}, Verdict{Action: Resolve, Host: host, Status: int(u.Port), Order: r.call}, false
	}
	if !a.IsValid() {
		return netip.AddrPort{}, p.refuse(r.Input, 404, "Not Found", Unresolvable), false
	}
	return a, Verdict{}, true
}

func isUDP(b []byte) bool {
	return len(b) == 3 && b[0]|0x20 == 'u' && b[1]|0x20 == 'd' && b[2]|0x20 == 'p'
}

// sendable reports whether an address can be that of one SIP element: not
// broadcast, multicast or unspecified, and with a port (RFC 4475 3.3.10).
func sendable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.Port() != 0 && ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() && ip != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
