package proxy

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Action is what the worker is to do.
type Action uint8

// The actions.
const (
	Drop    Action = iota // nothing; count the Reason
	Forward               // write the edited message and send it to Verdict.To
	Answer                // write a response of our own and send it to Verdict.To
	Resend                // ask Proxy.Again for the stored request, to go to another server
	Resolve               // look up the host name in Verdict.Host, then decide again
)

var actionNames = [...]string{Drop: "drop", Forward: "forward", Answer: "answer", Resend: "resend", Resolve: "resolve"}

// String is the action as a word of reports.
func (a Action) String() string { return actionNames[a] }

// Verdict is a decision about one message.
type Verdict struct {
	Action Action
	Reason Reason
	Status int            // of an Answer; of a forwarded response
	To     netip.AddrPort // where it goes; valid iff Forward or Answer, the zero value if only Flow leads there
	Face   *snapshot.Face // from where, and by which transport; valid iff Forward or Answer
	// Flow is the connection that it goes on. 0: none, and for a stream one to To is found or opened. If it is gone, a
	// response goes to To, and a request is decided about again, with Input.Gone.
	Flow uint64
	// Pin is the key of the transaction of a request that goes to Server, for Broken.
	Pin   uint64
	Order uint64 // hash of the Call-ID: messages of one leave in the order they came

	// Server is the one that the request goes to, or that the message came from; nil if there is none.
	Server *snapshot.Server
	// Suspect is a server that did not answer, or could not be reached: its monitors should look at once. Mostly nil.
	Suspect *snapshot.Server
	// BackoffS is for how many seconds Server asked to be left alone (503 with Retry-After, RFC 3261 21.5.4); 0 mostly.
	BackoffS int
	// LatencyUS is the time from the request to this final response, in µs; valid iff Final.
	LatencyUS uint64
	Hangup    bool          // the connection that it came on is to be closed after the answer
	Final     bool          // the message is the final response of a transaction that was open
	Host      []byte        // that Resolve is about; Status is its port
	Lookup    sip.Transport // for which it is to be looked up
	Method    sip.Method    // of the stored request that Again has decided about
	resend    *resend       // of the Proxy that decided; valid iff Resend
}

// Reason names an exit of the message path. Each has a counter and a line in docs/reasons.md.
type Reason uint8

// The reasons.
const (
	ReasonNone Reason = iota

	// requests forwarded
	NewCall          // the algorithm of the pool picked a server
	KnownCall        // the Call-ID was known
	KnownTransaction // a retransmission, a CANCEL or an ACK went where its request went
	RouteToken       // a sealed token in Route named the server
	NamedServer      // Route or Request-URI named a server of the pool
	FromServer       // a server's request was routed outward
	FailedOverSilence
	FailedOverICMP
	FailedOverConnection // none could be had, or it broke
	FailedOver503
	FailedOverCode // server_reselect: another final response
	SentAgain      // by us, since its client does not, or since the connection broke

	// responses forwarded
	Response
	Response503To500 // one server's 503 does not speak for the service

	// refused
	BadMessage          // 400, 505 or 513: see the faults
	UnsupportedScheme   // 416
	SIPSNotAllowed      // 480
	TooManyHops         // 483
	UnknownExtension    // 420
	NoServer            // 503
	TrafficOff          // 503
	NoRoute             // 404
	NoTransport         // 500: Route or Request-URI wants a transport, or an address family, that we do not speak
	ServerUnreachable   // 500 or 503
	Unresolvable        // 404: a host name without an address
	OptionsAnswered     // 200
	STUNAnswered        // a Binding response
	LocalRequestRefused // 404: addressed to the balancer itself, which is no user agent
	FlowGone            // 430: the connection that alone leads to the client is no more
	FlowForged          // 403: a token that was not made here
	TimedOut            // 408: nothing came for 64*T1, and it was us who sent it again

	// dropped
	KeepAlive
	AckOfRefusal // the ACK of a response that we made ourselves
	Junk
	BadResponse
	UnanswerableRequest // malformed, and nobody to tell
	AckNotForwardable
	ForeignResponse  // not ours: no branch that we sealed
	ForgedResponse   // our branch over another Via
	LateResponse     // of a server whose transaction was moved
	OwnResponse      // no Via below ours
	BadNextHop       // broadcast, multicast, unspecified, or ourselves
	NotListening     // a request from a stranger at a socket that is only for servers
	UnreachableStray // ICMP for nothing that is open
	ResolverFull     // too many host names are being looked up
	QueueFull
	ConnectionGone // a response whose connection is no more, and nothing leads to the client but that
	Undelivered    // no connection could be had, or it broke before the message was sent
	NumReasons
)

var reasonText = [NumReasons]string{
	ReasonNone:           "none",
	NewCall:              "new_call",
	KnownCall:            "known_call",
	KnownTransaction:     "known_transaction",
	RouteToken:           "route_token",
	NamedServer:          "named_server",
	FromServer:           "from_server",
	FailedOverSilence:    "failed_over_silence",
	FailedOverICMP:       "failed_over_icmp",
	FailedOverConnection: "failed_over_connection",
	FailedOver503:        "failed_over_503",
	FailedOverCode:       "failed_over_code",
	SentAgain:            "sent_again",
	Response:             "response",
	Response503To500:     "response_503_to_500",
	BadMessage:           "bad_message",
	UnsupportedScheme:    "unsupported_scheme",
	SIPSNotAllowed:       "sips_not_allowed",
	TooManyHops:          "too_many_hops",
	UnknownExtension:     "unknown_extension",
	NoServer:             "no_server",
	TrafficOff:           "traffic_off",
	NoRoute:              "no_route",
	NoTransport:          "no_transport",
	ServerUnreachable:    "server_unreachable",
	Unresolvable:         "unresolvable",
	OptionsAnswered:      "options_answered",
	STUNAnswered:         "stun_answered",
	LocalRequestRefused:  "local_request_refused",
	FlowGone:             "flow_gone",
	FlowForged:           "flow_forged",
	TimedOut:             "timed_out",
	KeepAlive:            "keep_alive",
	AckOfRefusal:         "ack_of_refusal",
	Junk:                 "junk",
	BadResponse:          "bad_response",
	UnanswerableRequest:  "unanswerable_request",
	AckNotForwardable:    "ack_not_forwardable",
	ForeignResponse:      "foreign_response",
	ForgedResponse:       "forged_response",
	LateResponse:         "late_response",
	OwnResponse:          "own_response",
	BadNextHop:           "bad_next_hop",
	NotListening:         "not_listening",
	UnreachableStray:     "unreachable_stray",
	ResolverFull:         "resolver_full",
	QueueFull:            "queue_full",
	ConnectionGone:       "connection_gone",
	Undelivered:          "undelivered",
}

// String is the word of the reason, as counters and logs have it.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonText[r]
	}
	return "unknown"
}

// Dropped reports whether the reason is one for which a message came to nothing.
func (r Reason) Dropped() bool { return r >= KeepAlive && r < NumReasons }

// Refused reports whether the reason is one for which a request was answered by us.
func (r Reason) Refused() bool { return r >= BadMessage && r < KeepAlive }
