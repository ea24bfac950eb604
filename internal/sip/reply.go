package sip

import "net/netip"

// Reply is a response of our own.
type Reply struct {
	Status   int
	Reason   string
	ToTag    []byte         // put into To when that has no tag and Status is not 100
	Extra    []byte         // whole header fields, each with its CRLF
	Received netip.AddrPort // where the request came from; goes into the top Via. Invalid: Via stays as it came
}

// AppendReply appends the response to the request m (RFC 3261 8.2.6).
func (m *Msg) AppendReply(dst []byte, r *Reply) []byte { return dst }

// NeedsReceived reports whether sent-by of the top Via is anything but the address ip, so that received has to be
// added (RFC 3261 18.2.1).
func (m *Msg) NeedsReceived(ip netip.Addr) bool { return true }
