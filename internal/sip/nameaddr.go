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

// read reads the From or To value that is b[p:end]. Text stays when it is broken, so that an answer can echo it.
func (a *NameAddr) read(b []byte, p, end int) bool {
	*a = NameAddr{Text: span(p, end)}
	if p = readAddr(b, p, end, &a.URI); p < 0 {
		return false
	}
	for {
		if p = skipLWS(b, p, end); p == end {
			return true
		}
		if b[p] != ';' { // a comma too: there is but one From
			return false
		}
		q, next := readParam(b, p+1, end)
		if next < 0 {
			return false
		}
		if q.n1-q.n0 == 3 && equalFold(b[q.n0:q.n1], "tag") {
			if !a.Tag.Empty() || !q.plain(b) {
				return false
			}
			a.Tag = q.value()
		}
		p = next
	}
}

// readAddr reads name-addr or addr-spec at p and gives the offset behind it, -1 if it is broken. An addr-spec ends at
// its first semicolon (RFC 3261 20.10): what follows belongs to the header field, not to the URI.
func readAddr(b []byte, p, end int, uri *Span) int {
	start := p
	if p < end && b[p] == '"' {
		if p = quoted(b, p, end); p < 0 {
			return -1
		}
		if p = skipLWS(b, p, end); p == end || b[p] != '<' {
			return -1
		}
	}
	for ; p < end; p++ {
		switch b[p] {
		case '<':
			return readAngle(b, p+1, end, uri)
		case '"', ',', '>', 0:
			return -1
		case ';':
			return addrSpec(b, start, p, uri)
		}
	}
	return addrSpec(b, start, end, uri)
}

// readAngle reads a URI and the '>' behind it. White space inside is nothing a URI may hold (RFC 4475 3.1.2.14).
func readAngle(b []byte, p, end int, uri *Span) int {
	i := bytes.IndexByte(b[p:end], '>')
	if i < 1 || run(b, p, p+i, isURI) != p+i {
		return -1
	}
	*uri = span(p, p+i)
	return p + i + 1
}

// addrSpec takes b[p:end] as a URI without <>; only that it has a scheme and no gap is looked at.
func addrSpec(b []byte, p, end int, uri *Span) int {
	end = trimLWS(b, p, end)
	if i := bytes.IndexByte(b[p:end], ':'); i < 1 || run(b, p, end, isURI) != end {
		return -1
	}
	*uri = span(p, end)
	return end
}

// routeField reads the Route header field line, whose value is the list b[p:end]. Each value must be a name-addr
// (RFC 3261 20.34): without <> nobody could say whose parameter lr is.
func (m *Msg) routeField(line Span, p, end int) {
	b := m.Buf
	for {
		var uri Span
		text, next := readRoute(b, p, end, &uri)
		if next < 0 {
			m.fail(p, FaultRoute)
			return
		}
		m.LastRoute.Text, m.LastRoute.Line, m.LastRoute.URI.Text = text, line, uri
		if m.NRoute < len(m.Route) {
			r := &m.Route[m.NRoute]
			r.Text, r.Line = text, line
			if readURI(b, int(uri.Off), int(uri.End), &r.URI) != NoFault {
				m.fail(int(uri.Off), FaultRoute)
			}
		}
		if m.NRoute++; m.NRoute > MaxRoutes {
			m.fail(p, FaultTooManyRoutes)
			return
		}
		if next == end {
			return
		}
		p = next
	}
}

// readRoute reads the first value of the list b[p:end] and gives its text, its URI and the offset of the value behind
// it: end if there is none, -1 if the list is broken.
func readRoute(b []byte, p, end int, uri *Span) (text Span, next int) {
	start := p
	if p = readAddr(b, p, end, uri); p < 0 || b[p-1] != '>' {
		return Span{}, -1
	}
	for {
		text = span(start, p)
		p = skipLWS(b, p, end)
		if p == end {
			return text, end
		}
		if b[p] == ',' {
			if p = skipLWS(b, p+1, end); p == end {
				return text, -1
			}
			return text, p
		}
		if b[p] != ';' {
			return text, -1
		}
		if _, p = readParam(b, p+1, end); p < 0 {
			return text, -1
		}
	}
}

// lastRoute completes LastRoute, of which routeField keeps only where it is.
func (m *Msg) lastRoute() {
	switch {
	case m.NRoute == 0:
	case m.NRoute <= len(m.Route):
		m.LastRoute = m.Route[m.NRoute-1]
	default:
		u := m.LastRoute.URI.Text
		if readURI(m.Buf, int(u.Off), int(u.End), &m.LastRoute.URI) != NoFault {
			m.fail(int(u.Off), FaultRoute)
		}
	}
}
