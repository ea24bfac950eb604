package sip

import "bytes"

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

// ParseURI reads the URI that is b[s.Off:s.End]; its spans are offsets into b. A scheme without a meaning here is no
// fault: its URI has nothing but Text.
func ParseURI(b []byte, s Span) (URI, Fault) {
	var u URI
	if s.Off > s.End || int(s.End) > len(b) {
		return u, FaultRequestURI
	}
	f := readURI(b, int(s.Off), int(s.End), &u)
	return u, f
}

// readURI reads the URI that fills b[p:end] (RFC 3261 19.1.1, 25.1).
func readURI(b []byte, p, end int, u *URI) Fault {
	*u = URI{Text: span(p, end)}
	switch {
	case end-p >= 4 && b[p+3] == ':' && equalFold(b[p:p+3], "sip"):
		u.Scheme = SchemeSIP
		p += 4
	case end-p >= 5 && b[p+4] == ':' && equalFold(b[p:p+4], "sips"):
		u.Scheme = SchemeSIPS
		p += 5
	case end-p >= 4 && b[p+3] == ':' && equalFold(b[p:p+3], "tel"):
		u.Scheme = SchemeTel
		return u.readTel(b, p+4, end)
	default:
		return otherScheme(b, p, end)
	}
	// Neither host nor parameters nor header parts may hold a bare '@': the first one ends userinfo, whatever of ';',
	// '?' or ':' stands before it (RFC 4475 3.1.1.9), and a second one makes the URI unreadable.
	if i := bytes.IndexByte(b[p:end], '@'); i >= 0 {
		if !u.readUser(b, p, p+i) {
			return FaultRequestURI
		}
		p += i + 1
	}
	if p = u.readHostPort(b, p, end); p < 0 {
		return FaultRequestURI
	}
	return u.readRest(b, p, end)
}

// otherScheme checks no more of a foreign URI than that it is one: scheme ":" and no octet that ends a URI.
func otherScheme(b []byte, p, end int) Fault {
	for i := p; i < end; i++ {
		c := b[i]
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
		case i > p && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > p && c == ':' && i+1 < end && run(b, i+1, end, isURI) == end:
			return NoFault
		default:
			return FaultRequestURI
		}
	}
	return FaultRequestURI
}

// readTel reads the number and parameters of a tel URI (RFC 3966).
func (u *URI) readTel(b []byte, p, end int) Fault {
	i := bytes.IndexByte(b[p:end], ';')
	if i < 0 {
		i = end - p
	}
	if i == 0 || run(b, p, p+i, isPName) != p+i {
		return FaultRequestURI
	}
	u.User = span(p, p+i)
	return u.readRest(b, p+i, end)
}

// readUser reads user and password, which fill b[p:end].
func (u *URI) readUser(b []byte, p, end int) bool {
	if run(b, p, end, isUser) != end {
		return false
	}
	i := p
	for i < end && b[i] != ':' {
		i++
	}
	u.User = span(p, i)
	return i > p
}

// readHostPort reads host [":" port] and gives the offset behind it, -1 if it is broken.
func (u *URI) readHostPort(b []byte, p, end int) int {
	host, p := readHost(b, p, end)
	if p < 0 {
		return -1
	}
	u.Host = host
	if p < end && b[p] == ':' {
		q := p + 1
		for q < end && b[q]-'0' <= 9 {
			q++
		}
		port := number(b, p+1, q, 65535)
		if port < 1 {
			return -1
		}
		u.Port = uint16(port)
		p = q
	}
	return p
}

// readHost reads a host name, an IPv4 address or an IPv6 reference and gives the offset behind it, -1 if it is none.
func readHost(b []byte, p, end int) (Span, int) {
	if p < end && b[p] == '[' {
		q := run(b, p+1, end, isV6)
		if q == p+1 || q == end || b[q] != ']' {
			return Span{}, -1
		}
		return span(p+1, q), q + 1
	}
	q := run(b, p, end, isHost)
	if q == p {
		return Span{}, -1
	}
	return span(p, q), q
}

// readRest reads the parameters and the header part.
func (u *URI) readRest(b []byte, p, end int) Fault {
	if p < end && b[p] == ';' {
		start := p + 1
		for p < end && b[p] == ';' {
			if p = u.readParam(b, p+1, end); p < 0 {
				return FaultRequestURI
			}
		}
		u.Params = span(start, p)
	}
	if p < end && b[p] == '?' {
		start := p + 1
		for p = start; p < end && (b[p] == '?' || is(b[p], isPValue)); p++ {
		}
		u.Headers = span(start, p)
	}
	if p != end {
		return FaultRequestURI
	}
	return NoFault
}

// readParam reads one parameter from behind its semicolon on and gives the offset behind it, -1 if it is broken. One
// that we use may not be there twice: the next reader may take the other one.
func (u *URI) readParam(b []byte, p, end int) int {
	n1 := run(b, p, end, isPName)
	if n1 == p {
		return -1
	}
	name, v0, v1 := b[p:n1], n1, n1
	if n1 < end && b[n1] == '=' {
		v0 = n1 + 1
		if v1 = run(b, v0, end, isPValue); v1 == v0 {
			return -1
		}
	}
	switch {
	case equalFold(name, "lr"):
		u.LR = true
	case equalFold(name, "maddr"):
		if v1 == v0 || !u.Maddr.Empty() {
			return -1
		}
		u.Maddr = span(v0, v1)
	case equalFold(name, "transport"):
		if v1 == v0 || !u.Transport.Empty() {
			return -1
		}
		u.Transport = span(v0, v1)
	}
	return v1
}
