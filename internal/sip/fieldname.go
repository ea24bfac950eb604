package sip

import "bytes"

// Names as words: up to eight octets in lower case, the first in the lowest bits. Setting bit 5 of each octet makes
// letters lower case and nothing else a letter. It makes '-' of CR too, but a CR inside a name is a fault of its own
// (headerSection).
const (
	lowerCase = 0x2020202020202020

	nameVia      = 0x616976           // via
	nameFrom     = 0x6d6f7266         // from
	nameTo       = 0x6f74             // to
	nameCallID   = 0x64692d6c6c6163   // call-id
	nameCSeq     = 0x71657363         // cseq
	nameContent  = 0x2d746e65746e6f63 // content-
	nameLength   = 0x6874676e656c     // length
	nameMaxForwa = 0x77726f662d78616d // max-forw
	nameRds      = 0x73647261         // ards
	nameRoute    = 0x6574756f72       // route
	nameRecordR  = 0x722d64726f636572 // record-r
	nameOute     = 0x6574756f         // oute
	nameRetryAf  = 0x66612d7972746572 // retry-af
	nameTer      = 0x726574           // ter
	nameProxyRe  = 0x65722d79786f7270 // proxy-re
	nameQuire    = 0x6572697571       // quire

	octets2 = 1<<16 - 1
	octets3 = 1<<24 - 1
	octets4 = 1<<32 - 1
	octets5 = 1<<40 - 1
	octets6 = 1<<48 - 1
	octets7 = 1<<56 - 1
)

// fieldAt tells which header field stands at p, long or compact, and where its colon is; -1 if it has none. end is the
// end of the field. Only the names of fields that we read are compared, by words; any other needs to be a token.
func fieldAt(b []byte, p, end int) (f field, colon int) {
	w := word(b, p) | lowerCase
	n := 1
	switch byte(w) {
	case 'v':
		f = fieldVia
		if w&octets3 == nameVia {
			n = 3
		}
	case 'f':
		f = fieldFrom
		if w&octets4 == nameFrom {
			n = 4
		}
	case 't':
		f = fieldTo
		if w&octets2 == nameTo {
			n = 2
		}
	case 'i':
		f = fieldCallID
	case 'l':
		f = fieldContentLength
	case 'c', 'm', 'p', 'r':
		f, n = longName(b, p, w)
	}
	if f != fieldOther {
		if colon = p + n; b[colon] == ':' {
			return f, colon
		}
		if colon = skipBlank(b, colon, end); b[colon] == ':' {
			return f, colon
		}
	}
	colon = run(b, p, end, isToken)
	if colon == p {
		return fieldOther, -1
	}
	if colon = skipBlank(b, colon, end); b[colon] == ':' {
		return fieldOther, colon
	}
	return fieldOther, -1
}

// longName compares the names without a compact form, or with several to a letter. w is the word at p.
func longName(b []byte, p int, w uint64) (f field, n int) {
	switch {
	case w&octets4 == nameCSeq:
		return fieldCSeq, 4
	case w&octets7 == nameCallID:
		return fieldCallID, 7
	case w&octets5 == nameRoute:
		return fieldRoute, 5
	case w == nameContent && (word(b, p+8)|lowerCase)&octets6 == nameLength:
		return fieldContentLength, 14
	case w == nameMaxForwa && (word(b, p+8)|lowerCase)&octets4 == nameRds:
		return fieldMaxForwards, 12
	case w == nameRecordR && (word(b, p+8)|lowerCase)&octets4 == nameOute:
		return fieldRecordRoute, 12
	case w == nameRetryAf && (word(b, p+8)|lowerCase)&octets3 == nameTer:
		return fieldRetryAfter, 11
	case w == nameProxyRe && (word(b, p+8)|lowerCase)&octets5 == nameQuire:
		return fieldProxyRequire, 13
	}
	return fieldOther, 0
}

// skipBlank skips SP and HT before a colon, where a line may not be folded (RFC 3261 25.1, HCOLON). A field ends in LF,
// so that there is an octet to stop at.
func skipBlank(b []byte, p, end int) int {
	for p < end-1 && (b[p] == ' ' || b[p] == '\t') {
		p++
	}
	return p
}

// nameFault names what is wrong with the header field b[p:end], which has no name or no colon.
func (m *Msg) nameFault(p, end int) {
	line := m.Buf[p:end]
	switch {
	case line[0] == ' ' || line[0] == '\t': // only behind the start line; anywhere else it is a continuation
		m.fail(p, FaultFirstLineFolded)
	case bytes.IndexByte(line, ':') < 0:
		m.fail(p, FaultNoColon)
	default:
		m.fail(p, FaultHeaderName)
	}
}

// compactNames pairs long names with compact ones (RFC 3261 7.3.3 and the IANA registry).
var compactNames = [...]struct {
	long    string
	compact string
}{
	{"via", "v"}, {"from", "f"}, {"to", "t"}, {"call-id", "i"}, {"contact", "m"}, {"content-length", "l"},
	{"content-type", "c"}, {"content-encoding", "e"}, {"subject", "s"}, {"supported", "k"}, {"session-expires", "x"},
	{"event", "o"}, {"allow-events", "u"}, {"refer-to", "r"}, {"referred-by", "b"}, {"request-disposition", "d"},
	{"accept-contact", "a"}, {"reject-contact", "j"}, {"identity", "y"}, {"identity-info", "n"},
}

// HeaderValue finds the first header field of that name, given in lower case, long or compact; either form in the
// message matches. The span is its whole value (a list stays a list) without surrounding white space.
func (m *Msg) HeaderValue(name string) (Span, bool) {
	other := name
	for i := range compactNames {
		if c := &compactNames[i]; c.long == name {
			other = c.compact
		} else if c.compact == name {
			other = c.long
		}
	}
	b := m.Buf
	for p := int(m.StartEnd); ; {
		end := fieldEnd(b, p)
		if end == 0 {
			return Span{}, false
		}
		q := run(b, p, end, isToken)
		if equalFold(b[p:q], name) || equalFold(b[p:q], other) {
			if q = skipBlank(b, q, end); b[q] == ':' {
				v := skipLWS(b, q+1, end)
				return span(v, trimLWS(b, v, end)), true
			}
		}
		p = end
	}
}

// fieldEnd gives the offset behind the header field at p; 0 at the end of the header section.
func fieldEnd(b []byte, p int) int {
	for first := true; ; first = false {
		i := bytes.IndexByte(b[p:], '\n')
		if i < 0 || first && (i == 0 || i == 1 && b[p] == '\r') {
			return 0
		}
		if p += i + 1; p == len(b) || b[p] != ' ' && b[p] != '\t' {
			return p
		}
	}
}
