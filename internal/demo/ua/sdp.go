package ua

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Media directions, RFC 3264 section 5.1.
const (
	sendRecv = "sendrecv"
	sendOnly = "sendonly"
	recvOnly = "recvonly"
	inactive = "inactive"
)

// session writes a session description with one G.711 stream at addr. version counts the offers of one call up
// (RFC 3264 section 8).
func session(addr netip.AddrPort, version uint32, direction string) []byte {
	family := "IP4"
	if addr.Addr().Is6() {
		family = "IP6"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "v=0\r\no=carillon 1 %d IN %s %s\r\ns=demo\r\n", version, family, addr.Addr())
	fmt.Fprintf(&b, "c=IN %s %s\r\nt=0 0\r\n", family, addr.Addr())
	fmt.Fprintf(&b, "m=audio %d RTP/AVP 0 8\r\n", addr.Port())
	b.WriteString("a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n")
	fmt.Fprintf(&b, "a=%s\r\n", direction)
	return b.Bytes()
}

// direction finds what an offer wants; a c= of all zeros is the hold of RFC 2543.
func direction(sdp []byte) string {
	found := sendRecv
	for line := range strings.Lines(string(sdp)) {
		switch strings.TrimRight(line, "\r\n") {
		case "a=sendonly":
			found = sendOnly
		case "a=recvonly":
			found = recvOnly
		case "a=inactive":
			found = inactive
		case "c=IN IP4 0.0.0.0":
			found = sendOnly
		}
	}
	return found
}

// mirror is the answer to a direction.
func mirror(direction string) string {
	switch direction {
	case sendOnly:
		return recvOnly
	case recvOnly:
		return sendOnly
	}
	return direction
}

// setSession puts a session description into a message.
func setSession(m sip.Message, sdp []byte) {
	kind := sip.ContentTypeHeader("application/sdp")
	m.AppendHeader(&kind)
	m.SetBody(sdp)
}
