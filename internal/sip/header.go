package sip

import "bytes"

// field is a header field that a decision needs.
type field uint8

const (
	fieldNone  field = iota // no header field: no name, or no colon
	fieldOther              // goes on unread (RFC 3261 16.3, item 1)
	fieldVia
	fieldFrom
	fieldTo
	fieldCallID
	fieldCSeq
	fieldContentLength
	fieldRecordRoute
	fieldRetryAfter  // read in responses
	fieldMaxForwards // this one and those behind it are read in requests
	fieldRoute
	fieldProxyRequire
	numFields
)

// onlyOnce are the fields of which there is one. Two Call-IDs are two calls to two readers, and it is no excuse that
// they are equal (RFC 4475 3.3.8).
const onlyOnce = 1<<fieldFrom | 1<<fieldTo | 1<<fieldCallID | 1<<fieldCSeq | 1<<fieldContentLength |
	1<<fieldMaxForwards

// fieldFaults is what to call a field that is broken, or there twice.
var fieldFaults = [numFields]struct{ broken, twice Fault }{
	fieldFrom:          {FaultFrom, FaultDuplicateFrom},
	fieldTo:            {FaultTo, FaultDuplicateTo},
	fieldCallID:        {FaultCallID, FaultDuplicateCallID},
	fieldCSeq:          {FaultCSeqNumber, FaultDuplicateCSeq},
	fieldContentLength: {FaultContentLength, FaultDuplicateContentLength},
	fieldMaxForwards:   {FaultMaxForwards, FaultDuplicateMaxForwards},
	fieldRoute:         {broken: FaultRoute},
	fieldProxyRequire:  {broken: FaultProxyRequire},
}

// headerSection walks over the header fields from p, which is just behind the start line, to behind the empty line.
//
// A line ends in CRLF. Some readers take a bare LF, and some a bare CR, for the end of a line, so either would show
// them a header field that we do not see: both are faults, wherever they stand in the header section. No reader here
// steps over an LF that no CR precedes, and so a bare CR shows in the count.
func (m *Msg) headerSection(p uint32) {
	b := m.Buf
	for range MaxHeaderFields {
		w := word(b, p)
		if nameIndex[nameHash(w)] != 0 {
			if f, v := fieldAt(b, p, w); f != fieldNone {
				p = m.headerField(f, p, v)
				continue
			}
		}
		// Nearly all other names are letters and dashes, nearly all other fields one line.
		n := nameLen(w)
		for k := uint32(8); n == k; k += 8 {
			n += nameLen(word(b, p+k))
		}
		if n == 0 || at(b, p+n) != ':' {
			if p = m.oddField(p); p == bad {
				return
			}
			continue
		}
		line := b[p:]
		if i := bytes.IndexByte(line, '\n'); i > 0 && i+1 < len(line) && line[i-1] == '\r' && line[i+1] > ' ' {
			m.lines++
			p += uint32(i) + 1
			continue
		}
		p = m.skipField(p)
	}
	m.fail(p, FaultTooManyFields)
}

// oddField reads what stands at p when it is no header field at first sight: the end of the header section, where it
// returns bad, or one whose name takes a closer look. It gives the offset behind it.
func (m *Msg) oddField(p uint32) (next uint32) {
	b := m.Buf
	switch {
	case lineEnd(b, p) || at(b, p) == '\n' || p == uint32(len(b)):
		m.endOfHeader(p)
		return bad
	case afterName(b, p) == bad:
		return m.badName(p)
	}
	return m.skipField(p)
}

var crOctet, lfOctet = []byte{'\r'}, []byte{'\n'}

// endOfHeader reads the empty line at p and counts the CRs before it.
func (m *Msg) endOfHeader(p uint32) {
	b := m.Buf
	switch at(b, p) {
	case '\r':
		m.HeadersEnd = p + 2
		crs := bytes.Count(b[:p], crOctet)
		if crs == m.lines || crs == bytes.Count(b[:p], lfOctet) { // m.lines lacks the folds of what we read
			return
		}
		m.fail(p, FaultLineEnd)
	case '\n':
		m.HeadersEnd = p + 1
		m.fail(p, FaultLineEnd)
	default:
		m.fail(p, FaultNoEmptyLine)
	}
}

// skipField gives the offset behind the rest of the header field that p is in, continuation lines included. It looks at
// nothing but line ends.
func (m *Msg) skipField(p uint32) (next uint32) {
	b := m.Buf
	for {
		i := bytes.IndexByte(b[p:], '\n')
		if i < 0 {
			m.fail(p, FaultNoEmptyLine)
			return uint32(len(b))
		}
		p += uint32(i)
		if at(b, p-1) != '\r' {
			m.fail(p, FaultLineEnd)
		}
		p++
		m.lines++
		if c := at(b, p); c > ' ' || !blank(c) {
			return p
		}
	}
}

