package token

// alphabet is base64url: every character may stand in a branch (token) and in a
// user part (unreserved) without escaping, RFC 3261 section 25.1.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

var reverse = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

// encode turns the 16 octets at the start of b into 22 characters, in place.
// Three octets become four characters, so it works from the end.
func encode(b []byte) {
	_ = b[21]
	last := b[15]
	b[20], b[21] = alphabet[last>>2], alphabet[last&3<<4]
	for i, j := 12, 16; i >= 0; i, j = i-3, j-4 {
		v := uint32(b[i])<<16 | uint32(b[i+1])<<8 | uint32(b[i+2])
		b[j], b[j+1], b[j+2], b[j+3] = alphabet[v>>18], alphabet[v>>12&63], alphabet[v>>6&63], alphabet[v&63]
	}
}

// decode reads 22 characters into 16 octets. Only the one spelling that encode
// writes is taken: the four bits left over must be zero.
func decode(text []byte, out *[16]byte) bool {
	if len(text) != Len {
		return false
	}
	var bad byte
	for i, j := 0, 0; i < 15; i, j = i+3, j+4 {
		a, b, c, d := reverse[text[j]], reverse[text[j+1]], reverse[text[j+2]], reverse[text[j+3]]
		bad |= a | b | c | d
		v := uint32(a)<<18 | uint32(b)<<12 | uint32(c)<<6 | uint32(d)
		out[i], out[i+1], out[i+2] = byte(v>>16), byte(v>>8), byte(v)
	}
	a, b := reverse[text[20]], reverse[text[21]]
	bad |= a | b
	out[15] = a<<2 | b>>4
	return bad&0xC0 == 0 && b&15 == 0
}
