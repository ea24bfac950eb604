package sip

// Limits of a message. What goes beyond one is a Fault of its own.
const (
	MaxMessage      = 65535 // octets (RFC 3261 18.1.1)
	MaxHeaderFields = 256   // as lines, each with its continuation lines
	MaxVias         = 128   // Via values; a loop with Max-Forwards 70 makes 71
	MaxRoutes       = 64    // Route values
)

// Span is the octets Off to End (exclusive) of Msg.Buf. The zero Span is absent.
type Span struct{ Off, End uint32 }

// Len is the number of octets.
func (s Span) Len() int { return int(s.End - s.Off) }

// Empty reports whether the span has no octets.
func (s Span) Empty() bool { return s.End == s.Off }

// span makes a Span of two offsets.
func span(off, end int) Span { return Span{uint32(off), uint32(end)} }

// Msg is a parsed message. The zero Msg is ready for Parse, and one Msg is used again and again.
type Msg struct {
	Buf []byte // the message, body included, without what lies behind its Content-Length (RFC 3261 18.3)

	Err    Fault  // the first fault, as Parse returned it
	ErrPos uint32 // offset where it was noticed

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
	CSeq           uint32 // below 2**31
	CSeqMethod     Method
	CSeqMethodText Span

	MaxForwards      int         // 0 to 255; -1 absent; requests only
	MaxForwardsSpan  Span        // its digits; valid iff MaxForwards >= 0
	NRoute           int         // Route values in all header fields; requests only
	Route            [3]RouteVal // the first three; Route[i] is valid iff i < NRoute
	LastRoute        RouteVal    // valid iff NRoute > 0
	FirstRecordRoute Span        // the whole first Record-Route header field; absent if there is none
	ContentLength    int         // octets; -1 absent

	NProxyRequire int     // option tags in Proxy-Require; requests only
	ProxyRequire  [8]Span // the first eight; ProxyRequire[i] is valid iff i < NProxyRequire

	HasRetryAfter bool // responses only
	RetryAfter    int  // seconds; -1 absent or unreadable

	seen     uint32 // bit f is set when field f was there
	viaEnd   uint32 // offset behind the last Via header field; behind the start line if there is none
	lines    int    // line ends so far, without continuation lines of fields that we read
	cseqText Span   // the whole value of CSeq, sound or not
}

// Parse reads the message in b, which must stay as it is as long as m is used. It forgets what m held before. After a
// fault it goes on and collects what an answer needs, as far as it can be read.
func (m *Msg) Parse(b []byte) Fault {
	for len(b) >= 2 && b[0] == '\r' && b[1] == '\n' { // RFC 3261 7.5
		b = b[2:]
	}
	m.reset(b)
	if len(b) > MaxMessage {
		m.fail(MaxMessage, FaultTooLong)
		return m.Err
	}
	p := m.startLine()
	m.viaEnd = p
	m.headerSection(p)
	if m.NRoute > 0 {
		m.lastRoute()
	}
	m.frame()
	m.mandatory()
	return m.Err
}

// reset forgets the message before, but not what its counters say is no longer there: a message costs no more zeroing
// than it has values.
func (m *Msg) reset(b []byte) {
	m.Buf = b
	m.Err, m.ErrPos = NoFault, 0
	m.IsRequest, m.Method, m.MethodText, m.URI = false, Unknown, Span{}, URI{}
	m.Status, m.ReasonText = 0, Span{}
	m.StartEnd, m.HeadersEnd = 0, 0
	m.NVia = 0
	m.CallID, m.From, m.To = Span{}, NameAddr{}, NameAddr{}
	m.CSeq, m.CSeqMethod, m.CSeqMethodText = 0, Unknown, Span{}
	m.MaxForwards, m.MaxForwardsSpan = -1, Span{}
	m.NRoute, m.FirstRecordRoute = 0, Span{}
	m.ContentLength = -1
	m.NProxyRequire = 0
	m.HasRetryAfter, m.RetryAfter = false, -1
	m.seen, m.viaEnd, m.lines, m.cseqText = 0, 0, 1, Span{}
}

// fail keeps the first fault and where it is.
func (m *Msg) fail(p uint32, f Fault) {
	if m.Err == NoFault {
		m.Err, m.ErrPos = f, p
	}
}

// frame holds Content-Length against what came: less than it says is a fault, more is cut off (RFC 3261 18.3).
func (m *Msg) frame() {
	if m.HeadersEnd == 0 {
		m.HeadersEnd = uint32(len(m.Buf)) // a fault already: there was no empty line
		return
	}
	if m.ContentLength < 0 {
		return
	}
	end := int(m.HeadersEnd) + m.ContentLength
	if end > len(m.Buf) {
		m.fail(m.HeadersEnd, FaultContentLengthBeyond)
		return
	}
	m.Buf = m.Buf[:end]
}

// mandatory checks that the header fields are there without which there is no message (RFC 3261 8.1.1; Max-Forwards
// is not among them, RFC 2543 did not have it).
func (m *Msg) mandatory() {
	const all = 1<<fieldFrom | 1<<fieldTo | 1<<fieldCallID | 1<<fieldCSeq
	if m.NVia > 0 && m.seen&all == all {
		return
	}
	end := m.HeadersEnd
	switch {
	case m.NVia == 0:
		m.fail(end, FaultNoVia)
	case m.seen&(1<<fieldFrom) == 0:
		m.fail(end, FaultNoFrom)
	case m.seen&(1<<fieldTo) == 0:
		m.fail(end, FaultNoTo)
	case m.seen&(1<<fieldCallID) == 0:
		m.fail(end, FaultNoCallID)
	default:
		m.fail(end, FaultNoCSeq)
	}
}

// Bytes is the octets of s.
func (m *Msg) Bytes(s Span) []byte { return m.Buf[s.Off:s.End] }

// Body is what follows the empty line.
func (m *Msg) Body() []byte { return m.Buf[m.HeadersEnd:] }

// Answerable reports whether the request, sound or not, can be refused with a response: it is no ACK, and its top Via
// says whom to send to. From, To, Call-ID and CSeq may be missing (RFC 4475 3.3.1); then the response lacks them too.
func (m *Msg) Answerable() bool {
	ack := m.Method == Ack || m.Method == Unknown && m.CSeqMethod == Ack
	return m.IsRequest && !ack && m.NVia > 0 && !m.Via[0].Host.Empty()
}

// ContactURI is the URI of the first Contact value, without <>; false if there is none or it cannot be read.
func (m *Msg) ContactURI() (Span, bool) {
	v, ok := m.HeaderValue("contact")
	if !ok {
		return Span{}, false
	}
	var uri Span
	if readAddr(m.Buf[:v.End], v.Off, &uri) == bad {
		return Span{}, false
	}
	return uri, true
}
