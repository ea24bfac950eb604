package sip

import "bytes"

// NameAddr is the value of From or To (RFC 3261 20.20, 20.39).
type NameAddr struct {
	Text Span // the value without surrounding white space
	URI  Span // without <>
	Tag  Span // value of the tag parameter; absent if there is none
}

// RouteVal is one Route value.
type RouteVal struct {
	Text Span // the value without surrounding white space
	Line Span // the whole header field it stands in, last CRLF included
	URI  URI
}

// read reads From or To at p and gives the offset behind it, bad if it is broken.
func (a *NameAddr) read(b []byte, p uint32) uint32 {
	a.Text.Off = p
	p = readAddr(b, p, &a.URI)
	for {
		a.Text.End = p
		if p = skipLWS(b, p); at(b, p) != ';' {
			return p // a comma too is not ours: there is but one From
		}
		var q param
		q, p = readParam(b, p+1)
		if q.nameEnd-q.name == 3 && p != bad && equalFold(b[q.name:q.nameEnd], "tag") {
			if !a.Tag.Empty() || !q.plain(b) {
				return bad
			}
			a.Tag = q.value
		}
	}
}

// readAddr reads name-addr or addr-spec at p, gives its URI and the offset behind it, bad if it is broken.
func readAddr(b []byte, p uint32, uri *Span) uint32 {
	start := p
	switch at(b, p) {
	case '<':
		return readAngle(b, p+1, uri)
	case '"':
		p = quoted(b, p)
		if p = skipLWS(b, p); at(b, p) != '<' {
			return bad
		}
		return readAngle(b, p+1, uri)
	}
	for {
		p = run(b, p, isDisplay)
		if at(b, p) == '<' {
			return readAngle(b, p+1, uri)
		}
		q := skipLWS(b, p)
		if q == p {
			return addrSpec(b, Span{start, p}, uri)
		}
		p = q
	}
}

// readAngle reads a URI and the '>' behind it. White space inside is nothing a URI may hold (RFC 4475 3.1.2.14).
func readAngle(b []byte, p uint32, uri *Span) uint32 {
	q := runPlain(b, p, isURI)
	if q == p || at(b, q) != '>' {
		return bad
	}
	*uri = Span{p, q}
	return q + 1
}

// addrSpec takes s without the white space at its end as a URI. That it has a scheme and no gap is looked at. It ended
// at the first semicolon: what follows belongs to the header field, not to the URI (RFC 3261 20.10).
func addrSpec(b []byte, s Span, uri *Span) uint32 {
	s.End = trimLWS(b, s.Off, s.End)
	if bytes.IndexByte(b[s.Off:s.End], ':') < 1 || run(b[:s.End], s.Off, isURI) != s.End {
		return bad
	}
	*uri = s
	return s.End
}

// readRoutes reads the Route header field whose value, a list, begins at p, and gives the offset behind it, bad if it is
// broken. line is where the header field begins.
func (m *Msg) readRoutes(line, p uint32) uint32 {
	b := m.Buf
	first := m.NRoute
	for {
		var uri Span
		text, next := readRoute(b, p, &uri)
		if next == bad {
			return bad
		}
		m.LastRoute.Text, m.LastRoute.Line, m.LastRoute.URI.Text = text, text, uri
		if m.NRoute < len(m.Route) {
			r := &m.Route[m.NRoute]
			r.Text, r.Line = text, text // until the whole list is read
			if readURI(b[:uri.End], uri.Off, &r.URI) != NoFault {
				return bad
			}
		}
		if m.NRoute++; m.NRoute > MaxRoutes {
			m.fail(p, FaultTooManyRoutes)
			return bad
		}
		if at(b, next) != ',' {
			m.LastRoute.Line = Span{line, min(next+2, uint32(len(b)))}
			for i := first; i < min(m.NRoute, len(m.Route)); i++ {
				m.Route[i].Line = m.LastRoute.Line
			}
			return next
		}
		p = skipLWS(b, next+1)
	}
}

// readRoute reads one Route value and gives its text, its URI and the offset of what follows, a comma or the end of the
// header field; bad if it is broken. It must be a name-addr (RFC 3261 20.34): without <> nobody could say whose
// parameter lr is.
func readRoute(b []byte, p uint32, uri *Span) (text Span, next uint32) {
	text = Span{p, readAddr(b, p, uri)}
	if at(b, text.End-1) != '>' {
		return text, bad
	}
	for p = text.End; ; {
		text.End = p
		if p = skipLWS(b, p); at(b, p) != ';' {
			return text, p
		}
		if _, p = readParam(b, p+1); p == bad {
			return text, bad
		}
	}
}

// lastRoute completes LastRoute, of which readRoutes keeps only where it is.
func (m *Msg) lastRoute() {
	if m.NRoute <= len(m.Route) {
		m.LastRoute = m.Route[m.NRoute-1]
		return
	}
	u := m.LastRoute.URI.Text
	if readURI(m.Buf[:u.End], u.Off, &m.LastRoute.URI) != NoFault {
		m.fail(u.Off, FaultRoute)
	}
}