// headerField reads field f, which begins at p and has its value at v, and gives the offset behind it.
func (m *Msg) headerField(f field, p, v uint32) (next uint32) {
	if f >= fieldMaxForwards && !m.IsRequest {
		return m.skipField(p)
	}
	if m.seen&(1<<(f&31))&onlyOnce != 0 {
		next = m.skipField(p)
		m.fail(p, fieldFaults[f].twice)
		return next
	}
	m.seen |= 1 << (f & 31)
	b := m.Buf
	end := uint32(bad) // of the value, if it is sound
	switch f {
	case fieldVia:
		return m.readVias(p, v)
	case fieldFrom:
		end = m.From.read(b, v)
	case fieldTo:
		end = m.To.read(b, v)
	case fieldCallID:
		end = m.readCallID(v)
	case fieldCSeq:
		end = m.readCSeq(v)
	case fieldContentLength:
		end = m.readContentLength(v)
	case fieldMaxForwards:
		end = m.readMaxForwards(v)
	case fieldRoute:
		end = m.readRoutes(p, v)
	case fieldProxyRequire:
		end = m.readProxyRequire(v)
	case fieldRecordRoute:
		next = m.skipField(p)
		if m.FirstRecordRoute.Empty() {
			m.FirstRecordRoute = Span{p, next}
		}
		return next
	case fieldRetryAfter:
		m.readRetryAfter(v)
		return m.skipField(p)
	}
	if fieldEnds(b, end) {
		m.lines++
		return end + 2
	}
	if end = skipLWS(b, end); fieldEnds(b, end) {
		m.lines++
		return end + 2
	}
	return m.brokenField(f, v)
}

// brokenField goes on behind a field that is broken, and keeps its value as it is for what an answer echoes.
func (m *Msg) brokenField(f field, v uint32) (next uint32) {
	next = m.skipField(v)
	m.fail(v, fieldFaults[f].broken)
	value := Span{v, trimLWS(m.Buf, v, next)}
	switch f {
	case fieldFrom:
		m.From.Text = value
	case fieldTo:
		m.To.Text = value
	case fieldCallID:
		m.CallID = value
	case fieldCSeq:
		m.cseqText = value
	}
	return next
}

// badName goes on behind a line that is no header field.
func (m *Msg) badName(p uint32) (next uint32) {
	next = m.skipField(p)
	line := m.Buf[p:next]
	switch {
	case blank(line[0]): // only behind the start line; anywhere else it is a continuation
		m.fail(p, FaultFirstLineFolded)
	case bytes.IndexByte(line, ':') < 0:
		m.fail(p, FaultNoColon)
	default:
		m.fail(p, FaultHeaderName)
	}
	return next
}

// The readers below get the offset of a value and give the offset behind it, bad if the value is broken.

// readCallID reads Call-ID: octets without white space, kept as they are.
func (m *Msg) readCallID(v uint32) uint32 {
	end := runPlain(m.Buf, v, isCallID)
	if end == v {
		return bad
	}
	m.CallID = Span{v, end}
	return end
}

// readCSeq reads CSeq: a number below 2**31 and, in a request, the method of its start line (RFC 3261 8.1.1.5).
func (m *Msg) readCSeq(v uint32) uint32 {
	b := m.Buf
	n, end := number(b, v, 1<<31-1)
	method := skipLWS(b, end)
	if n < 0 || method == end {
		return bad
	}
	if end = runName(b, method, isToken); end == method {
		m.fail(method, FaultCSeqMethod)
		return bad
	}
	m.CSeq = uint32(n)
	m.CSeqMethodText = Span{method, end}
	m.cseqText = Span{v, end}
	if m.IsRequest && string(b[method:end]) == string(m.Bytes(m.MethodText)) {
		m.CSeqMethod = m.Method
	} else {
		m.CSeqMethod = methodOf(b[method:end])
		if m.IsRequest {
			m.fail(method, FaultMethodMismatch)
		}
	}
	return end
}

// readContentLength reads Content-Length. It is held against the datagram when the header section is read.
func (m *Msg) readContentLength(v uint32) uint32 {
	n, end := number(m.Buf, v, MaxMessage)
	if n < 0 {
		if end > v { // a number, but larger than any datagram
			m.fail(v, FaultContentLengthBeyond)
		}
		return bad
	}
	m.ContentLength = n
	return end
}

// readMaxForwards reads Max-Forwards, 0 to 255 (RFC 3261 20.22).
func (m *Msg) readMaxForwards(v uint32) uint32 {
	n, end := number(m.Buf, v, 255)
	if n < 0 {
		return bad
	}
	m.MaxForwards = n
	m.MaxForwardsSpan = Span{v, end}
	return end
}

// readProxyRequire reads the option tags of a Proxy-Require (RFC 3261 20.29).
func (m *Msg) readProxyRequire(p uint32) uint32 {
	b := m.Buf
	for {
		end := run(b, p, isToken)
		if end == p {
			return bad
		}
		if m.NProxyRequire < len(m.ProxyRequire) {
			m.ProxyRequire[m.NProxyRequire] = Span{p, end}
		}
		m.NProxyRequire++
		if p = skipLWS(b, end); at(b, p) != ',' {
			return p
		}
		p = skipLWS(b, p+1)
	}
}

// readRetryAfter reads the seconds of Retry-After (RFC 3261 20.33). What we cannot read is no fault: it goes on.
func (m *Msg) readRetryAfter(v uint32) {
	m.HasRetryAfter = true
	m.RetryAfter, _ = number(m.Buf, v, 1<<31-1)
}
