package sip

import "net/netip"

// Via is one Via value (RFC 3261 20.42).
type Via struct {
	Text      Span   // the value without surrounding white space; of a broken one only what is sound
	Line      Span   // the whole header field it stands in, continuation lines and last CRLF included
	Transport Span   // "UDP"; any token
	Host      Span   // sent-by without brackets; a name or an address
	Branch    Span   // value; absent from RFC 2543 elements
	Received  Span   // value
	Maddr     Span   // value
	Rport     Span   // value; absent when the parameter has none
	Flow      Span   // value of our own parameter i: the connection that the request came on
	RportEnd  uint32 // offset just behind the parameter's name; valid iff HasRport
	Next      uint32 // offset of the next value of the same header field; 0 if this is its last
	Port      uint16 // of sent-by; 0 absent
	RportVal  uint16 // valid iff Rport is not empty
	HasRport  bool   // the parameter is there, with a value or without
}

// readVias reads the Via header field that begins at line and whose value, a list, begins at p, and gives the offset
// behind the field. The first value of all must be sound, in a response the second too, since they say where to send;
// a second one of the same field must be sound as well, or another reader may see the end of the first elsewhere. All
// others are counted and go on as they are.
func (m *Msg) readVias(line, p uint32) (next uint32) {
	first := m.NVia
	for m.NVia < len(m.Via) {
		v := &m.Via[m.NVia]
		end, f := readVia(m.Buf, p, v)
		m.NVia++
		if f != NoFault {
			return m.brokenVia(first, line, p, f)
		}
		if v.Next == 0 {
			m.lines++
			m.viaLines(first, line, end+2)
			return end + 2
		}
		p = v.Next
	}
	return m.countVias(first, line, p)
}

// brokenVia goes on behind the value at p, which is broken.
func (m *Msg) brokenVia(first int, line, p uint32, f Fault) (next uint32) {
	top := m.NVia == 1
	m.NVia--
	if top {
		m.Via[1] = Via{} // it may be counted now, but is not read
	}
	next = m.countVias(first, line, p)
	if top {
		m.fail(p, f)
	} else if !m.IsRequest || first == 0 {
		m.fail(p, FaultSecondVia)
	}
	return next
}

// countVias counts the values of the list at p, which is split and not read, and gives the offset behind it.
func (m *Msg) countVias(first int, line, p uint32) (next uint32) {
	next = m.skipField(p)
	m.NVia += 1 + countCommas(m.Buf[p:next])
	if m.NVia > MaxVias {
		m.fail(p, FaultTooManyVias)
	}
	m.viaLines(first, line, next)
	return next
}

// viaLines notes from where to where the Via header field reaches, of which the values from first on are.
func (m *Msg) viaLines(first int, line, end uint32) {
	m.viaEnd = end
	for i := first; i < min(m.NVia, len(m.Via)); i++ {
		m.Via[i].Line = Span{line, end}
	}
}

// "SIP/2.0/" as a word.
const viaProtocol = 'S' | 'I'<<8 | 'P'<<16 | '/'<<24 | '2'<<32 | '.'<<40 | '0'<<48 | '/'<<56

// readVia reads one Via value (RFC 3261 25.1, via-parm) and gives the offset of the end of its header field or, when
// another value follows, that of the next one, which is v.Next too. Of a broken value it keeps what it has read until
// then: sent-by is enough for an answer to find its way.
func readVia(b []byte, p uint32, v *Via) (next uint32, f Fault) {
	*v = Via{Text: Span{p, p}}
	if word(b, p) == viaProtocol {
		p += 8
	} else if p, f = oddProtocol(b, p); p == bad {
		return bad, f
	}
	q := runName(b, p, isToken)
	v.Transport = Span{p, q}
	if p = skipLWS(b, q); p == q || v.Transport.Empty() { // LWS must follow: sent-protocol LWS sent-by
		return bad, FaultVia
	}
	if p = v.readSentBy(b, p); p == bad {
		return bad, FaultVia
	}
	if p = v.readParams(b, p); p == bad {
		return bad, FaultVia
	}
	return p, f
}

