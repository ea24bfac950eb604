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
	RportEnd  uint32 // offset just behind the parameter's name; valid iff HasRport
	Next      uint32 // offset of the next value of the same header field; 0 if this is its last
	Port      uint16 // of sent-by; 0 absent
	RportVal  uint16 // valid iff Rport is not empty
	HasRport  bool   // the parameter is there, with a value or without
}

// viaField reads the Via header field line, whose value is b[p:end]. The first value of all must be sound, in a
// response the second too, since they say where to send. The others are counted and go on as they are.
func (m *Msg) viaField(line Span, p, end int) {
	m.viaEnd = line.End
	for m.NVia < len(m.Via) {
		v := &m.Via[m.NVia]
		f := readVia(m.Buf, p, end, v)
		v.Line = line
		m.NVia++
		if f != NoFault {
			m.viaFault(v, f)
			m.NVia += countCommas(m.Buf, p, end)
			return
		}
		if v.Next == 0 {
			return
		}
		p = int(v.Next)
	}
	m.NVia += 1 + countCommas(m.Buf, p, end)
	if m.NVia > MaxVias {
		m.fail(int(line.Off), FaultTooManyVias)
	}
}

// viaFault notes that the Via value just read is broken, if it is one of those that must not be.
func (m *Msg) viaFault(v *Via, f Fault) {
	switch {
	case m.NVia == 1:
		m.fail(int(v.Text.Off), f)
	case !m.IsRequest:
		m.fail(int(v.Text.Off), FaultSecondVia)
	}
}

// "SIP/2.0/" as a word.
const viaProtocol = 'S' | 'I'<<8 | 'P'<<16 | '/'<<24 | '2'<<32 | '.'<<40 | '0'<<48 | '/'<<56

// readVia reads the first value of the list b[p:end] (RFC 3261 25.1, via-parm). Of a broken value it keeps what comes
// before its parameters, so that an answer finds its way.
func readVia(b []byte, p, end int, v *Via) Fault {
	*v = Via{}
	start := p
	fault := NoFault
	if p+8 <= end && word(b, p) == viaProtocol {
		p += 8
	} else {
		p, fault = viaProtocolOdd(b, p, end)
	}
	v.Text = span(start, start)
	if p < 0 {
		return fault
	}
	q := run(b, p, end, isToken)
	v.Transport = span(p, q)
	if p = skipLWS(b, q, end); p == q || v.Transport.Empty() { // LWS must follow (25.1, sent-protocol LWS sent-by)
		return FaultVia
	}
	if p = v.readSentBy(b, p, end); p < 0 {
		return FaultVia
	}
	v.Text.End = uint32(p)
	if !v.readParams(b, p, end) {
		*v = Via{Text: v.Text, Transport: v.Transport, Host: v.Host, Port: v.Port}
		return FaultVia
	}
	return fault
}

// viaProtocolOdd reads protocol name, version and their slashes when they are not simply "SIP/2.0/": white space may
// stand round each (RFC 4475 3.1.1.1), and case does not count. Another protocol or version is a fault, but one behind
// which the rest can be read.
func viaProtocolOdd(b []byte, p, end int) (int, Fault) {
	name := p
	p = run(b, p, end, isToken)
	nameEnd := p
	if p = skipLWS(b, p, end); p == end || b[p] != '/' || nameEnd == name {
		return -1, FaultVia
	}
	version := skipLWS(b, p+1, end)
	versionEnd := run(b, version, end, isToken)
	if p = skipLWS(b, versionEnd, end); p == end || b[p] != '/' || versionEnd == version {
		return -1, FaultVia
	}
	fault := NoFault
	if !equalFold(b[name:nameEnd], "sip") || string(b[version:versionEnd]) != "2.0" {
		fault = FaultViaProtocol
	}
	return skipLWS(b, p+1, end), fault
}

// readSentBy reads host [":" port] and gives the offset behind it, -1 if it is broken.
func (v *Via) readSentBy(b []byte, p, end int) int {
	host, p := readHost(b, p, end)
	if p < 0 {
		return -1
	}
	colon := skipLWS(b, p, end)
	if colon < end && b[colon] == ':' {
		q := skipLWS(b, colon+1, end)
		p = q
		for p < end && b[p]-'0' <= 9 {
			p++
		}
		port := number(b, q, p, 65535)
		if port < 1 {
			return -1
		}
		v.Port = uint16(port)
	}
	v.Host = host
	return p
}

// readParams reads the parameters, from the end of sent-by on, and what ends the value: a comma or the field's end.
func (v *Via) readParams(b []byte, p, end int) bool {
	for {
		v.Text.End = uint32(p)
		p = skipLWS(b, p, end)
		if p == end {
			return true
		}
		if b[p] == ',' {
			p = skipLWS(b, p+1, end)
			v.Next = uint32(p)
			return p < end
		}
		if b[p] != ';' {
			return false
		}
		q, next := readParam(b, p+1, end)
		if next < 0 || !v.setParam(b, q) {
			return false
		}
		p = next
	}
}

// setParam keeps a parameter that we use. There may be one of each, and none is a quoted string.
func (v *Via) setParam(b []byte, q param) bool {
	var at *Span
	switch name := b[q.n0:q.n1]; {
	case equalFold(name, "branch"):
		at = &v.Branch
	case equalFold(name, "rport"):
		return v.setRport(b, q)
	case equalFold(name, "received"):
		at = &v.Received
	case equalFold(name, "maddr"):
		at = &v.Maddr
	default:
		return true
	}
	if !at.Empty() || !q.plain(b) {
		return false
	}
	*at = q.value()
	return true
}

// setRport keeps rport (RFC 3581 section 3), which has a port number or nothing.
func (v *Via) setRport(b []byte, q param) bool {
	if v.HasRport {
		return false
	}
	v.HasRport = true
	v.RportEnd = uint32(q.n1)
	if q.v1 == 0 {
		return true
	}
	port := number(b, q.v0, q.v1, 65535)
	if port < 0 {
		return false
	}
	v.Rport = q.value()
	v.RportVal = uint16(port)
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
