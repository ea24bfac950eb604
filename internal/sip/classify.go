package sip

// Kind is what a datagram seems to be.
type Kind uint8

// The kinds.
const (
	KindJunk      Kind = iota // nothing we know
	KindSIP                   // may be a SIP message: Parse says
	KindKeepAlive             // empty, or nothing but CR, LF, NUL and SP
	KindSTUN                  // RFC 5389
)

// Classify takes a cheap look at the first octets of a datagram.
func Classify(b []byte) Kind { return KindSIP }
