// Package sip reads and edits SIP messages (RFC 3261) where they lie.
//
// A message is a slice of octets. Msg.Parse walks over it once and writes down where things are: a Span is a pair of
// offsets into the buffer, and a Msg is a page of spans and numbers. Nothing is copied, nothing is allocated, nothing is
// normalised. Only what a balancer has to decide on is read at all: the start line, Via, From, To, Call-ID, CSeq,
// Max-Forwards, Route, Content-Length and a few more; every other header field is a line to step over (RFC 3261 16.3,
// item 1). What is read is read strictly, because two elements that read one message differently can be played against
// each other: a second Call-ID, a bare line feed, a Content-Length that lies are faults here, not puzzles.
//
// An Edit is a short list of splices over a parsed message: our Via in, received and rport, one hop less, our
// Record-Route, our Route out. Apply writes the message with its splices in one pass of copies, so whatever we need not
// change leaves byte for byte as it came, folding, odd spacing and compact names included.
//
// AppendReply answers a request without keeping anything of it (RFC 3261 8.2.6).
//
// No function of this package panics on any input, and none on the message path allocates; tests and fuzz targets
// hold that. A Msg, an Edit and a Reply belong to one goroutine at a time and hold no references but the buffers given
// to them.
package sip
