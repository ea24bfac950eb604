package health

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// branchPrefix begins the branch of every probe: the magic cookie of RFC 3261 section 8.1.1.7, and a mark with characters that
	// the sealed branches of the message path do not use.
	branchPrefix = "z9hG4bK.hm."
	branchLen    = len(branchPrefix) + 16
	// maxOwnText bounds what a user may add to a probe, in octets.
	maxOwnText = 4096
	// maxUserAgent bounds Config.UserAgent likewise; the rest of it is cut off.
	maxUserAgent = 100
	// optionsRoom is more than any OPTIONS of ours needs.
	optionsRoom = maxOwnText + 1024
)

// IsProbe says whether a top Via branch is one of a probe of this package.
func IsProbe(branch []byte) bool {
	return len(branch) == branchLen && string(branch[:len(branchPrefix)]) == branchPrefix
}

// runOf reads the run from a branch of ours.
func runOf(branch []byte) (uint64, bool) {
	if !IsProbe(branch) {
		return 0, false
	}
	run, err := strconv.ParseUint(string(branch[len(branchPrefix):]), 16, 64)
	return run, err == nil
}

// options is one OPTIONS to be sent.
type options struct {
	mon       *Monitor
	to        netip.AddrPort // that is probed
	via       netip.AddrPort // from where we send, and are to be answered
	run       uint64
	userAgent string
}

// append appends the message: for one run the same bytes each time, as a retransmission must be (RFC 3261 section 17.1.2.2).
//
// It is a request outside of any dialog as RFC 3261 sections 8.1.1 and 11.1 want it: a To without tag, a From tag, Call-ID and branch
// of its own, Contact and Accept; and rport, so that the answer comes back to the port it left from (RFC 3581).
// Max-Forwards 0 or 1 would be answered 483 by a server that is itself a proxy.
func (o *options) append(dst []byte) []byte {
	transport, param := "UDP", ""
	switch {
	case o.mon.TLS != nil:
		transport, param = "TLS", ";transport=tls" // SIPS in its place is more than some servers take
	case o.mon.SIPOverTCP:
		transport, param = "TCP", ";transport=tcp"
	}
	uri := cmp.Or(o.mon.RequestURI, "sip:"+o.to.String())
	target := uri
	if o.mon.RequestURI == "" {
		target += param
	}
	// The tag and the Call-ID are made from the run by multiplication with odd numbers: unique where it is, and other text.
	dst = fmt.Appendf(dst, "OPTIONS %s SIP/2.0\r\n"+
		"Via: SIP/2.0/%s %s;branch=%s%016x;rport\r\n"+
		"Max-Forwards: %d\r\n"+
		"From: %s;tag=%016x\r\n"+
		"To: <%s>\r\n"+
		"Call-ID: %016x@%s\r\n"+
		"CSeq: 1 OPTIONS\r\n",
		target, transport, o.via, branchPrefix, o.run, o.mon.MaxForwards, o.from(), o.run*0x9e3779b97f4a7c15, uri,
		o.run*0xd1342543de82ef95, host(o.via.Addr()))
	for _, h := range [...]struct{ name, compact, value string }{
		{"Contact", "m", "<sip:carillon@" + o.via.String() + param + ">"},
		{"Accept", "Accept", "application/sdp"},
		{"User-Agent", "User-Agent", o.userAgent},
	} {
		if !hasHeader(o.mon.Headers, h.name) && !hasHeader(o.mon.Headers, h.compact) {
			dst = fmt.Appendf(dst, "%s: %s\r\n", h.name, h.value)
		}
	}
	return append(append(dst, o.mon.Headers...), "Content-Length: 0\r\n\r\n"...)
}

// from returns the value of From without its tag.
func (o *options) from() string {
	switch from := o.mon.From; {
	case from == "":
		return "<sip:carillon@" + o.via.String() + ">"
	case strings.Contains(from, "<"):
		return from
	default:
		// An addr-spec with parameters must stand in brackets, else they are taken for the header field's (RFC 3261 section 20).
		return "<" + from + ">"
	}
}

// hasHeader says whether one of the header lines has the name, whatever its case.
func hasHeader(lines, name string) bool {
	for line := range strings.SplitSeq(lines, "\r\n") {
		field, _, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(field), name) {
			return true
		}
	}
	return false
}

// host returns a as it stands in a URI or Via: IPv6 in brackets.
func host(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}
