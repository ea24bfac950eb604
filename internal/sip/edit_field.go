package sip

import "net/netip"

// The edits of a proxy, each on any legal form of its header field, and each once between Reset and Apply.

// PushVia puts a whole header field, CRLF included, before the first Via (RFC 3261 16.6, item 8).
func (e *Edit) PushVia(text []byte) {
	at := e.m.StartEnd
	if e.m.NVia > 0 {
		at = e.m.Via[0].Line.Off
	}
	e.Insert(at, text)
}

// PopVia takes out exactly the first Via value, with its header field if it is alone there (RFC 3261 16.7, item 3).
func (e *Edit) PopVia() {
	if e.m.NVia == 0 {
		return
	}
	v := &e.m.Via[0]
	if v.Next != 0 {
		e.Delete(Span{v.Text.Off, v.Next})
		return
	}
	e.Delete(v.Line)
}

// SetReceived writes where the request came from into the top Via (RFC 3261 18.2.1, RFC 3581 section 4). With rport,
// the port goes into the rport parameter; one that is not there is not added, its owner did not ask. With received, a
// received parameter is added. What the sender filled in by itself is corrected, flag or no flag: the response goes
// where this says.
func (e *Edit) SetReceived(ip netip.Addr, port uint16, rport, received bool) {
	if e.m.NVia == 0 || e.m.Via[0].Host.Empty() {
		return
	}
	v := &e.m.Via[0]
	if v.HasRport {
		if !v.Rport.Empty() {
			e.done(v.Rport.Off, v.Rport.End-v.Rport.Off, appendNumber(e.note(), uint32(port)))
		} else if rport {
			e.done(v.RportEnd, 0, appendNumber(append(e.note(), '='), uint32(port)))
		}
	}
	if !v.Received.Empty() {
		e.done(v.Received.Off, v.Received.End-v.Received.Off, appendAddr(e.note(), ip))
	} else if received {
		e.done(v.Text.End, 0, appendAddr(append(e.note(), ";received="...), ip))
	}
}

// SetMaxForwards writes n into Max-Forwards, which it adds when absent (RFC 3261 16.6, item 3).
func (e *Edit) SetMaxForwards(n int) {
	if e.m.MaxForwards >= 0 {
		s := e.m.MaxForwardsSpan
		e.done(s.Off, s.End-s.Off, appendNumber(e.note(), uint32(n)))
		return
	}
	line := append(e.note(), "Max-Forwards: "...)
	e.done(e.m.viaEnd, 0, append(appendNumber(line, uint32(n)), "\r\n"...))
}

// PushRecordRoute puts a whole header field, CRLF included, before any Record-Route (RFC 3261 16.6, item 4).
func (e *Edit) PushRecordRoute(text []byte) {
	at := e.m.viaEnd
	if !e.m.FirstRecordRoute.Empty() {
		at = e.m.FirstRecordRoute.Off
	}
	e.Insert(at, text)
}

// AddContentLength puts the length of the body behind the header fields, of a message that came in a datagram without it:
// on a stream it must not be missing (RFC 3261 16.6, item 9; 18.3).
func (e *Edit) AddContentLength() {
	if e.m.ContentLength >= 0 || e.m.HeadersEnd < 2 {
		return
	}
	line := append(e.note(), "Content-Length: "...)
	line = appendNumber(line, uint32(len(e.m.Buf))-e.m.HeadersEnd)
	e.done(e.m.HeadersEnd-2, 0, append(line, "\r\n"...))
}

// SetRequestURI replaces the Request-URI.
func (e *Edit) SetRequestURI(text []byte) { e.Replace(e.m.URI.Text, text) }

// SetStatusLine replaces the start line by a status line.
func (e *Edit) SetStatusLine(status int, reason string) {
	e.done(0, e.m.StartEnd, appendStatusLine(e.note(), status, reason))
}

func appendStatusLine(dst []byte, status int, reason string) []byte {
	dst = append(dst, "SIP/2.0 "...)
	dst = appendNumber(dst, uint32(status))
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, "\r\n"...)
}

// appendNumber appends n in decimal.
func appendNumber(dst []byte, n uint32) []byte {
	switch {
	case n < 10:
		return append(dst, byte('0'+n))
	case n < 100:
		return append(dst, byte('0'+n/10), byte('0'+n%10))
	case n < 1000:
		return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	}
	dst = appendNumber(dst, n/1000)
	n %= 1000
	return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
}

// appendAddr appends ip as via-received has it: IPv4 also when it came mapped into IPv6, IPv6 without brackets.
func appendAddr(dst []byte, ip netip.Addr) []byte {
	ip = ip.Unmap()
	if !ip.Is4() {
		return ip.WithZone("").AppendTo(dst)
	}
	a := ip.As4()
	dst = append(appendNumber(dst, uint32(a[0])), '.')
	dst = append(appendNumber(dst, uint32(a[1])), '.')
	dst = append(appendNumber(dst, uint32(a[2])), '.')
	return appendNumber(dst, uint32(a[3]))
}
