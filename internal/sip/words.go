package sip

import (
	"encoding/binary"
	"math/bits"
)

// Eight octets at a time. The functions here stop, at the latest, at the first octet that may not be skipped; a look at
// that one decides. A stop too early costs a little time, one too late cannot be: an addition carries into octets
// behind only, and an octet that carries is a stop itself.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// word is eight octets of b from p on, the first in the lowest bits; zeros behind the end of b.
func word(b []byte, p uint32) uint64 {
	if i := uint64(p); i+8 <= uint64(len(b)) { // uint32 and this form leave the compiler with one compare
		return binary.LittleEndian.Uint64(b[i : i+8])
	}
	return lastWord(b, p)
}

func lastWord(b []byte, p uint32) (w uint64) {
	for i := len(b) - 1; i >= int(p); i-- {
		w = w<<8 | uint64(b[i])
	}
	return w
}

// notPlain has the high bit set of each octet of w that is not one of - . / 0-9 : ? @ A-Z [ \ ] ^ _ ` a-z { | } ~, which
// are in isValue, isCallID and isURI alike. Each sum has the high bit of an octet set from a threshold on; an octet
// past an odd number of thresholds is in one of the two ranges.
func notPlain(w uint64) uint64 {
	in := (w + (0x80-'-')*ones) ^ (w + (0x80-';')*ones) ^ (w + (0x80-'?')*ones) ^ (w + (0x80-0x7F)*ones)
	return (w | ^in) & highs
}

// nameLen is how many of the octets of w, from the first on, are letters or '-'.
func nameLen(w uint64) uint32 {
	l := w | lowerCase
	in := (l + (0x80-'a')*ones) ^ (l + (0x80-'{')*ones) ^ (w + (0x80-'-')*ones) ^ (w + (0x80-'.')*ones)
	return uint32(bits.TrailingZeros64((w|^in)&highs)) >> 3
}

// notName has the high bit set of each octet of w that is not one of - . 0-9 A-Z a-z, which are in every class of octets
// but isDigit and isV6.
func notName(w uint64) uint64 {
	l := w | lowerCase
	in := (l + (0x80-'a')*ones) ^ (l + (0x80-'{')*ones) ^ (w + (0x80-'-')*ones) ^ (w + (0x80-'/')*ones) ^ (w + (0x80-'0')*ones) ^ (w + (0x80-':')*ones)
	return (w | ^in) & highs
}
