package sip

import "bytes"

// FrameKind is what stands next on a stream.
type FrameKind uint8

// The kinds.
const (
	FrameMore    FrameKind = iota // nothing whole yet
	FrameMessage                  // a message: Parse reads it
	FramePing                     // CRLFCRLF between messages, which wants one CRLF (RFC 5626 3.5.1)
	FrameEmpty                    // one CRLF between messages: an answer to a ping, or an empty line (RFC 3261 7.5)
	FrameLost                     // nobody can tell where the next message begins: see Fault
)

// Frame is what stands next on a stream.
type Frame struct {
	Kind FrameKind
	// Len is how many octets it takes. Of a stream that is lost it is what can be read of the message that is to blame:
	// its header section, or 0 if that is not there.
	Len   int
	Fault Fault // valid iff Kind is FrameLost
}

// Framer finds the messages in a stream (RFC 3261 18.3, 20.14). It remembers how far it has looked, so a stream that
// comes octet by octet costs no more than one that comes at once. The zero Framer stands between two messages.
type Framer struct {
	Max    int  // longest message, in octets; 0: MaxMessage
	NoBody bool // a message without Content-Length has no body, against RFC 3261 20.14
	looked int  // octets from the start of the message on that hold no end of the header section
	whole  int  // length of the message; 0: not known yet
	begun  bool // the start line has come and may be SIP's
}

func (f *Framer) reset() { *f = Framer{Max: f.Max, NoBody: f.NoBody} }

func (f *Framer) most() int {
	if f.Max == 0 {
		return MaxMessage
	}
	return f.Max
}

// Pending reports whether b, in which Next has found nothing whole, is the beginning of a message: CRLFs are not.
func (f *Framer) Pending(b []byte) bool { return f.looked > 0 || len(b) > 0 && b[0] != '\r' }

// Next looks at b, which begins where the frame before has ended. After FrameMore it wants the same octets again, with
// more behind them. What it says does not depend on where the stream was cut.
func (f *Framer) Next(b []byte) Frame {
	if f.whole == 0 {
		if frame, begun := f.between(b); !begun {
			return frame
		}
		head, fault := f.header(b)
		if fault != NoFault {
			f.reset()
			return Frame{FrameLost, head, fault}
		}
		if head == 0 {
			return Frame{}
		}
		n, fault := frameLength(b[:head])
		if fault == FaultNoContentLength && f.NoBody {
			n, fault = 0, NoFault
		}
		if fault == NoFault && head+n > f.most() {
			fault = FaultTooLong
		}
		if fault != NoFault {
			f.reset()
			return Frame{FrameLost, head, fault}
		}
		f.whole = head + n
	}
	if len(b) < f.whole {
		return Frame{}
	}
	n := f.whole
	f.reset()
	return Frame{Kind: FrameMessage, Len: n}
}

// between tells what stands between two messages; begun says that one has begun.
func (f *Framer) between(b []byte) (frame Frame, begun bool) {
	switch {
	case f.looked > 0:
		return Frame{}, true
	case len(b) == 0:
		return Frame{}, false
	case b[0] == '\r':
		const ping = "\r\n\r\n"
		n := 0
		for n < len(b) && n < len(ping) && b[n] == ping[n] {
			n++
		}
		switch {
		case n == len(ping):
			return Frame{Kind: FramePing, Len: n}, false
		case n == len(b):
			return Frame{}, false
		case n >= 2 && b[n] != '\r' && (n == 2 || b[n-1] != '\r'):
			return Frame{Kind: FrameEmpty, Len: 2}, false
		}
		return Frame{Kind: FrameLost, Fault: FaultLineEnd}, false
	case classOf[b[0]]&isToken == 0: // no start line begins so: TLS, or what is left of a body
		return Frame{Kind: FrameLost, Fault: FaultStartLine}, false
	}
	return Frame{}, true
}

// header gives the length of the header section with its empty line, 0 if that has not come yet.
func (f *Framer) header(b []byte) (int, Fault) {
	limited := b[:min(len(b), f.most())]
	for {
		i := bytes.IndexByte(limited[f.looked:], '\n')
		if i < 0 {
			break
		}
		i += f.looked
		if i+1 >= len(limited) {
			break
		}
		switch limited[i+1] {
		case '\n':
			return i + 2, FaultLineEnd // some end the header section here, and some don't
		case '\r':
			if i+2 >= len(limited) {
				f.looked = max(i, 1)
				return f.unended(b)
			}
			if limited[i+2] == '\n' {
				return i + 3, NoFault
			}
		}
		if f.looked = i + 1; !f.begun {
			if IsHTTP(bytes.TrimSuffix(limited[:i], crOctet)) { // told at once, and not when its Content-Length is missing
				return 0, FaultStartLine
			}
			f.begun = true
		}
	}
	if i := bytes.LastIndexByte(limited, '\n'); i == len(limited)-1 {
		f.looked = max(i, 1) // the octet behind it tells
	} else {
		f.looked = len(limited)
	}
	return f.unended(b)
}

// unended says what to make of a header section whose end has not come.
func (f *Framer) unended(b []byte) (int, Fault) {
	if len(b) >= f.most() {
		return 0, FaultTooLong
	}
	return 0, NoFault
}

// IsHTTP reports whether a line without its end is a request line of HTTP.
func IsHTTP(line []byte) bool {
	i := bytes.LastIndexByte(line, ' ')
	return i >= 0 && bytes.HasPrefix(line[i+1:], []byte("HTTP/"))
}

// frameLength reads the one Content-Length of a header section.
func frameLength(b []byte) (n int, fault Fault) {
	n = -1
	p := uint32(bytes.IndexByte(b, '\n') + 1)
	for {
		w := word(b, p)
		if nameIndex[nameHash(w)] != 0 {
			if f, v := fieldAt(b, p, w); f == fieldContentLength {
				if n >= 0 {
					return 0, FaultDuplicateContentLength
				}
				if n, fault = contentLength(b, v); fault != NoFault {
					return 0, fault
				}
			}
		}
		if p = fieldEnd(b, p); p == bad {
			break
		}
	}
	if n < 0 {
		return 0, FaultNoContentLength
	}
	return n, NoFault
}

func contentLength(b []byte, v uint32) (int, Fault) {
	n, end := number(b, v, MaxMessage)
	if n < 0 && end > v {
		return 0, FaultTooLong
	}
	if n < 0 || !fieldEnds(b, skipLWS(b, end)) {
		return 0, FaultContentLength
	}
	return n, NoFault
}
