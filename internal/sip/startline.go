package sip

import "bytes"

// startLine reads the request line or status line and gives the offset behind its line end. The grammar has exactly
// one SP between the parts and nothing behind them (RFC 3261 7.1, 7.2; RFC 4475 3.1.2.9, 3.1.2.10).
func (m *Msg) startLine() int {
	b := m.Buf
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		m.fail(0, FaultStartLine)
		return len(b)
	}
	m.StartEnd = uint32(i + 1)
	end := i - 1 // of the text of the line
	if i == 0 || b[i-1] != '\r' {
		m.fail(i, FaultLineEnd)
		end = i
	}
	if end >= 4 && b[3] == '/' && equalFold(b[:3], "sip") { // no token, so no method, has a slash
		m.statusLine(end)
	} else {
		m.requestLine(end)
	}
	return i + 1
}

// " SIP/2.0" and "SIP/2.0 " as words.
const (
	versionBehind = ' ' | 'S'<<8 | 'I'<<16 | 'P'<<24 | '/'<<32 | '2'<<40 | '.'<<48 | '0'<<56
	versionAhead  = 'S' | 'I'<<8 | 'P'<<16 | '/'<<24 | '2'<<32 | '.'<<40 | '0'<<48 | ' '<<56
)

// requestLine reads Method SP Request-URI SP SIP-Version, which end at end.
func (m *Msg) requestLine(end int) {
	b := m.Buf
	m.IsRequest = true
	p := run(b, 0, end, isToken)
	m.MethodText = span(0, p)
	if p == 0 || p == end || b[p] != ' ' {
		m.fail(p, FaultMethod)
		return
	}
	m.Method = methodOf(b[:p])
	p++
	uriEnd := end - 8
	if uriEnd < p || word(b, uriEnd) != versionBehind {
		if uriEnd = m.oddVersion(p, end); uriEnd < 0 {
			return
		}
	}
	f := readURI(b, p, uriEnd, &m.URI)
	switch {
	case f != NoFault && uriEnd > p && (b[p] == ' ' || b[uriEnd-1] == ' '):
		m.fail(p, FaultStartLine) // one SP too many, not the URI's fault
	case f != NoFault:
		m.fail(p, f)
	case m.URI.Headers.End != 0:
		m.fail(int(m.URI.Headers.Off), FaultURIHeaders) // RFC 3261 19.1.1, RFC 4475 3.1.2.11
	}
}

// oddVersion looks at a request line that does not end in " SIP/2.0". The case does not count (RFC 3261 7.1); then the
// result is where the Request-URI ends. Else it is a fault, and the result -1.
func (m *Msg) oddVersion(p, end int) int {
	b := m.Buf
	sp := bytes.LastIndexByte(b[p:end], ' ')
	if sp < 0 {
		m.fail(p, FaultStartLine)
		return -1
	}
	sp += p
	if equalFold(b[sp+1:end], "sip/2.0") {
		return sp
	}
	m.fail(sp+1, versionFault(b[sp+1:end]))
	return -1
}

// versionFault names what is wrong with a version that is not SIP/2.0: another version, or none at all.
func versionFault(v []byte) Fault {
	if len(v) < 4 || !equalFold(v[:4], "sip/") {
		return FaultStartLine
	}
	major, minor, found := bytes.Cut(v[4:], []byte{'.'})
	if !found || len(major) == 0 || len(minor) == 0 {
		return FaultStartLine
	}
	for _, part := range [2][]byte{major, minor} {
		for _, c := range part {
			if c < '0' || c > '9' {
				return FaultStartLine
			}
		}
	}
	return FaultVersion
}

// statusLine reads SIP-Version SP Status-Code SP Reason-Phrase, which end at end. The phrase may be empty, the SP
// before it may not (RFC 4475 3.1.1.13).
func (m *Msg) statusLine(end int) {
	b := m.Buf
	p := 8
	if end < p || word(b, 0) != versionAhead && !equalFold(b[:p], "sip/2.0 ") {
		sp := bytes.IndexByte(b[:end], ' ')
		if sp < 0 {
			sp = end
		}
		m.fail(0, versionFault(b[:sp]))
		return
	}
	if end < p+4 || b[p+3] != ' ' {
		m.fail(p, FaultStatusCode)
		return
	}
	m.Status = number(b, p, p+3, 699)
	if m.Status < 100 {
		m.Status = 0
		m.fail(p, FaultStatusCode)
		return
	}
	m.ReasonText = span(p+4, end)
	if i := bytes.IndexByte(b[p+4:end], 0); i >= 0 {
		m.fail(p+4+i, FaultNUL)
	}
}
