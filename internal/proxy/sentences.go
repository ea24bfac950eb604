package proxy

// sentences say what happened, in the words of docs/reasons.md, which a test holds against them.
var sentences = [NumReasons]string{
	NewCall:              "The pool's algorithm chose a server for a Call-ID that was not known.",
	KnownCall:            "The Call-ID was known, and its server got the request.",
	KnownTransaction:     "A retransmission, a CANCEL or an ACK went where its request went.",
	RouteToken:           "A sealed token in Route named the server of the dialog.",
	NamedServer:          "Route or Request-URI named a server of the pool, within a dialog.",
	FromServer:           "A server's request was routed by its Route and Request-URI.",
	FailedOverSilence:    "A server answered nothing to retransmissions; the next one got the request.",
	FailedOverICMP:       "A server's port was unreachable; the next one got the request at once.",
	FailedOverConnection: "A server took no connection, or broke it twice; the next one got the request at once.",
	FailedOver503:        "A server said 503; the next one got the request.",
	FailedOverCode:       "A server gave a response that server_reselect names; the next one got the request.",
	SentAgain:            "We sent the request once more: it came over a stream and its datagram may be lost, or its connection broke.",
	Response:             "A response went to where its request came from.",
	Response503To500:     "One server's 503, which could not be tried elsewhere, left as 500.",
	BadMessage:           "A malformed request got 400, 505 or 513 (longer than 64,483 octets: it might not fit into a datagram with our Via); faults are counted by name.",
	UnsupportedScheme:    "The Request-URI is none of sip, tel and urn: 416.",
	SIPSNotAllowed:       "SIPS was asked for, and there is no TLS: 480 with Warning 380.",
	TooManyHops:          "Max-Forwards was used up: 483.",
	UnknownExtension:     "Proxy-Require asked for an extension: 420.",
	NoServer:             "No server of the pool may get the request: 503, or as `fail_action` says.",
	TrafficOff:           "`traffic_enabled` is false: a new call got 503.",
	NoRoute:              "A server's request leads to no address that can be sent to: 404.",
	NoTransport:          "A Route or Request-URI wants another transport, or a family that the service has no address of: 500.",
	ServerUnreachable:    "The port of the only server that could answer was unreachable: 500, or 503.",
	Unresolvable:         "A host name in a server's request has no address: 404.",
	OptionsAnswered:      "OPTIONS to the balancer itself, or with no hop left: 200.",
	STUNAnswered:         "A STUN Binding request got its response.",
	LocalRequestRefused:  "A request whose Route and Request-URI end at the balancer: 404.",
	FlowGone:             "The connection that alone leads to the client is no more: 430.",
	FlowForged:           "A token that names a connection was not made here: 403.",
	TimedOut:             "Nothing came for 64*T1 to what we sent again: an INVITE got 408, others nothing (RFC 4320).",
	KeepAlive:            "Empty lines, or nothing.",
	AckOfRefusal:         "The ACK of a response that we made ourselves.",
	Junk:                 "A datagram that is no SIP.",
	BadResponse:          "A malformed response.",
	UnanswerableRequest:  "A malformed request without a Via to answer to.",
	AckNotForwardable:    "An ACK that would have been refused; an ACK gets no answer.",
	ForeignResponse:      "The top Via is none of ours.",
	ForgedResponse:       "Our branch over another Via than it was made for.",
	LateResponse:         "A server answered a transaction that had been taken from it.",
	OwnResponse:          "There is no Via below ours.",
	BadNextHop:           "The response would go to a broadcast or multicast address, or to ourselves.",
	NotListening:         "A stranger's message at a socket that is only for servers.",
	UnreachableStray:     "ICMP for nothing that is open.",
	ResolverFull:         "Too many names were being looked up: the request was dropped, its sender will repeat it.",
	QueueFull:            "A response or an answer of ours would have been longer than a datagram can be.",
	ConnectionGone:       "The connection that a response was to go back on is no more, and no other way leads to the client.",
	Undelivered:          "No connection could be had, or it broke before the message was sent.",
}

// Sentence says in words what happened to a message that ended so.
func (r Reason) Sentence() string {
	if r < NumReasons {
		return sentences[r]
	}
	return ""
}
