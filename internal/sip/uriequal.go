package sip

import "bytes"

// EqualURI reports whether a and b are the same URI (RFC 3261 19.1.4). What cannot be read is equal to nothing. The rules
// are not transitive, so this is no key for a map. The RFC ignores a transport parameter that only one of them has, but
// its examples do not; here it counts, since it says where to send.
func EqualURI(a, b []byte) bool {
	u, fa := ParseURI(a, span(0, len(a)))
	v, fb := ParseURI(b, span(0, len(b)))
	if fa != NoFault || fb != NoFault || u.Scheme != v.Scheme {
		return false
	}
	if u.Scheme == SchemeOther || u.Scheme == SchemeURN {
		return bytes.Equal(a, b)
	}
	return equalPart(userinfo(a, &u), userinfo(b, &v), false) && equalHost(a[u.Host.Off:u.Host.End], b[v.Host.Off:v.Host.End]) &&
		u.Port == v.Port && // an absent port and 5060 are not the same
		matchParams(a[u.Params.Off:u.Params.End], b[v.Params.Off:v.Params.End]) &&
		matchParams(b[v.Params.Off:v.Params.End], a[u.Params.Off:u.Params.End]) &&
		matchHeaders(a[u.Headers.Off:u.Headers.End], b[v.Headers.Off:v.Headers.End])
}

// userinfo is user and password of a SIP URI, the number of a tel URI.
func userinfo(b []byte, u *URI) []byte {
	info := b[u.User.Off:]
	if i := bytes.IndexByte(info, '@'); i >= 0 && !u.User.Empty() {
		return info[:i]
	}
	return b[u.User.Off:u.User.End]
}

// equalHost compares names in any case, and addresses however they are written.
func equalHost(a, b []byte) bool {
	if x, ok := HostAddr(a); ok {
		y, ok := HostAddr(b)
		return ok && x == y
	}
	return equalPart(a, b, true)
}

// matchParams reports whether each parameter of a is in b with the same value, or is one that may be in one URI only.
func matchParams(a, b []byte) bool {
	for len(a) > 0 {
		var p []byte
		p, a, _ = bytes.Cut(a, []byte{';'})
		name, value, _ := bytes.Cut(p, []byte{'='})
		other, found := findPart(b, name, ';')
		switch {
		case found && !equalPart(value, other, true):
			return false
		case found:
		case equalFold(name, "user"), equalFold(name, "ttl"), equalFold(name, "method"), equalFold(name, "maddr"),
			equalFold(name, "transport"):
			return false
		}
	}
	return true
}

// matchHeaders reports whether a and b have the same header fields, in any order: these always count.
func matchHeaders(a, b []byte) bool {
	if (len(a) == 0) != (len(b) == 0) || bytes.Count(a, []byte{'&'}) != bytes.Count(b, []byte{'&'}) {
		return false
	}
	for len(a) > 0 {
		var h []byte
		h, a, _ = bytes.Cut(a, []byte{'&'})
		name, value, _ := bytes.Cut(h, []byte{'='})
		other, found := findPart(b, name, '&')
		if !found || !equalPart(value, other, false) {
			return false
		}
	}
	return true
}

// findPart finds "name=value" in a list.
func findPart(list, name []byte, sep byte) (value []byte, found bool) {
	for len(list) > 0 {
		var p []byte
		p, list, _ = bytes.Cut(list, []byte{sep})
		other, value, _ := bytes.Cut(p, []byte{'='})
		if equalPart(name, other, true) {
			return value, true
		}
	}
	return nil, false
}

// equalPart compares octet by octet, in any case if fold is set. An escaped octet is equal to itself unescaped, unless it
// is a reserved one, which means something else when it is bare.
func equalPart(a, b []byte, fold bool) bool {
	for len(a) > 0 && len(b) > 0 {
		var x, y uint16
		x, a = nextOctet(a, fold)
		y, b = nextOctet(b, fold)
		if x != y {
			return false
		}
	}
	return len(a) == 0 && len(b) == 0
}

// nextOctet takes one octet from b, unescaped and, if fold is set, in lower case. An escaped reserved one is not below 256.
func nextOctet(b []byte, fold bool) (c uint16, rest []byte) {
	c, rest = uint16(b[0]), b[1:]
	if c == '%' && len(b) >= 3 {
		if v, n := hex16(b[1:3]); n == 2 {
			c, rest = v, b[3:]
			if bytes.IndexByte([]byte(";/?:@&=+$,"), byte(v)) >= 0 {
				return 256 + v, rest
			}
		}
	}
	if fold && c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c, rest
}
