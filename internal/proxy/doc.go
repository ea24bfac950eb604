// Package proxy decides what happens to a SIP message: a value in, a verdict
// out. It is RFC 3261 section 16 with 16.11 as its base: no timers, no responses
// of its own but refusals, and soft state on top that routing never needs. It
// knows no sockets and no clock; the worker that calls it brings the time, and does
// what the verdict says.
//
// A request from a client is sent to a server, chosen in this order: the
// transaction is known (a retransmission, a CANCEL, an ACK) - a sealed token in
// Route names the server - its Route or Request-URI names a server of the pool -
// the Call-ID is known - the algorithm of the pool picks. A request from a server
// is routed by its Route set and Request-URI, and not balanced. A response goes
// where the Via below ours says, if ours proves that we sent the request.
package proxy
