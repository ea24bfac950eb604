package tap

import "bytes"

// blank overwrites with asterisks what would let somebody else in or listen, in the message text: of credentials
// (RFC 3261 section 22) all but who, where and how; keys of media in SDP (RFC 4568, RFC 4566 5.12, RFC 8839); passwords
// in URIs. The text keeps its length, so Content-Length stays true. Bodies of several parts are read line by line too.
func blank(text []byte) {
	inField := blankNothing
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && inField != blankNothing { // goes on
			blankField(inField, line)
			continue
		}
		inField = blankNothing
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			if kind := kindOfField(bytes.TrimSpace(name)); kind != blankNothing {
				inField = kind
				blankField(kind, value)
				continue
			}
		}
		blankSDP(line)
		blankPasswords(line)
	}
}

type blanking int

const (
	blankNothing   blanking = iota
	blankAuthority          // Digest: all but what is known; else all behind the scheme
	blankAnswer             // the same for a list without a scheme
)

func kindOfField(name []byte) blanking {
	for _, n := range []string{"authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"} {
		if len(n) == len(name) && bytes.EqualFold(name, []byte(n)) {
			return blankAuthority
		}
	}
	if bytes.EqualFold(name, []byte("authentication-info")) || bytes.EqualFold(name, []byte("proxy-authentication-info")) {
		return blankAnswer
	}
	return blankNothing
}

// kept are parameters of Digest that tell who and how, and prove nothing.
var kept = []string{"username", "realm", "nonce", "uri", "algorithm", "qop", "nc", "domain", "stale", "opaque", "userhash", "integrity-protected"}

func blankField(kind blanking, value []byte) {
	rest := bytes.TrimLeft(value, " \t")
	if kind == blankAuthority {
		scheme, params, _ := bytes.Cut(rest, []byte(" "))
		switch {
		case bytes.Contains(scheme, []byte("=")): // a line that goes on
			params = rest
		case !bytes.EqualFold(scheme, []byte("digest")):
			stars(params)
			return
		}
		rest = params
	}
	for len(rest) > 0 {
		var param []byte
		param, rest = nextParam(rest)
		name, val, ok := bytes.Cut(param, []byte("="))
		if ok && !isKept(bytes.TrimSpace(name)) {
			stars(bytes.Trim(val, " \t\""))
		}
	}
}

func isKept(name []byte) bool {
	for _, k := range kept {
		if bytes.EqualFold(name, []byte(k)) {
			return true
		}
	}
	return false
}

// nextParam cuts at the first comma outside of quotes.
func nextParam(b []byte) (param, rest []byte) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			i++
		case b[i] == '"':
			quoted = !quoted
		case b[i] == ',' && !quoted:
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

// blankSDP blanks the value of a line of SDP that is a key.
func blankSDP(line []byte) {
	if bytes.HasPrefix(line, []byte("k=")) {
		stars(line[2:])
		return
	}
	if i := bytes.Index(line, []byte("inline:")); i >= 0 && bytes.HasPrefix(line, []byte("a=crypto:")) {
		stars(line[i+len("inline:"):])
		return
	}
	for _, name := range []string{"a=crypto:", "a=ice-pwd:", "a=key-mgmt:"} {
		if bytes.HasPrefix(line, []byte(name)) {
			stars(line[len(name):])
		}
	}
}

// blankPasswords blanks what stands between the user of a SIP URI and its @.
func blankPasswords(line []byte) {
	for {
		i := bytes.Index(line, []byte("sip:"))
		if j := bytes.Index(line, []byte("sips:")); j >= 0 && (i < 0 || j < i) {
			i = j + 1
		}
		if i < 0 {
			return
		}
		line = line[i+len("sip:"):]
		end := bytes.IndexAny(line, "<> \t\",;?")
		uri := line
		if end >= 0 {
			uri = line[:end]
		}
		at := bytes.IndexByte(uri, '@')
		if at < 0 {
			continue
		}
		if colon := bytes.IndexByte(uri[:at], ':'); colon >= 0 {
			stars(uri[colon+1 : at])
		}
	}
}

func stars(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
