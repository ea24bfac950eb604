package sip

import "bytes"

// field is a header field that a decision needs.
type field uint8

const (
	fieldOther field = iota
	fieldVia
	fieldFrom
	fieldTo
	fieldCallID
	fieldCSeq
	fieldMaxForwards
	fieldRoute
	fieldRecordRoute
	fieldContentLength
	fieldProxyRequire
	fieldRetryAfter
)

// headerSection walks over the header fields from p, which is just behind the start line, to behind the empty line.
//
// A line ends in CRLF. Some readers take a bare LF, and some a bare CR, for the end of a line, so either would show
// them a header field that we do not see: both are faults, wherever they stand in the header section. Every line here
// ends in the next LF, so as many CRs as lines, one before each LF, means that there is no other CR.
func (m *Msg) headerSection(p int) {
	b := m.Buf
	lines := 1 // the start line
	for lines <= MaxHeaderLines {
		i := bytes.IndexByte(b[p:], '\n')
		if i < 0 {
			m.fail(p, FaultNoEmptyLine)
			return
		}
		lines++
		end := p + i + 1
		if i <= 1 && (i == 0 || b[p] == '\r') {
			m.HeadersEnd = uint32(end)
			if bytes.Count(b[:end], crOctet) != lines || i == 0 {
				m.fail(end, FaultLineEnd)
			}
			return
		}
		if i == 0 || b[end-2] != '\r' {
			m.fail(end-1, FaultLineEnd)
		}
		for end < len(b) && (b[end] == ' ' || b[end] == '\t') { // continued
			i = bytes.IndexByte(b[end:], '\n')
			if i < 0 {
				m.fail(end, FaultNoEmptyLine)
				return
			}
			lines++
			end += i + 1
			if b[end-2] != '\r' {
				m.fail(end-1, FaultLineEnd)
			}
		}
		m.headerField(p, end)
		p = end
	}
	m.fail(p, FaultTooManyLines)
}

var crOctet = []byte{'\r'}

// headerField reads the header field that is b[p:end], last line end included.
func (m *Msg) headerField(p, end int) {
	b := m.Buf
	f, colon := fieldAt(b, p, end)
	if colon < 0 {
		m.nameFault(p, end)
		return
	}
	if f == fieldOther {
		return
	}
	line := span(p, end)
	v := skipLWS(b, colon+1, end)
	ve := trimLWS(b, v, end)
	switch f {
	case fieldVia:
		m.viaField(line, v, ve)
	case fieldFrom:
		if m.once(f, p, FaultDuplicateFrom) && !m.From.read(b, v, ve) {
			m.fail(v, FaultFrom)
		}
	case fieldTo:
		if m.once(f, p, FaultDuplicateTo) && !m.To.read(b, v, ve) {
			m.fail(v, FaultTo)
		}
	case fieldCallID:
		if m.once(f, p, FaultDuplicateCallID) {
			m.callIDField(v, ve)
		}
	case fieldCSeq:
		if m.once(f, p, FaultDuplicateCSeq) {
			m.cseqField(v, ve)
		}
	case fieldContentLength:
		if m.once(f, p, FaultDuplicateContentLength) {
			m.contentLengthField(v, ve)
		}
	case fieldRecordRoute:
		if m.FirstRecordRoute.Empty() {
			m.FirstRecordRoute = line
		}
	default:
		if m.IsRequest {
			m.requestField(f, line, v, ve)
		} else if f == fieldRetryAfter {
			m.retryAfterField(v, ve)
		}
	}
}

// requestField reads a header field that is looked at in requests only.
func (m *Msg) requestField(f field, line Span, v, ve int) {
	switch f {
	case fieldMaxForwards:
		if m.once(f, int(line.Off), FaultDuplicateMaxForwards) {
			m.MaxForwardsSpan = span(v, ve)
			if m.MaxForwards = number(m.Buf, v, ve, 255); m.MaxForwards < 0 { // RFC 3261 20.22
				m.fail(v, FaultMaxForwards)
			}
		}
	case fieldRoute:
		m.routeField(line, v, ve)
	case fieldProxyRequire:
		m.proxyRequireField(v, ve)
	}
}

// once notes that f was seen, and is false when it was seen before. Two Call-IDs are two calls to two readers, and it
// is no excuse that they are equal.
func (m *Msg) once(f field, p int, twice Fault) bool {
	if m.seen&(1<<f) != 0 {
		m.fail(p, twice)
		return false
	}
	m.seen |= 1 << f
	return true
}

// callIDField reads Call-ID: octets without white space, kept as they are.
func (m *Msg) callIDField(v, ve int) {
	m.CallID = span(v, ve)
	if v == ve || run(m.Buf, v, ve, isCallID) != ve {
		m.fail(v, FaultCallID)
	}
}

// cseqField reads CSeq: a number below 2**31 and the method of the start line (RFC 3261 8.1.1.5).
func (m *Msg) cseqField(v, ve int) {
	b := m.Buf
	m.cseqText = span(v, ve)
	q := v
	for q < ve && b[q]-'0' <= 9 {
		q++
	}
	n := number(b, v, q, 1<<31-1)
	method := skipLWS(b, q, ve)
	if n < 0 || method == q {
		m.fail(v, FaultCSeqNumber)
		return
	}
	if method == ve || run(b, method, ve, isToken) != ve {
		m.fail(method, FaultCSeqMethod)
		return
	}
	m.CSeq = uint32(n)
	m.CSeqMethodText = span(method, ve)
	switch {
	case !m.IsRequest:
		m.CSeqMethod = methodOf(b[method:ve])
	case bytes.Equal(b[method:ve], m.Bytes(m.MethodText)):
		m.CSeqMethod = m.Method
	default:
		m.CSeqMethod = methodOf(b[method:ve])
		m.fail(method, FaultMethodMismatch)
	}
}

// contentLengthField reads Content-Length. What it says is held against the datagram when the header section is read.
func (m *Msg) contentLengthField(v, ve int) {
	b := m.Buf
	n := number(b, v, ve, MaxMessage)
	if n < 0 {
		f := FaultContentLength
		if v < ve && run(b, v, ve, isDigit) == ve { // a number, and too large for any datagram
			f = FaultContentLengthBeyond
		}
		m.fail(v, f)
		return
	}
	m.ContentLength = n
}

// proxyRequireField keeps the option tags of a Proxy-Require (RFC 3261 20.29).
func (m *Msg) proxyRequireField(p, end int) {
	b := m.Buf
	for p < end {
		q := run(b, p, end, isToken)
		if q > p {
			if m.NProxyRequire < len(m.ProxyRequire) {
				m.ProxyRequire[m.NProxyRequire] = span(p, q)
			}
			m.NProxyRequire++
		}
		p = skipLWS(b, q, end)
		if p < end && b[p] != ',' {
			m.fail(p, FaultProxyRequire)
			return
		}
		p = skipLWS(b, p+1, end)
	}
}

// retryAfterField reads the seconds of Retry-After (RFC 3261 20.33). What we cannot read is no fault: it goes on.
func (m *Msg) retryAfterField(v, ve int) {
	m.HasRetryAfter = true
	q := run(m.Buf, v, ve, isDigit)
	m.RetryAfter = number(m.Buf, v, q, 1<<31-1)
}
