package sip

import (
	"encoding/binary"
	"math/bits"
)

// How the readers work: a reader gets the whole buffer and an offset, and goes on until something stands there that is
// not its own. No class of octets below has a line end, and skipLWS steps over a line end only where the line is
// continued; so no reader leaves its header field, and nobody has to look for the field's end before it is read.

// Classes of octets, as bits of classOf. The grammars of RFC 3261 25.1 are widened where the wild is wider and no two
// readers can disagree about it: what separates (white space, comma, semicolon, quotes, angle brackets) never is.
const (
	isToken    = 1 << iota // token
	isHost                 // hostname, IPv4 address; with "_", which is in use
	isV6                   // inside of an IPv6 reference
	isDigit                // decimal digit
	isValue                // parameter value without quotes: token, IPv6 address, and what base64 and URIs need
	isURI                  // any octet of a URI
	isUser                 // userinfo of a URI
	isUserOnly             // user of a URI, without password
	isPName                // name of a URI parameter
	isPValue               // value of a URI parameter, or a header part
	isCallID               // word and "@"
	isDisplay              // display name without quotes, white space included, or addr-spec up to its parameters
	isQuoted               // inside of a quoted string, all but '"', '\' and line ends
)

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	tokens  = letters + digits + "-.!%*_+`'~"
)

var classOf = buildClasses()

func buildClasses() (t [256]uint16) {
	set := func(class uint16, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= class
		}
	}
	clear := func(class uint16, chars string) {
		for i := range len(chars) {
			t[chars[i]] &^= class
		}
	}
	for c := range 256 {
		if c > ' ' && c != 0x7F {
			t[c] |= isURI | isUser | isUserOnly | isPName | isPValue | isCallID
		}
		if c >= ' ' && c != 0x7F || c == '\t' {
			t[c] |= isDisplay
		}
		if c != 0 {
			t[c] |= isQuoted
		}
	}
	set(isToken, tokens)
	set(isHost, letters+digits+"-._")
	set(isV6, "abcdefABCDEF"+digits+":.")
	set(isDigit, digits)
	set(isValue, tokens+"[]:/@=&$?#()|{}^\\")
	clear(isURI, `<>"`)
	clear(isUser, `<>"@`)
	clear(isUserOnly, `<>"@:`)
	clear(isPValue, `<>"@;?,`)
	clear(isPName, `<>"@;?,=`)
	clear(isCallID, `,;`)
	clear(isDisplay, `<>",;`)
	clear(isQuoted, "\"\\\r\n")
	return t
}

// bad is the offset a reader gives when what it read is broken. Nothing stands there: at is 0.
const bad = 1 << 31

// at is the octet at p, 0 behind the end of b.
func at(b []byte, p uint32) byte {
	if uint64(p) < uint64(len(b)) {
		return b[p]
	}
	return 0
}

// lineEnd reports whether CRLF stands at p.
func lineEnd(b []byte, p uint32) bool { return at(b, p) == '\r' && at(b, p+1) == '\n' }

// fieldEnds reports whether a line ends at p that is not continued.
func fieldEnds(b []byte, p uint32) bool {
	i := uint64(p)
	if i+2 < uint64(len(b)) {
		return b[i] == '\r' && b[i+1] == '\n' && !blank(b[i+2])
	}
	return lineEnd(b, p)
}

// blank reports whether c is SP or HT.
func blank(c byte) bool { return c == ' ' || c == '\t' }

// run gives the offset of the first octet from p on that is not of the class.
func run(b []byte, p uint32, class uint16) uint32 {
	i := uint64(p) // one compare and no widening in the loop
	for i < uint64(len(b)) && classOf[b[i]]&class != 0 {
		i++
	}
	return uint32(i)
}

// runName is run for a class that has the octets of names (all but isDigit and isV6), which are most of what stands there.
func runName(b []byte, p uint32, class uint16) uint32 {
	for i := uint64(p); i+8 <= uint64(len(b)); i += 8 {
		if stop := notName(binary.LittleEndian.Uint64(b[i : i+8])); stop != 0 {
			p = uint32(i) + uint32(bits.TrailingZeros64(stop))>>3
			break
		}
		p = uint32(i) + 8
	}
	return run(b, p, class)
}

