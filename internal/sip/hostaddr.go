package sip

import "net/netip"

// HostAddr reads an IPv4 or IPv6 address, the latter with or without brackets; a zone is refused, it means nothing to
// another host. It accepts what netip.ParseAddr accepts, without an error that would have to be allocated.
func HostAddr(b []byte) (netip.Addr, bool) {
	if len(b) >= 2 && b[0] == '[' && b[len(b)-1] == ']' {
		return ipv6(b[1 : len(b)-1])
	}
	if len(b) == 0 || b[0]-'0' > 9 && b[0] != ':' && b[0]|0x20-'a' > 5 {
		return netip.Addr{}, false // most names end here
	}
	if a, ok := ipv4(b); ok {
		return netip.AddrFrom4(a), true
	}
	return ipv6(b)
}

// ipv4 reads four decimal numbers without leading zeros, which others take for octal.
func ipv4(b []byte) (a [4]byte, ok bool) {
	i := 0
	for k := range a {
		if k > 0 {
			if i == len(b) || b[i] != '.' {
				return a, false
			}
			i++
		}
		start, n := i, 0
		for i < len(b) && b[i]-'0' <= 9 && i < start+3 {
			n = n*10 + int(b[i]-'0')
			i++
		}
		if i == start || n > 255 || b[start] == '0' && i > start+1 {
			return a, false
		}
		a[k] = byte(n)
	}
	return a, i == len(b)
}

// ipv6 reads the text forms of RFC 4291 2.2.
func ipv6(b []byte) (netip.Addr, bool) {
	var a [16]byte
	n, gap := 0, -1 // octets written; octets before the "::"
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap = 0
		b = b[2:]
	}
	for len(b) > 0 {
		if n == 16 {
			return netip.Addr{}, false
		}
		v, digits := hex16(b)
		if digits == 0 {
			return netip.Addr{}, false
		}
		if digits < len(b) && b[digits] == '.' {
			tail, ok := ipv4(b)
			if !ok || n > 12 {
				return netip.Addr{}, false
			}
			n += copy(a[n:], tail[:])
			break
		}
		a[n], a[n+1] = byte(v>>8), byte(v)
		n += 2
		if b = b[digits:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return netip.Addr{}, false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return netip.Addr{}, false
			}
			gap = n
			b = b[1:]
		}
	}
	if gap < 0 {
		return netip.AddrFrom16(a), n == 16
	}
	if n == 16 { // "::" stands for at least one group
		return netip.Addr{}, false
	}
	copy(a[16-(n-gap):], a[gap:n])
	clear(a[gap : 16-(n-gap)])
	return netip.AddrFrom16(a), true
}

// hex16 reads up to four hexadecimal digits.
func hex16(b []byte) (v uint16, n int) {
	for ; n < len(b) && n < 4; n++ {
		c := b[n]
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20-'a' <= 5:
			c = c | 0x20 - 'a' + 10
		default:
			return v, n
		}
		v = v<<4 | uint16(c)
	}
	return v, n
}
