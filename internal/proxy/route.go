package proxy

import (
	"bytes"
	"net/netip"

	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/token"
)

// What Route and Request-URI say, and what of it leaves: RFC 3261 sections 16.4 and 16.6 (6).

// readRoutes counts our own Route values on top (one, or two after a change of
// address family: RFC 5658 section 5), takes the token out of them, and notices a
// strict router that put our URI into the Request-URI (16.4). Of two Record-Routes
// of one pass both say the same; one that says something else is of another pass
// of a spiral, whose turn comes later.
func (p *Proxy) readRoutes(r *request) {
	m := r.m
	r.token, r.sealed = p.openToken(r, &m.URI)
	if r.strict = r.sealed; r.strict {
		r.named = &m.URI
	}
	for r.ours < min(m.NRoute, len(m.Route)-1) {
		u := &m.Route[r.ours].URI
		t, ok := p.openToken(r, u)
		if !ok && (p.readFlow(r, u) || p.readPath(r, u)) {
			r.ours++
			continue
		}
		if ok && (r.sealed && t != r.token || r.flowed && !t.Beside(r.mark)) || !ok && !p.ownURI(r, u) {
			break
		}
		if ok {
			r.token, r.sealed, r.named = t, true, u
		}
		r.ours++
	}
	r.uri = &m.URI
	if r.strict && m.NRoute > r.ours {
		r.uri = &m.LastRoute.URI
	}
	p.stripMaddr(r)
}

// readFlow reads the token of ours that says on which connection the client of this pass is. It stands before or behind
// the other one of the pass.
func (p *Proxy) readFlow(r *request, u *sip.URI) bool {
	if u.User.Len() != token.Len || r.flowed {
		return false
	}
	f, mark, ok := p.sealer.OpenFlow(r.m.Bytes(u.User), r.call, &p.scratch)
	if !ok || r.sealed && !r.token.Beside(mark) || p.foreign(r, u) {
		return false
	}
	r.flow, r.mark, r.flowed, r.named = f, mark, true, u
	return true
}

// foreign reports whether a URI names another service of this engine.
func (p *Proxy) foreign(r *request, u *sip.URI) bool {
	if len(r.Snapshot.Services) < 2 {
		return false
	}
	a, isAddr := sip.HostAddr(r.m.Bytes(u.Host))
	return isAddr && r.Snapshot.Foreign(r.svc, netip.AddrPortFrom(a, uriPort(u)))
}

// openToken opens the token in a URI of ours. Another service of this engine seals
// with the same key; what it wrote is for it to read.
func (p *Proxy) openToken(r *request, u *sip.URI) (token.Route, bool) {
	if u.User.Len() != token.Len {
		return token.Route{}, false
	}
	t, ok := p.sealer.OpenRoute(r.m.Bytes(u.User), r.call, &p.scratch)
	return t, ok && !p.foreign(r, u)
}

// stripMaddr reads a Request-URI whose maddr, port and transport are ours as if
// they were not there, and has it written without them (16.4).
func (p *Proxy) stripMaddr(r *request) {
	u := r.uri
	if u.Maddr.Len() == 0 || u.Text.Len() > textRoom/4 || !p.spoken(r, u) || !p.ownURI(r, u) {
		return
	}
	start := len(p.text)
	p.text = appendURI(p.text, r.m, u, true)
	r.bare = p.text[start:]
	p.bareURI = *u
	p.bareURI.Maddr, p.bareURI.Transport, p.bareURI.Port = sip.Span{}, sip.Span{}, 0
	r.uri = &p.bareURI
}

// spoken reports whether a URI names a transport that we speak, or none.
func (p *Proxy) spoken(r *request, u *sip.URI) bool {
	t, named, ok := r.m.URITransport(u)
	return ok && (!named || r.svc.Speaks[t])
}

// ownURI reports whether a URI names this element, which is the service.
func (p *Proxy) ownURI(r *request, u *sip.URI) bool {
	if u.Scheme != sip.SchemeSIP && u.Scheme != sip.SchemeSIPS {
		return false
	}
	host := r.m.Bytes(u.Host)
	if u.Maddr.Len() > 0 {
		host = r.m.Bytes(u.Maddr) // V6: maddr is what is resolved
	}
	if a, ok := sip.HostAddr(host); ok {
		return r.Snapshot.Own(r.svc, netip.AddrPortFrom(a, uriPort(u)))
	}
	return r.svc.Named(host, u.Port)
}

// nextHop is the URI that the request is to go to by its own words, our Route
// values taken off.
func (p *Proxy) nextHop(r *request) *sip.URI {
	left := r.m.NRoute - r.ours
	if r.strict && left > 0 {
		left-- // the last one is the Request-URI
	}
	if left > 0 {
		return &r.m.Route[r.ours].URI
	}
	return r.uri
}

// routeEdits takes our own Route values off, restores what a strict router turned
// round (16.4), and turns it round for a next hop that is one (16.6 (6)): the
// Request-URI goes to the end of Route, the hop's URI into the Request-URI. Where
// both are strict the last Route value is where it belongs already.
func (p *Proxy) routeEdits(r *request, hop *sip.URI) {
	m, pop := r.m, r.ours
	turned := r.strict && m.NRoute > r.ours
	turn := hop != r.uri && !hop.LR && hop.Text.Len()+r.uri.Text.Len() <= textRoom/2
	if turn {
		pop++
		start := len(p.text)
		p.text = appendURI(p.text, m, hop, false)
		p.edit.SetRequestURI(p.text[start:])
	} else if turned || r.bare != nil {
		p.edit.SetRequestURI(p.requestURI(r))
	}
	switch {
	case turn && !turned:
		start := len(p.text)
		p.text = append(append(append(p.text, '<'), p.requestURI(r)...), '>')
		p.edit.PushRoute(p.text[start:])
	case turned && !turn:
		p.edit.PopLastRoute()
	}
	if pop > 0 {
		p.edit.PopRoute(pop)
	}
}

// requestURI is the text of the Request-URI as 16.4 leaves it.
func (p *Proxy) requestURI(r *request) []byte {
	if r.bare != nil {
		return r.bare
	}
	return r.m.Bytes(r.uri.Text)
}

// appendURI appends a URI as a Request-URI may have it, which is without method
// and header part (RFC 3261 19.1.1 table 1); bare is also without maddr,
// transport, and a port that is not the default one.
func appendURI(dst []byte, m *sip.Msg, u *sip.URI, bare bool) []byte {
	all := m.Bytes(u.Text)
	if u.Scheme != sip.SchemeSIP && u.Scheme != sip.SchemeSIPS {
		return append(dst, all...)
	}
	host := int(u.Host.End - u.Text.Off)
	if host < len(all) && all[host] == ']' {
		host++
	}
	dst = append(dst, all[:host]...)
	if u.Port == 5060 || u.Port != 0 && !bare {
		end := host + 1
		for end < len(all) && all[end] >= '0' && all[end] <= '9' {
			end++
		}
		dst = append(dst, all[host:end]...)
	}
	for params := m.Bytes(u.Params); len(params) > 0; {
		one := params
		if i := bytes.IndexByte(params, ';'); i >= 0 {
			one, params = params[:i], params[i+1:]
		} else {
			params = nil
		}
		name, _, _ := bytes.Cut(one, []byte{'='})
		if isWord(name, "method") || bare && (isWord(name, "maddr") || isWord(name, "transport")) {
			continue
		}
		dst = append(append(dst, ';'), one...)
	}
	return dst
}

// isWord compares without regard to case.
func isWord(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}
