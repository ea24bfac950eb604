package sip

import (
	"bytes"
	"encoding/binary"
)

// Classes of octets, as bits of classOf. The grammars of RFC 3261 25.1 are widened where the wild is wider and no two
// readers can disagree about it: what separates (white space, comma, semicolon, quotes, angle brackets) never is.
const (
	isToken  = 1 << iota // token
	isHost               // hostname, IPv4 address; with "_", which is in use
	isV6                 // inside of an IPv6 reference
	isValue              // parameter value that is not quoted: token, IPv6 address, and what base64 and URIs need
	isUser               // userinfo of a URI
	isPName              // name of a URI parameter
	isPValue             // value of a URI parameter, or a header part
	isURI                // any octet of a URI
	isCallID             // word and "@"
	isDigit
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
	set(isToken, tokens)
	set(isHost, letters+digits+"-._")
	set(isV6, "abcdefABCDEF"+digits+":.")
	set(isDigit, digits)
	set(isValue, tokens+"[]:/@=&$?#()|{}^")
	for c := range 256 {
		if c <= ' ' || c == 0x7F { // separators and control characters are in no class
			continue
		}
		switch c {
		case '<', '>', '"':
		case '@':
			t[c] |= isURI | isCallID
		case ';', ',':
			t[c] |= isURI | isUser
		case '?':
			t[c] |= isURI | isUser | isCallID
		case '=':
			t[c] |= isURI | isUser | isPValue | isCallID
		default:
			t[c] |= isURI | isUser | isPName | isPValue | isCallID
		}
	}
	set(isCallID, `<>"`) // word has them; the comma and the semicolon, which split, it has not
	return t
}

// is reports whether c is of one of the classes.
func is(c byte, class uint16) bool { return classOf[c]&class != 0 }

// run gives the offset of the first octet from p on that is not of the class; end if there is none.
func run(b []byte, p, end int, class uint16) int {
	b = b[:end]
	for p < len(b) && classOf[b[p]]&class != 0 {
		p++
	}
	return p
}

// skipLWS gives the offset of the first octet from p on that is no white space. Every CRLF inside a header field is
// followed by SP or HT, or there would be no inside; so CR and LF are white space here (RFC 3261 7.3.1).
func skipLWS(b []byte, p, end int) int {
	for p < end && b[p] <= ' ' && (b[p] == ' ' || b[p] == '\t' || b[p] == '\r' || b[p] == '\n') {
		p++
	}
	return p
}

// trimLWS gives the end of b[p:end] without white space at its end.
func trimLWS(b []byte, p, end int) int {
	for end > p && b[end-1] <= ' ' && (b[end-1] == ' ' || b[end-1] == '\t' || b[end-1] == '\r' || b[end-1] == '\n') {
		end--
	}
	return end
}

// quoted reads the quoted string that begins at p and gives the offset behind it, -1 if it does not end or holds a NUL
// that no backslash precedes (a quoted-pair may be NUL, never CR or LF: RFC 3261 25.1).
func quoted(b []byte, p, end int) int {
	for p++; p < end; p++ {
		switch b[p] {
		case '"':
			return p + 1
		case 0:
			return -1
		case '\\':
			p++
			if p < end && (b[p] == '\r' || b[p] == '\n') {
				return -1
			}
		}
	}
	return -1
}

// param is one ";name=value" of a header field, as offsets. A value keeps its quotes; v1 is 0 if there is none.
type param struct{ n0, n1, v0, v1 int }

// readParam reads a parameter whose semicolon is just before p, and gives the offset behind it, -1 if it is broken.
func readParam(b []byte, p, end int) (q param, next int) {
	q.n0 = skipLWS(b, p, end)
	q.n1 = run(b, q.n0, end, isToken)
	if q.n1 == q.n0 {
		return q, -1
	}
	p = skipLWS(b, q.n1, end)
	if p == end || b[p] != '=' {
		return q, q.n1
	}
	q.v0 = skipLWS(b, p+1, end)
	if q.v0 < end && b[q.v0] == '"' {
		q.v1 = quoted(b, q.v0, end)
		return q, q.v1
	}
	q.v1 = run(b, q.v0, end, isValue)
	if q.v1 == q.v0 {
		return q, -1
	}
	return q, q.v1
}

// plain reports whether the parameter has a value and that is not quoted.
func (q param) plain(b []byte) bool { return q.v1 > q.v0 && b[q.v0] != '"' }

// value is the span of the value.
func (q param) value() Span { return span(q.v0, q.v1) }

// number reads the decimal number that fills b[p:end] exactly. -1: it is none, or larger than limit. Leading zeros are
// legal, and no length makes it wrap.
func number(b []byte, p, end, limit int) int {
	n := 0
	for i := p; i < end; i++ {
		c := int(b[i]) - '0'
		if uint(c) > 9 {
			return -1
		}
		if n = n*10 + c; n > limit {
			return -1
		}
	}
	if p >= end {
		return -1
	}
	return n
}

// countCommas counts the commas of b[p:end] outside quoted strings.
func countCommas(b []byte, p, end int) (n int) {
	if bytes.IndexByte(b[p:end], ',') < 0 {
		return 0
	}
	for ; p < end; p++ {
		switch b[p] {
		case ',':
			n++
		case '"':
			q := quoted(b, p, end)
			if q < 0 {
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

// word is eight octets of b from p on, the first in the lowest bits; zeros behind the end of b.
func word(b []byte, p int) uint64 {
	if p+8 <= len(b) {
		return binary.LittleEndian.Uint64(b[p:])
	}
	var w uint64
	for i := len(b) - 1; i >= p; i-- {
		w = w<<8 | uint64(b[i])
	}
	return w
}
