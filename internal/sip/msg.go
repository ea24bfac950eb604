package sip

// Limits of a message. What goes beyond is a Fault of its own.
const (
	MaxMessage     = 65535 // octets (RFC 3261 18.1.1)
	MaxHeaderLines = 256   // lines of the header section, continuation lines included
	MaxVias        = 128   // Via values; Max-Forwards 70 lets a loop make 71
	MaxRoutes      = 64    // Route values
)

// Span is the octets Off to End (exclusive) of Msg.Buf. The zero Span is absent.
type Span struct{ Off, End uint32 }

// Len is the number of octets.
func (s Span) Len() int { return int(s.End - s.Off) }

// Empty reports whether the span has no octets.
func (s Span) Empty() bool { return s.End == s.Off }

// Scheme is the scheme of a URI.
type Scheme uint8

// The schemes with a meaning here. SchemeOther is any other one: a proxy answers 416 to it in a Request-URI.
const (
	SchemeOther Scheme = iota
	SchemeSIP
	SchemeSIPS
	SchemeTel
)

// URI is a URI in a message, %-escapes as they came.
type URI struct {
	Text      Span
	User      Span   // without password; the number of a tel URI
	Host      Span   // without brackets; a name or an address; SIP and SIPS only
	Params    Span   // what follows the first ';', without it
	Headers   Span   // what follows the '?', without it
	Maddr     Span   // value
	Transport Span   // value
	Port      uint16 // 0 absent
	Scheme    Scheme
	LR        bool // has an lr parameter, whatever its value
}

// Via is one Via value.
type Via struct {
	Text      Span   // the value without surrounding white space
	Line      Span   // the whole header field it stands in, continuation lines and last CRLF included
	Transport Span   // "UDP"; any token
	Host      Span   // sent-by without brackets; a name or an address
	Branch    Span   // value; absent from RFC 2543 elements
	Received  Span   // value
	Maddr     Span   // value
	Rport     Span   // value; absent when the parameter has none
	RportEnd  uint32 // offset just behind the parameter's name; valid iff HasRport
	Next      uint32 // offset of the next value of the same header field; 0 if this is its last
	Port      uint16 // of sent-by; 0 absent
	RportVal  uint16 // valid iff Rport is not empty
	HasRport  bool   // the parameter is there, with a value or without
}

// NameAddr is the value of From or To.
type NameAddr struct {
	Text Span // the value without surrounding white space
	URI  Span // without <>
	Tag  Span // value of the tag parameter; absent if there is none
}

// RouteVal is one Route value.
type RouteVal struct {
	Text Span // the value without surrounding white space
	Line Span // the whole header field it stands in, last CRLF included
	URI  URI
}

// Msg is a parsed message. The zero Msg is ready for Parse, and one Msg is used again and again.
type Msg struct {
	Buf []byte // the message, body included, without what lies behind its Content-Length (RFC 3261 18.3)

	IsRequest  bool
	Method     Method // valid iff IsRequest
	MethodText Span   // valid iff IsRequest
	URI        URI    // valid iff IsRequest
	Status     int    // 100 to 699; valid iff !IsRequest
	ReasonText Span   // valid iff !IsRequest

	StartEnd   uint32 // offset just behind the CRLF of the start line
	HeadersEnd uint32 // offset just behind the empty line; the body is Buf[HeadersEnd:]

	NVia int    // Via values in all header fields
	Via  [2]Via // the first two; Via[i] is valid iff i < NVia

	CallID         Span
	From, To       NameAddr
	CSeq           uint32
	CSeqMethod     Method
	CSeqMethodText Span

	MaxForwards      int         // -1 absent; requests only
	MaxForwardsSpan  Span        // its digits
	NRoute           int         // Route values in all header fields; requests only
	Route            [3]RouteVal // the first three; Route[i] is valid iff i < NRoute
	LastRoute        RouteVal    // valid iff NRoute > 0
	FirstRecordRoute Span        // the whole first Record-Route header field; absent if there is none
	ContentLength    int         // octets; -1 absent

	NProxyRequire int     // option tags in Proxy-Require; requests only
	ProxyRequire  [8]Span // the first eight; ProxyRequire[i] is valid iff i < NProxyRequire

	HasRetryAfter bool // responses only
	RetryAfter    int  // seconds; -1 absent or unreadable

	Err    Fault  // the first fault, as Parse returned it
	ErrPos uint32 // offset where it was noticed

}

// Bytes is the octets of s.
func (m *Msg) Bytes(s Span) []byte { return m.Buf[s.Off:s.End] }

// Body is what follows the empty line.
func (m *Msg) Body() []byte { return m.Buf[m.HeadersEnd:] }

// Parse reads the message in b, which must stay as it is as long as m is used. It forgets what m held before.
// After a fault it goes on and collects what an answer needs, where that is safe.
func (m *Msg) Parse(b []byte) Fault { *m = Msg{Buf: b}; return NoFault }

// Answerable reports whether the request can be refused with a response: it is no ACK, and its top Via says whom to
// send it to.
func (m *Msg) Answerable() bool { return m.IsRequest && m.Method != Ack }

// HeaderValue finds the first header field of that name, given in lower case, long or compact; either form in the
// message matches. The span is its whole value (a list stays a list) without surrounding white space.
func (m *Msg) HeaderValue(name string) (Span, bool) { return Span{}, false }

// ContactURI is the URI of the first Contact value, without <>.
func (m *Msg) ContactURI() (Span, bool) { return Span{}, false }

// ParseURI reads the URI in b[s.Off:s.End]; its spans are offsets into b. A scheme of no meaning here is no fault.
func ParseURI(b []byte, s Span) (URI, Fault) { return URI{}, NoFault }
