package sip

import "bytes"

// lowerCase, or-ed to a word of a name, makes its letters lower case and nothing else a letter. It makes '-' of CR too,
// but a CR inside a name is a fault of its own (headerSection).
const lowerCase = 0x20 * ones

// fieldName is a name of a header field that we read, as the words it is compared by.
type fieldName struct {
	word, mask   uint64 // its first eight octets in lower case, and which octets of the word they are
	word2, mask2 uint64 // what follows them
	n            uint32 // octets
	f            field
	other        uint8 // another name that begins alike; 0 if there is none
}

// fieldNames are the names that we read, from index 1 on; nameIndex finds them by their first two octets. A compact name
// has its colon there, or white space.
var fieldNames, nameIndex = buildNames()

func buildNames() (names [32]fieldName, index [1024]uint8) {
	for i, name := range []struct {
		text string
		f    field
	}{
		{"v", fieldVia}, {"f", fieldFrom}, {"t", fieldTo}, {"i", fieldCallID}, {"l", fieldContentLength},
		{"via", fieldVia}, {"from", fieldFrom}, {"to", fieldTo}, {"call-id", fieldCallID}, {"cseq", fieldCSeq},
		{"content-length", fieldContentLength}, {"route", fieldRoute}, {"record-route", fieldRecordRoute},
		{"retry-after", fieldRetryAfter}, {"max-forwards", fieldMaxForwards}, {"proxy-require", fieldProxyRequire},
	} {
		e := &names[i+1]
		e.f, e.n = name.f, uint32(len(name.text))
		e.word, e.word2 = word([]byte(name.text), 0), word([]byte(name.text), 8)
		e.mask = ^uint64(0) >> (64 - 8*min(e.n, 8))
		e.mask2 = ^uint64(0) >> (64 - 8*(max(e.n, 8)-8))
		begins := []string{name.text}
		if e.n == 1 {
			begins = []string{name.text + ":", name.text + " ", name.text + "\t"}
		}
		for _, begin := range begins {
			at := &index[nameHash(word([]byte(begin), 0))]
			if e.n > 1 { // compact names come first in the list, so none of them has another
				e.other = *at
			}
			*at = uint8(i + 1)
		}
	}
	return names, index
}

// nameHash is where nameIndex has the names that begin as w does.
func nameHash(w uint64) uint64 { return w&31<<5 | w>>8&31 }

// fieldAt tells which of the header fields that we read stands at p, where the word w is, and gives the offset of its
// value; fieldNone if it is none of them.
func fieldAt(b []byte, p uint32, w uint64) (f field, v uint32) {
	for i := nameIndex[nameHash(w)]; i != 0; {
		e := &fieldNames[i%uint8(len(fieldNames))]
		i = e.other
		if (w|lowerCase)&e.mask != e.word || e.n > 8 && (word(b, p+8)|lowerCase)&e.mask2 != e.word2 {
			continue
		}
		v = p + e.n
		for blank(at(b, v)) { // but no fold: RFC 3261 25.1, HCOLON
			v++
		}
		if at(b, v) == ':' {
			if v++; at(b, v) == ' ' {
				v++
			}
			return e.f, skipLWS(b, v)
		}
	}
	return fieldNone, p
}

// afterName gives the offset behind the name and colon of the header field at p, bad if it has none.
func afterName(b []byte, p uint32) uint32 {
	v := run(b, p, isToken)
	if v == p {
		return bad
	}
	for blank(at(b, v)) {
		v++
	}
	if at(b, v) != ':' {
		return bad
	}
	return v + 1
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
	for p := m.StartEnd; ; {
		end := fieldEnd(b, p)
		if end == bad {
			return Span{}, false
		}
		have := b[p:run(b, p, isToken)]
		if equalFold(have, name) || equalFold(have, other) {
			if v := afterName(b, p); v != bad {
				v = skipLWS(b, v)
				return Span{v, trimLWS(b, v, end)}, true
			}
		}
		p = end
	}
}

// fieldEnd gives the offset behind the header field at p, whatever it is; bad at the end of the header section.
func fieldEnd(b []byte, p uint32) uint32 {
	if lineEnd(b, p) || at(b, p) == '\n' {
		return bad
	}
	for {
		i := bytes.IndexByte(b[p:], '\n')
		if i < 0 {
			return bad
		}
		if p += uint32(i) + 1; !blank(at(b, p)) {
			return p
		}
	}
}
