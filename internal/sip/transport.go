package sip

// Transport is what a message travels on.
type Transport uint8

// The transports. The zero Transport is UDP.
const (
	UDP Transport = iota
	TCP
	TLS // over TCP
	NumTransports
)

var transportNames = [NumTransports]string{"UDP", "TCP", "TLS"}

// String is the name as Via has it.
func (t Transport) String() string {
	if t < NumTransports {
		return transportNames[t]
	}
	return "?"
}

// Stream reports whether messages are framed by Content-Length, and have a connection.
func (t Transport) Stream() bool { return t != UDP }

// DefaultPort is the port of a host that gives none: RFC 3261 18.2.2, 19.1.2.
func (t Transport) DefaultPort() uint16 {
	if t == TLS {
		return 5061
	}
	return 5060
}

// TransportNamed reads the name of a transport, in any case.
func TransportNamed(b []byte) (Transport, bool) {
	for t, name := range [NumTransports]string{"udp", "tcp", "tls"} {
		if equalFold(b, name) {
			return Transport(t), true
		}
	}
	return UDP, false
}

// URITransport is the transport that a URI names by its scheme and transport parameter; named is false if it names none.
// ok is false for one that is not spoken here. SIPS is TLS, and with "tcp" still (RFC 3261 19.1.2, RFC 5630 3.1.4).
func (m *Msg) URITransport(u *URI) (t Transport, named, ok bool) {
	if !u.Transport.Empty() {
		named = true
		if t, ok = TransportNamed(m.Bytes(u.Transport)); !ok {
			return t, true, false
		}
	}
	if u.Scheme == SchemeSIPS {
		return TLS, true, !named || t != UDP
	}
	return t, named, true
}
