package sip

import "net/netip"

// Reply is a response of our own.
type Reply struct {
	Status   int
	Reason   string
	ToTag    []byte         // goes into To when that has no tag and Status is not 100
	Extra    []byte         // whole header fields, each with its CRLF
	Received netip.AddrPort // where the request came from, for the top Via; the zero value leaves Via as it came
}

// AppendReply appends the response to the request m, which need not be sound but Answerable. It keeps nothing: the same
// request gets the same response, if r is the same (RFC 3261 8.2.6, 8.2.7). Via, From, To, Call-ID and CSeq are what
// came, Via with received and rport. Nothing is allocated when dst has room.
func (m *Msg) AppendReply(dst []byte, r *Reply) []byte {
	dst = appendStatusLine(dst, r.Status, r.Reason)
	dst = m.appendVias(dst, r.Received)
	if m.seen&(1<<fieldFrom) != 0 {
		dst = m.appendValue(append(dst, "From: "...), m.From.Text)
		dst = append(dst, "\r\n"...)
	}
	if m.seen&(1<<fieldTo) != 0 {
		dst = m.appendValue(append(dst, "To: "...), m.To.Text)
		if m.To.Tag.Empty() && r.Status != 100 && len(r.ToTag) > 0 {
			dst = append(append(dst, ";tag="...), r.ToTag...)
		}
		dst = append(dst, "\r\n"...)
	}
	if m.seen&(1<<fieldCallID) != 0 {
		dst = m.appendValue(append(dst, "Call-ID: "...), m.CallID)
		dst = append(dst, "\r\n"...)
	}
	if m.seen&(1<<fieldCSeq) != 0 {
		dst = m.appendValue(append(dst, "CSeq: "...), m.cseqText)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, r.Extra...)
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// appendVias appends all Via header fields in their order, the top value with where the request came from.
func (m *Msg) appendVias(dst []byte, from netip.AddrPort) []byte {
	if m.NVia == 0 {
		return dst
	}
	var e Edit
	e.Reset(m)
	if from.IsValid() {
		asked := m.Via[0].HasRport // then received goes with it, always (RFC 3581 section 4)
		e.SetReceived(from.Addr(), from.Port(), asked, asked || m.NeedsReceived(from.Addr()))
	}
	b := m.Buf
	for p := m.Via[0].Line.Off; p < m.viaEnd; {
		end := fieldEnd(b, p)
		if end == bad {
			break
		}
		if f, _ := fieldAt(b, p, word(b, p)); f == fieldVia {
			start := len(dst)
			dst = e.appendRange(dst, p, trimLWS(b, p, end))
			m.clean(dst[start:])
			dst = append(dst, "\r\n"...)
		}
		p = end
	}
	return dst
}

// appendValue appends the octets of s.
func (m *Msg) appendValue(dst []byte, s Span) []byte {
	start := len(dst)
	dst = append(dst, m.Bytes(s)...)
	m.clean(dst[start:])
	return dst
}

// clean makes white space of every CR, LF and NUL in a value of a broken message: what was ambiguous when it came must
// not leave in our name.
func (m *Msg) clean(b []byte) {
	if m.Err == NoFault {
		return
	}
	for i, c := range b {
		if c == '\r' || c == '\n' || c == 0 {
			b[i] = ' '
		}
	}
}
