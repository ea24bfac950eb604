package proxy

import (
	"bytes"
	"net/netip"

	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

// The way to a client that nobody could find by what it says of itself: the connection it came on, or over UDP the IPv4
// address that its datagrams come from. In a dialog it stands in our Record-Route; for calls that are yet to come in the
// Path of its registration (RFC 3327, RFC 5626).

// clientFlow is the way back to the client that sent a request; 0: what it says of itself will do.
func (r *request) clientFlow() uint64 {
	if r.Flow != 0 || !r.svc.Path {
		return r.Flow
	}
	return udpFlow(r.From)
}

// udpFlow is an IPv4 address and port as the number of a flow; 0 for one of IPv6, which has no room, and mostly no NAT.
func udpFlow(a netip.AddrPort) uint64 {
	if !a.Addr().Is4() {
		return 0
	}
	b := a.Addr().As4()
	return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(a.Port())
}

func udpOf(flow uint64) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(flow >> 40), byte(flow >> 32), byte(flow >> 24), byte(flow >> 16)}), uint16(flow))
}

// flowOut is where a token leads that names the client's connection or address: a face with a connection, or with an
// address. Without a face there is none, or it is gone; gone says that then there is no other way (RFC 5626 5.3).
func (p *Proxy) flowOut(r *request) (to netip.AddrPort, face *snapshot.Face, flow uint64, gone bool) {
	var f token.Flow
	switch {
	case r.onPath:
		f = r.path.Flow
	case r.flowed && r.sealed:
		f = r.flow
	default:
		return to, nil, 0, false
	}
	face = r.Snapshot.Face(f.Listener)
	if face == nil || face.Out.Service != r.svc || f.Number == r.Gone || p.nextHop(r).Scheme == sip.SchemeSIPS && face.Transport != sip.TLS {
		return to, nil, 0, r.onPath && r.path.Outbound
	}
	if face.Transport.Stream() {
		return to, face, f.Number, false
	}
	if to = udpOf(f.Number); !sendable(to) || r.Snapshot.Own(r.svc, to) {
		return to, nil, 0, false
	}
	return to, face, 0, false
}

// outFlow is the client's flow in the Record-Route of a request toward it.
func (r *request) outFlow(face *snapshot.Face, to netip.AddrPort, flow uint64) uint64 {
	if flow == 0 && r.onPath && !face.Transport.Stream() {
		return udpFlow(to)
	}
	return flow
}

// readPath reads a token that we put into a Path. One that claims to be ours and is not is forged.
func (p *Proxy) readPath(r *request, u *sip.URI) bool {
	if u.User.Len() != token.Len || r.onPath || r.flowed || r.sealed {
		return false
	}
	t, ok := p.sealer.OpenPath(r.m.Bytes(u.User), &p.scratch)
	if !ok {
		r.forged = r.forged || hasParam(r.m.Bytes(u.Params), "ob") && p.ownURI(r, u)
		return false
	}
	if p.foreign(r, u) {
		return false
	}
	r.path, r.onPath, r.named = t, true, u
	return true
}

func hasParam(params []byte, name string) bool {
	for len(params) > 0 {
		one, rest, _ := bytes.Cut(params, []byte{';'})
		if key, _, _ := bytes.Cut(one, []byte{'='}); isWord(key, name) {
			return true
		}
		params = rest
	}
	return false
}

// pushPath puts our Path into a REGISTER, on top of those that are there: face is where the registrar sees us, in where
// the client does.
func (p *Proxy) pushPath(r *request, face, in *snapshot.Face) {
	m := r.m
	supported, _ := m.HeaderValue("supported")
	tags := m.Bytes(supported)
	if !hasTag(tags, "path") {
		if !r.svc.PathAlways {
			return
		}
		p.edit.PushRecordRoute(supportedPath)
	}
	flow := r.Flow
	if flow == 0 {
		flow = udpFlow(r.From)
	}
	if flow == 0 {
		return // over UDP and IPv6 the Contact will do
	}
	t := token.Path{Flow: token.Flow{Number: flow, Listener: in.ID}, UDP: !in.Transport.Stream()}
	contact, _ := m.HeaderValue("contact")
	t.Outbound = m.NVia == 1 && hasTag(tags, "outbound") && bytes.Contains(bytes.ToLower(m.Bytes(contact)), regID)
	start := len(p.text)
	p.text = append(p.text, "Path: "...)
	before, behind := p.routeText(face)
	p.text = append(p.text, before[len("Record-Route: "):]...)
	p.text = p.sealer.AppendPath(p.text, &t)
	p.text = append(p.text, behind...)
	if t.Outbound {
		p.text = append(p.text[:len(p.text)-len(">\r\n")], ";ob>\r\n"...)
	}
	p.edit.PushRecordRoute(p.text[start:])
}

var supportedPath, regID = []byte("Supported: path\r\n"), []byte("reg-id=")

// hasTag reports whether a list of option tags has one.
func hasTag(list []byte, tag string) bool {
	for len(list) > 0 {
		one, rest, _ := bytes.Cut(list, []byte{','})
		if isWord(bytes.TrimSpace(one), tag) {
			return true
		}
		list = rest
	}
	return false
}