// runPlain is run for a class that has all plain octets (isValue, isCallID, isURI), which are most of what stands there.
func runPlain(b []byte, p uint32, class uint16) uint32 {
	for i := uint64(p); i+8 <= uint64(len(b)); i += 8 {
		if stop := notPlain(binary.LittleEndian.Uint64(b[i : i+8])); stop != 0 {
			p = uint32(i) + uint32(bits.TrailingZeros64(stop))>>3
			break
		}
		p = uint32(i) + 8
	}
	return run(b, p, class)
}

// skipLWS gives the offset of the first octet from p on that is no white space. The end of a line is white space iff
// the line is continued (RFC 3261 7.3.1); else skipLWS stops there.
func skipLWS(b []byte, p uint32) uint32 {
	if uint64(p) < uint64(len(b)) && b[p] > ' ' {
		return p
	}
	return skipMoreLWS(b, p)
}

func skipMoreLWS(b []byte, p uint32) uint32 {
	for {
		switch at(b, p) {
		case ' ', '\t':
			p++
		case '\r':
			if at(b, p+1) != '\n' || !blank(at(b, p+2)) {
				return p
			}
			p += 3
		default:
			return p
		}
	}
}

// trimLWS gives the end of b[p:end] without white space and line ends at its end.
func trimLWS(b []byte, p, end uint32) uint32 {
	for end > p && (blank(b[end-1]) || b[end-1] == '\r' || b[end-1] == '\n') {
		end--
	}
	return end
}

// quoted reads the quoted string that begins at p and gives the offset behind it, bad if it does not end or holds a NUL
// that no backslash precedes (a quoted-pair may be NUL, never CR or LF: RFC 3261 25.1).
func quoted(b []byte, p uint32) uint32 {
	for p++; ; {
		p = run(b, p, isQuoted)
		switch at(b, p) {
		case '"':
			return p + 1
		case '\\':
			if p+1 >= uint32(len(b)) || b[p+1] == '\r' || b[p+1] == '\n' {
				return bad
			}
			p += 2
		case '\r':
			q := skipLWS(b, p)
			if q == p {
				return bad
			}
			p = q
		default:
			return bad
		}
	}
}

// param is one ";name=value" of a header field: where its name ends, and its value with the quotes it may have, an
// empty span if there is none.
type param struct {
	name    uint32 // offset
	nameEnd uint32
	value   Span
}

// readParam reads a parameter whose semicolon is just before p, and gives the offset behind it, bad if it is broken.
func readParam(b []byte, p uint32) (q param, next uint32) {
	q.name = skipLWS(b, p)
	q.nameEnd = runName(b, q.name, isToken)
	if q.nameEnd == q.name {
		return q, bad
	}
	p = q.nameEnd
	if at(b, p) != '=' {
		if p = skipLWS(b, p); at(b, p) != '=' {
			return q, q.nameEnd
		}
	}
	v := skipLWS(b, p+1)
	if at(b, v) == '"' {
		next = quoted(b, v)
	} else if next = runPlain(b, v, isValue); next == v {
		return q, bad
	}
	q.value = Span{v, next}
	return q, next
}

// plain reports whether the parameter has a value and that is not quoted.
func (q param) plain(b []byte) bool { return !q.value.Empty() && b[q.value.Off] != '"' }

// number reads the decimal number at p and gives the offset behind it. n is -1 if there is none or it is larger than
// limit. Leading zeros are legal (RFC 4475 3.1.1.1), and no length makes it wrap.
func number(b []byte, p uint32, limit int) (n int, next uint32) {
	i := uint64(p)
	for ; i < uint64(len(b)) && b[i]-'0' <= 9; i++ {
		if n <= limit {
			n = n*10 + int(b[i]-'0')
		}
	}
	if n > limit || i == uint64(p) {
		n = -1
	}
	return n, uint32(i)
}

// countCommas counts the commas of b outside quoted strings.
func countCommas(b []byte) (n int) {
	for p := uint32(0); p < uint32(len(b)); p++ {
		switch b[p] {
		case ',':
			n++
		case '"':
			q := quoted(b, p)
			if q == bad {
				return n
			}
			p = q - 1
		}
	}
	return n
}

// equalFold reports whether b is the word lower, which is in lower case, in any case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
