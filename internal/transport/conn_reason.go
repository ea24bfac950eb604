package transport

import "sync/atomic"

// Reason says why a connection is no more, or was refused.
type Reason uint8

// The reasons.
const (
	NotClosed         Reason = iota
	PeerClosed               // the other side ended it
	PeerReset                // the network or the other side broke it
	Idle                     // nothing came for too long
	ReadTimeout              // a message began and did not end
	WriteTimeout             // what was to be sent could not be, for too long
	SlowPeer                 // the peer did not read and the send queue was full
	FramingLost              // nobody could tell where the next message begins
	NotTLS                   // plain octets on a port for TLS
	TLSOnPlain               // TLS on a port for plain octets
	HTTP                     // a request of HTTP
	HandshakeTimeout         // TLS was begun and not finished
	HandshakeFailed          // TLS could not be agreed on, or broke: another handshake was asked for, a record was forged
	BadCertificate           // the peer's certificate is missing, or not one to trust
	ConnectFailed            // the peer took no connection
	TooMany                  // the listener has as many as it may
	TooManyFromSource        // the source has as many as it may
	TooFast                  // more came to the service in a time than may
	TooFastFromSource        // likewise from the source
	NoServer                 // the service has no server, and fail_action closes
	NotAServer               // a stranger at a listener that is only for servers
	ListenerClosed           // we ended it
	HandedOver               // another process has it now
	NumReasons
)

var reasonNames = [NumReasons]string{"none", "peer_closed", "peer_reset", "idle", "read_timeout", "write_timeout", "slow_peer", "framing_lost",
	"not_tls", "tls_on_plain", "http", "handshake_timeout", "handshake_failed", "bad_certificate", "connect_failed",
	"too_many", "too_many_from_source", "too_fast", "too_fast_from_source", "no_server", "not_a_server", "listener_closed", "handed_over"}

// String is the reason as a metric label.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// ConnStats are the counters of the connections of a listener.
type ConnStats struct {
	Open       int64
	Accepted   uint64
	Opened     uint64             // by us
	Handshakes uint64             // TLS
	Resumed    uint64             // of these, sessions that were taken up again
	Closed     [NumReasons]uint64 // also those that were refused
	InBytes    uint64
	OutBytes   uint64
	In, Out    uint64 // messages
}

// ConnCounters count the connections of a listener, those that it accepted and those that we opened in its name.
type ConnCounters struct {
	open                                  atomic.Int64
	accepted, opened, handshakes, resumed atomic.Uint64
	closed                                [NumReasons]atomic.Uint64
	inBytes, outBytes                     atomic.Uint64
	In, Out                               atomic.Uint64 // messages; who frames them counts them
}

// Read sums up.
func (c *ConnCounters) Read() ConnStats {
	st := ConnStats{Open: c.open.Load(), Accepted: c.accepted.Load(), Opened: c.opened.Load(), Handshakes: c.handshakes.Load(), Resumed: c.resumed.Load(),
		InBytes: c.inBytes.Load(), OutBytes: c.outBytes.Load(), In: c.In.Load(), Out: c.Out.Load()}
	for i := range st.Closed {
		st.Closed[i] = c.closed[i].Load()
	}
	return st
}

// Refuse counts a connection that came to nothing.
func (c *ConnCounters) Refuse(r Reason) { c.closed[r].Add(1) }
