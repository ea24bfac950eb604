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
	in := r.Listener.FaceAt(r.Local)
	to, face, flow, gone := p.flowOut(r)
	if gone {
		return p.refuse(r.Input, 430, "Flow Failed", FlowGone)
	}
	if face == nil {
		a, t, v, ok := p.target(r, hop)
		if !ok {
			return v
		}
		if !sendable(a) {
			return p.refuse(r.Input, 404, "Not Found", NoRoute)
		}
		if r.Snapshot.Own(r.svc, a) {
			return p.hairpin(r, hop)
		}
		if face = p.exit(r, in, a.Addr(), t); face == nil && t == sip.TLS && hop.Scheme == sip.SchemeSIPS {
			return p.refuseSIPS(r)
		}
		if face == nil {
			return p.refuse(r.Input, 500, noFaceText(r, a.Addr(), in), NoTransport)
		}
		to = a
	}
	if len(r.m.Buf) > MaxDatagram && !face.Transport.Stream() {
		return p.refuse(r.Input, sip.FaultTooLong.Status(), sip.FaultTooLong.String(), BadMessage)
	}
	p.bindRequest(r)
	p.routeEdits(r, hop)
	p.via(face, in, r, 0, false)
	p.receivedEdit(r)
	if r.server != nil {
		p.knowCall(r, r.server, false)
		t := token.Route{Server: r.server.ID, Opener: p.sealer.Hash24(r.m.Bytes(r.m.From.Tag)), FromServer: true}
		p.recordRoute(r, face, in, &t, r.outFlow(face, to, flow))
	}
	p.hops()
	p.repeatTo(r, face, FromServer)
	why := FromServer
	if r.Again {
		why = SentAgain
	}
	return Verdict{Action: Forward, Reason: why, To: to, Face: face, Flow: flow, Order: r.call, Server: nil}
}

// noFaceText says what an address outside lacks: a family, or a transport, that the service speaks.
func noFaceText(r *request, to netip.Addr, in *snapshot.Face) string {
	for t := range sip.NumTransports {
		if r.Listener.FaceFor(to, t, in) != nil {
			return "Transport Not Available"
		}
	}
	return "No Address Of That Family"
}

// exit is the face at which a request to an address outside leaves. In a dialog it
// is the one that the other side knows: ours of the last Route value of the pass
// (RFC 5658 section 5). A value without a token was not written by us, but
// configured in the server, and shows its side of us.
func (p *Proxy) exit(r *request, in *snapshot.Face, to netip.Addr, t sip.Transport) *snapshot.Face {
	if u := r.named; u != nil {
		if a, ok := sip.HostAddr(r.m.Bytes(u.Host)); ok {
			f := r.Snapshot.FaceNamed(r.svc, netip.AddrPortFrom(a, uriPort(u)), t)
			if f != nil && f.Reaches(to) {
				return f
			}
		}
	}
	return r.Listener.FaceFor(to, t, in)
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

// target finds the address and transport of a next hop: maddr, an address, or a name that has
// been resolved (RFC 3263 section 4). Without one it gives the verdict.
func (p *Proxy) target(r *request, u *sip.URI) (netip.AddrPort, sip.Transport, Verdict, bool) {
	m := r.m
	if u.Scheme != sip.SchemeSIP && u.Scheme != sip.SchemeSIPS {
		return netip.AddrPort{}, 0, p.refuse(r.Input, 404, "Not Found", NoRoute), false
	}
	t, named, ok := m.URITransport(u)
	if !ok {
		// not 503: to the server that would say that we are out of order (21.5.4)
		return netip.AddrPort{}, 0, p.refuse(r.Input, 500, "Transport Not Available", NoTransport), false
	}
	if !named {
		t = r.svc.Usual
	}
	port := u.Port
	if port == 0 {
		port = t.DefaultPort()
	}
	host := m.Bytes(u.Host)
	if u.Maddr.Len() > 0 {
		host = m.Bytes(u.Maddr)
	}
	if a, ok := sip.HostAddr(host); ok {
		return netip.AddrPortFrom(a, port), t, Verdict{}, true
	}
	if r.svc.Named(host, u.Port) {
		return r.Listener.FaceAt(r.Local).SentBy, t, Verdict{}, true
	}
	if !r.svc.Speaks[t] {
		if u.Scheme == sip.SchemeSIPS {
			return netip.AddrPort{}, 0, p.refuseSIPS(r), false
		}
		return netip.AddrPort{}, 0, p.refuse(r.Input, 500, "Transport Not Available", NoTransport), false
	}
	if p.names == nil {
		return netip.AddrPort{}, 0, p.refuse(r.Input, 404, "Not Found", Unresolvable), false
	}
	a, known := p.names.get(host, u.Port, t)
	if !known {
		return netip.AddrPort{}, 0, Verdict{Action: Resolve, Host: host, Status: int(u.Port), Lookup: t, Order: r.call}, false
	}
	if !a.IsValid() {
		return netip.AddrPort{}, 0, p.refuse(r.Input, 404, "Not Found", Unresolvable), false
	}
	return a, t, Verdict{}, true
}

// sendable reports whether an address can be that of one SIP element: not
// broadcast, multicast or unspecified, and with a port (RFC 4475 3.3.10).
func sendable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.Port() != 0 && ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() && ip != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