// oddProtocol reads protocol name, version and their slashes when they are not simply "SIP/2.0/": white space may
// stand round each slash (RFC 4475 3.1.1.1), and case does not count. Another protocol or version is a fault, but one
// behind which the rest can be read.
func oddProtocol(b []byte, p uint32) (next uint32, f Fault) {
	name := Span{p, run(b, p, isToken)}
	if p = skipLWS(b, name.End); at(b, p) != '/' || name.Empty() {
		return bad, FaultVia
	}
	p = skipLWS(b, p+1)
	version := Span{p, run(b, p, isToken)}
	if p = skipLWS(b, version.End); at(b, p) != '/' || version.Empty() {
		return bad, FaultVia
	}
	if !equalFold(b[name.Off:name.End], "sip") || string(b[version.Off:version.End]) != "2.0" {
		f = FaultViaProtocol
	}
	return skipLWS(b, p+1), f
}

// readSentBy reads host [":" port], white space round the colon allowed, and gives the offset behind it, bad if it is
// broken.
func (v *Via) readSentBy(b []byte, p uint32) uint32 {
	host, p := readHost(b, p)
	if p == bad {
		return bad
	}
	colon := skipLWS(b, p)
	if at(b, colon) == ':' {
		var port int
		if port, p = number(b, skipLWS(b, colon+1), 65535); port < 1 {
			return bad
		}
		v.Port = uint16(port)
	}
	v.Host = host
	v.Text.End = p
	return p
}

// readParams reads the parameters, which begin at p, up to the end of the header field or the next value, and gives its
// offset, bad if they are broken.
func (v *Via) readParams(b []byte, p uint32) uint32 {
	for {
		v.Text.End = p
		p = skipLWS(b, p)
		switch at(b, p) {
		case ';':
			var q param
			if q, p = readParam(b, p+1); p == bad || !v.setParam(b, q) {
				return bad
			}
		case ',':
			p = skipLWS(b, p+1)
			if v.Next = p; at(b, p) <= ' ' {
				return bad
			}
			return p
		case '\r':
			if at(b, p+1) != '\n' {
				return bad
			}
			return p
		default:
			return bad
		}
	}
}

// Names of parameters as words.
const (
	wordRport    = 'r' | 'p'<<8 | 'o'<<16 | 'r'<<24 | 't'<<32
	wordMaddr    = 'm' | 'a'<<8 | 'd'<<16 | 'd'<<24 | 'r'<<32
	wordBranch   = 'b' | 'r'<<8 | 'a'<<16 | 'n'<<24 | 'c'<<32 | 'h'<<40
	wordReceived = 'r' | 'e'<<8 | 'c'<<16 | 'e'<<24 | 'i'<<32 | 'v'<<40 | 'e'<<48 | 'd'<<56
)

// setParam keeps a parameter that we use. There may be one of each, and none is a quoted string.
func (v *Via) setParam(b []byte, q param) bool {
	n := q.nameEnd - q.name
	if n < 5 || n > 8 || n == 7 {
		if n == 1 && b[q.name]|0x20 == 'i' {
			v.Flow = q.value
		}
		return true
	}
	var s *Span
	switch (word(b, q.name) | lowerCase) << (64 - 8*n) >> (64 - 8*n) {
	case wordBranch:
		s = &v.Branch
	case wordRport:
		return v.setRport(b, q)
	case wordReceived:
		s = &v.Received
	case wordMaddr:
		s = &v.Maddr
	default:
		return true
	}
	if !s.Empty() || !q.plain(b) {
		return false
	}
	*s = q.value
	return true
}

// setRport keeps rport (RFC 3581 section 3), which has a port number or nothing.
func (v *Via) setRport(b []byte, q param) bool {
	if v.HasRport {
		return false
	}
	if !q.value.Empty() {
		port, end := number(b, q.value.Off, 65535)
		if port < 0 || end != q.value.End {
			return false
		}
		v.Rport = q.value
		v.RportVal = uint16(port)
	}
	v.HasRport = true
	v.RportEnd = q.nameEnd
	return true
}

// NeedsReceived reports whether sent-by of the top Via is anything but the address ip, so that received must be added
// (RFC 3261 18.2.1).
func (m *Msg) NeedsReceived(ip netip.Addr) bool {
	if m.NVia == 0 {
		return false
	}
	host, ok := HostAddr(m.Bytes(m.Via[0].Host))
	return !ok || host.Unmap() != ip.Unmap()
}
