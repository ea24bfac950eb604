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
	SchemeURN // what is meant, not where it is: urn:service:sos of an emergency call (RFC 5031)
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
// fault: its URI has nothing but Text, and neither has a URN.
func ParseURI(b []byte, s Span) (URI, Fault) {
	var u URI
	if s.Off > s.End || int(s.End) > len(b) {
		return u, FaultRequestURI
	}
	f := readURI(b[:s.End], s.Off, &u)
	return u, f
}

// readURI reads the URI that begins at p and ends with b (RFC 3261 19.1.1, 25.1).
func readURI(b []byte, p uint32, u *URI) Fault {
	end := uint32(len(b))
	*u = URI{Text: Span{p, end}}
	scheme := uint32(word(b, p) | lowerCase)
	switch {
	case scheme&0xFFFFFF == 's'|'i'<<8|'p'<<16 && at(b, p+3) == ':':
		u.Scheme = SchemeSIP
		p += 4
	case scheme == 's'|'i'<<8|'p'<<16|'s'<<24 && at(b, p+4) == ':':
		u.Scheme = SchemeSIPS
		p += 5
	case scheme&0xFFFFFF == 't'|'e'<<8|'l'<<16 && at(b, p+3) == ':':
		u.Scheme = SchemeTel
		return u.readTel(b, p+4)
	case scheme&0xFFFFFF == 'u'|'r'<<8|'n'<<16 && at(b, p+3) == ':':
		u.Scheme = SchemeURN
		return otherScheme(b, p)
	default:
		return otherScheme(b, p)
	}
	// Neither host nor parameters nor header parts may hold a bare '@': the first one ends userinfo, whatever of ';',
	// '?' or ':' stands before it (RFC 4475 3.1.1.9), and a second one makes the URI unreadable.
	if i := bytes.IndexByte(b[p:], '@'); i >= 0 {
		at := p + uint32(i)
		if !u.readUser(b[:at], p) {
			return FaultRequestURI
		}
		p = at + 1
	}
	if u.Host, p = readHost(b, p); p == end {
		return NoFault
	}
	if at(b, p) == ':' {
		var port int
		if port, p = number(b, p+1, 65535); port < 1 {
			return FaultRequestURI
		}
		u.Port = uint16(port)
	}
	return u.readRest(b, p)
}

// otherScheme checks no more of a foreign URI than that it is one: scheme ":" and octets of URIs.
func otherScheme(b []byte, p uint32) Fault {
	end := uint32(len(b))
	for i := p; i < end; i++ {
		c := b[i]
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
		case i > p && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > p && c == ':' && i+1 < end && run(b, i+1, isURI) == end:
			return NoFault
		default:
			return FaultRequestURI
		}
	}
	return FaultRequestURI
}

// readTel reads the number and parameters of a tel URI (RFC 3966).
func (u *URI) readTel(b []byte, p uint32) Fault {
	q := runName(b, p, isPName)
	if q == p {
		return FaultRequestURI
	}
	u.User = Span{p, q}
	return u.readRest(b, q)
}

// readUser reads user and password, which b ends with.
func (u *URI) readUser(b []byte, p uint32) bool {
	q := runName(b, p, isUserOnly)
	u.User = Span{p, q}
	return q > p && (q == uint32(len(b)) || runPlain(b, q, isUser) == uint32(len(b)))
}

// readHost reads a host name, an IPv4 address or an IPv6 reference, gives it without brackets, and the offset behind
// it, bad if it is none.
func readHost(b []byte, p uint32) (host Span, next uint32) {
	q := runName(b, p, isHost)
	if q > p {
		return Span{p, q}, q
	}
	if at(b, p) == '[' {
		q = run(b, p+1, isV6)
		if q > p+1 && at(b, q) == ']' {
			return Span{p + 1, q}, q + 1
		}
	}
	return Span{}, bad
}

// readRest reads the parameters and the header part.
func (u *URI) readRest(b []byte, p uint32) Fault {
	if at(b, p) == ';' {
		start := p + 1
		for at(b, p) == ';' {
			if p = u.readParam(b, p+1); p == bad {
				return FaultRequestURI
			}
		}
		u.Params = Span{start, p}
	}
	if at(b, p) == '?' {
		start := p + 1
		for p = start; at(b, p) == '?' || classOf[at(b, p)]&isPValue != 0; p++ {
		}
		u.Headers = Span{start, p}
	}
	if p != uint32(len(b)) {
		return FaultRequestURI
	}
	return NoFault
}

// readParam reads one parameter from behind its semicolon on and gives the offset behind it, bad if it is broken. One
// that we use may not be there twice: the next reader may take the other one.
func (u *URI) readParam(b []byte, p uint32) uint32 {
	end := runName(b, p, isPName)
	if end == p {
		return bad
	}
	name, value := b[p:end], Span{end, end}
	if at(b, end) == '=' {
		value.Off = end + 1
		if value.End = runName(b, value.Off, isPValue); value.Empty() {
			return bad
		}
	}
	switch len(name) {
	case 2:
		if equalFold(name, "lr") {
			u.LR = true
		}
	case 5:
		if equalFold(name, "maddr") {
			if value.Empty() || !u.Maddr.Empty() {
				return bad
			}
			u.Maddr = value
		}
	case 9:
		if equalFold(name, "transport") {
			if value.Empty() || !u.Transport.Empty() {
				return bad
			}
			u.Transport = value
		}
	}
	return value.End
}
