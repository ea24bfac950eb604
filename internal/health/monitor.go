package health

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/carillon-sip/carillon/internal/identity"
)

// Type is the kind of a monitor.
type Type uint8

const (
	// SIP sends OPTIONS and judges the final response.
	SIP Type = iota
	// Ping sends an ICMP echo request.
	Ping
	// UDP sends a datagram and judges what comes back, or only that no ICMP port unreachable does.
	UDP
	// TCP connects, and sends and reads something if told to.
	TCP
)

var typeWords = [...]string{SIP: "HEALTH_MONITOR_SIP", Ping: "HEALTH_MONITOR_PING", UDP: "HEALTH_MONITOR_UDP", TCP: "HEALTH_MONITOR_TCP"}

// String returns Avi's word of t.
func (t Type) String() string {
	if int(t) < len(typeWords) {
		return typeWords[t]
	}
	return fmt.Sprintf("TYPE_%d", uint8(t))
}

// MarshalText writes the word of t.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Monitor is a HealthMonitor made ready for probing. Two equal Monitors (==) probe alike, so comparing tells whether one has changed.
type Monitor struct {
	Name              string        // unique within a target; part of the key under which health persists
	Type              Type          //
	Interval          time.Duration // send_interval: from the start of one check to the start of the next, before jitter
	Timeout           time.Duration // receive_timeout: from the start of a check
	Rise, Fall        int           // successful_checks, failed_checks: in a row, at least 1
	Port              uint16        // monitor_port; 0 = the server's own
	DisableQuickstart bool          // the first checks come at Interval like all others
	JitterPercent     int           // each interval is drawn evenly from Interval ± this share, 0 to 50

	Request, Response, Maintenance string // UDP and TCP: what to send, and the texts to look for in the answer; "" = none

	SIPOverTCP  bool          // SIP: sip_monitor_transport is SIP_TCP_PROTO or SIP_TLS_PROTO
	TLS         *identity.TLS // SIP over TCP: what TLS is spoken with; nil: in plain
	ServerName  string        // with TLS: that certificates must have; "" = that of the target
	SIPResponse string        // SIP: text that the first 2 KB of the final response must hold; "" = none
	RequestURI  string        // SIP: "" = sip:<address>:<port> of what is probed
	From        string        // SIP: name-addr or addr-spec without tag; "" = <sip:carillon@<local address>>
	Headers     string        // SIP: whole header lines, each with its CRLF
	MaxForwards int           // SIP: 0 to 255
	Codes       CodeSet       // SIP: the final status codes that pass
}

// CodeSet is a set of SIP status codes 100 to 699.
type CodeSet [11]uint64

// Has says whether the status code is in s.
func (s *CodeSet) Has(status int) bool {
	return status >= 0 && status < 64*len(s) && s[status/64]&(1<<(status%64)) != 0
}

// Add puts the status codes from first to last into s; those outside 100 to 699 are left out.
func (s *CodeSet) Add(first, last int) {
	for c := max(first, 100); c <= min(last, 699); c++ {
		s[c/64] |= 1 << (c % 64)
	}
}

// DefaultCodes returns the codes that pass unless sip_response_codes says otherwise: every final response but 408 and 503.
// A 401, 404, 405 or 483 comes from a server that is alive and answers calls; a 503 says itself that it does not (RFC 3261
// section 21.5.4), a 408 comes from a proxy that could not reach what it stands for.
func DefaultCodes() CodeSet {
	var s CodeSet
	s.Add(200, 699)
	for _, c := range []int{408, 503} {
		s[c/64] &^= 1 << (c % 64)
	}
	return s
}

// Target is one server of one pool and what watches it. Pool and Server are the key under which health persists.
type Target struct {
	Pool     string         // the pool's uuid or name: any text that stays the same while the pool is the same
	Server   netip.AddrPort // address and port of the server; no zone, not IPv4-mapped
	Monitors []Monitor      // none: the server is up. Shared and kept by Apply: not to be changed afterwards
	MinUp    int            // min_health_monitors_up; 0 = all must pass
	Local    netip.AddrPort // address of the service, from which probes leave; zero or unspecified: the kernel chooses
	Name     string         // that its certificate must have where TLS is spoken; "" = its address alone
	Paused   bool           // pool or server disabled: no probes, health stays as it is
}
