package sip

import "bytes"

// startLine reads the request line or status line and gives the offset behind its line end. The grammar has exactly
// one SP between the parts and nothing behind them (RFC 3261 7.1, 7.2; RFC 4475 3.1.2.9, 3.1.2.10).
func (m *Msg) startLine() uint32 {
	b := m.Buf
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		m.fail(0, FaultStartLine)
		return uint32(len(b))
	}
	m.StartEnd = uint32(i + 1)
	line := b[:i]
	if i > 0 && b[i-1] == '\r' {
		line = b[:i-1]
	} else {
		m.fail(m.StartEnd-1, FaultLineEnd)
	}
	if uint32(word(line, 0)|lowerCase) == 's'|'i'<<8|'p'<<16|'/'<<24 { // no token, so no method, has a slash
		m.statusLine(line)
	} else {
		m.requestLine(line)
	}
	return m.StartEnd
}

// " SIP/2.0" and "SIP/2.0 " as words.
const (
	versionBehind = ' ' | 'S'<<8 | 'I'<<16 | 'P'<<24 | '/'<<32 | '2'<<40 | '.'<<48 | '0'<<56
	versionAhead  = 'S' | 'I'<<8 | 'P'<<16 | '/'<<24 | '2'<<32 | '.'<<40 | '0'<<48 | ' '<<56
)

// requestLine reads Method SP Request-URI SP SIP-Version.
func (m *Msg) requestLine(line []byte) {
	m.IsRequest = true
	p := run(line, 0, isToken)
	m.MethodText = Span{0, p}
	if p == 0 || at(line, p) != ' ' {
		m.fail(p, FaultMethod)
		return
	}
	m.Method = methodOf(line[:p])
	p++
	end := uint32(len(line)) - 8 // of the Request-URI
	if end <= p || end > bad || word(line, end) != versionBehind {
		if end = m.oddVersion(line, p); end == bad {
			return
		}
	}
	f := readURI(line[:end], p, &m.URI)
	switch {
	case f != NoFault && end > p && (line[p] == ' ' || line[end-1] == ' '):
		m.fail(p, FaultStartLine) // one SP too many, not the URI's fault
	case f != NoFault:
		m.fail(p, f)
	case m.URI.Headers.End != 0:
		m.fail(m.URI.Headers.Off, FaultURIHeaders) // RFC 3261 19.1.1, RFC 4475 3.1.2.11
	}
}

// oddVersion looks at a request line that does not end in " SIP/2.0". The case does not count (RFC 3261 7.1); then the
// result is where the Request-URI, which begins at p, ends. Else it is a fault, and the result bad.
func (m *Msg) oddVersion(line []byte, p uint32) uint32 {
	sp := bytes.LastIndexByte(line[p:], ' ')
	if sp < 0 {
		m.fail(p, FaultStartLine)
		return bad
	}
	end := p + uint32(sp)
	if version := line[end+1:]; !equalFold(version, "sip/2.0") {
		m.fail(end+1, versionFault(version))
		return bad
	}
	return end
}

// versionFault names what is wrong with a version that is not SIP/2.0: another version, or none at all.
func versionFault(v []byte) Fault {
	if len(v) < 4 || !equalFold(v[:4], "sip/") {
		return FaultStartLine
	}
	dot := run(v, 4, isDigit)
	if dot == 4 || at(v, dot) != '.' {
		return FaultStartLine
	}
	end := run(v, dot+1, isDigit)
	if end == dot+1 || end != uint32(len(v)) {
		return FaultStartLine
	}
	return FaultVersion
}

// statusLine reads SIP-Version SP Status-Code SP Reason-Phrase. The phrase may be empty, the SP before it may not
// (RFC 4475 3.1.1.13).
func (m *Msg) statusLine(line []byte) {
	if word(line, 0) != versionAhead && !(len(line) >= 8 && equalFold(line[:8], "sip/2.0 ")) {
		version, _, _ := bytes.Cut(line, []byte{' '})
		m.fail(0, versionFault(version))
		return
	}
	status, end := number(line, 8, 699)
	if status < 100 || end != 11 || at(line, end) != ' ' {
		m.fail(8, FaultStatusCode)
		return
	}
	m.Status = status
	m.ReasonText = span(12, len(line))
	if i := bytes.IndexByte(line[12:], 0); i >= 0 {
		m.fail(12+uint32(i), FaultNUL)
	}
}
