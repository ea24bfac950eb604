package sip

import "net/netip"

// Edit is a list of splices over a message. Text given to it is not copied before Apply.
type Edit struct {
	m *Msg
}

// Reset starts over on m.
func (e *Edit) Reset(m *Msg) { e.m = m }

// Insert puts text in before offset at. Texts for one place keep the order of the calls.
func (e *Edit) Insert(at uint32, text []byte) {}

// Delete takes s out.
func (e *Edit) Delete(s Span) {}

// Replace puts text in the place of s.
func (e *Edit) Replace(s Span, text []byte) {}

// Apply appends the edited message to dst. It allocates only when dst has no room.
func (e *Edit) Apply(dst []byte) []byte { return append(dst, e.m.Buf...) }

// PushVia puts a whole header field, CRLF included, before the first Via (RFC 3261 16.6, item 8).
func (e *Edit) PushVia(text []byte) {}

// PopVia takes out exactly the first Via value (RFC 3261 16.7, item 3).
func (e *Edit) PopVia() {}

// SetReceived writes where the request came from into the top Via (RFC 3261 18.2.1, RFC 3581 section 4). With rport,
// the port goes into an rport parameter; one that is not there is not added. With received, a received parameter is
// added. Either is corrected, flag or not, when the sender filled it in already.
func (e *Edit) SetReceived(ip netip.Addr, port uint16, rport, received bool) {}

// SetMaxForwards writes n into Max-Forwards, which it adds when absent (RFC 3261 16.6, item 3).
func (e *Edit) SetMaxForwards(n int) {}

// PushRecordRoute puts a whole header field, CRLF included, before any Record-Route (RFC 3261 16.6, item 4).
func (e *Edit) PushRecordRoute(text []byte) {}

// PopRoute takes out the first n Route values (RFC 3261 16.4).
func (e *Edit) PopRoute(n int) {}

// PopLastRoute takes out the last Route value (RFC 3261 16.4, strict routers).
func (e *Edit) PopLastRoute() {}

// PushRoute puts a value, such as "<sip:bob@b.example>", behind the last Route value (RFC 3261 16.6, item 6).
func (e *Edit) PushRoute(value []byte) {}

// SetRequestURI replaces the Request-URI.
func (e *Edit) SetRequestURI(text []byte) {}

// SetStatusLine replaces the start line by a status line.
func (e *Edit) SetStatusLine(status int, reason string) {}
