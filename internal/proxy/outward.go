package proxy

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/sip"
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
		return p.refuse(r.Input, 404, "Not Found", BadNextHop)
	}
	if r.Snapshot.Own(to) {
		// a Route or Request-URI that turns out to be us: a hairpin, balanced like any request
		return p.inward(r)
	}
	face := r.Listener.FaceFor(to.Addr(), r.Local)
	if face == nil {
		return p.refuse(r.Input, 503, "No Address Of That Family", NoTransport)
	}
	p.receivedEdit(r)
	p.bindRequest(r)
	p.routeEdits(r)
	p.strictHop(r, hop)
	p.hops()
	in := r.Listener.FaceAt(r.Local)
	p.via(face, in, r, 0)
	if r.server != nil {
		p.knowCall(r, r.server, false)
		t := token.Route{Server: r.server.ID, Opener: p.sealer.Hash24(r.m.Bytes(r.m.From.Tag)), FromServer: true}
		p.recordRoute(r, face, in, &t)
	}
	return Verdict{Action: Forward, Reason: FromServer, To: to, Face: face, Order: r.call, Server: nil}
}

// strictHop turns the message round for a next hop that is a strict router
// (16.6 (6)): the Request-URI goes to the end of Route, its URI into the Request-URI.
func (p *Proxy) strictHop(r *request, hop *sip.URI) {
	m := r.m
	if r.strict || m.NRoute <= r.ours || r.ours >= len(m.Route) || hop != &m.Route[r.ours].URI || hop.LR {
		return
	}
	start := len(p.text)
	p.text = append(append(append(p.text, '<'), m.Bytes(m.URI.Text)...), '>')
	if len(p.text) > textRoom/2 {
		p.text = p.text[:start]
		return
	}
	p.edit.PushRoute(p.text[start:])
	if r.ours == 0 {
		p.edit.PopRoute(1)
	} else {
		p.edit.PopRoute(r.ours + 1)
	}
	p.edit.SetRequestURI(m.Bytes(hop.Text))
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
		return netip.AddrPort{}, p.refuse(r.Input, 503, "Transport Not Available", NoTransport), false
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
