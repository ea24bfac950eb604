package sip

import "encoding/binary"

// Kind is what a datagram seems to be.
type Kind uint8

// The kinds.
const (
	KindJunk      Kind = iota // nothing we know
	KindSIP                   // may be a SIP message: Parse says
	KindKeepAlive             // empty, or a few octets of CR, LF, NUL and SP (RFC 5626 5.4, and what phones send)
	KindSTUN                  // RFC 8489: no SIP message begins with such an octet
)

// maxKeepAlive is the longest datagram, in octets, that is looked at as a keep-alive.
const maxKeepAlive = 64

// Classify takes a cheap look at the first octets of a datagram.
func Classify(b []byte) Kind {
	if len(b) == 0 {
		return KindKeepAlive
	}
	if classOf[b[0]]&isToken != 0 {
		return KindSIP
	}
	if len(b) >= 20 && b[0] < 4 && binary.BigEndian.Uint32(b[4:]) == 0x2112A442 {
		return KindSTUN
	}
	if len(b) > maxKeepAlive {
		return sipBehindCRLF(b[:maxKeepAlive])
	}
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 && c != ' ' {
			return sipBehindCRLF(b)
		}
	}
	return KindKeepAlive
}

// sipBehindCRLF tells a message behind empty lines, which Parse steps over, from junk.
func sipBehindCRLF(b []byte) Kind {
	for len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		b = b[2:]
		if len(b) > 0 && classOf[b[0]]&isToken != 0 {
			return KindSIP
		}
	}
	return KindJunk
}
