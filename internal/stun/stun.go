// Package stun answers the one STUN request that a SIP element gets on its SIP
// port: a Binding request as keep-alive of a UDP flow (RFC 5626 section 8).
// Nothing else of STUN is here.
package stun

import (
	"encoding/binary"
	"net/netip"
)

const (
	cookie         = 0x2112A442
	headerLen      = 20
	bindingRequest = 0x0001
	bindingSuccess = 0x0101
	xorMapped      = 0x0020
	// MaxResponse is the length of the longest response, in octets.
	MaxResponse = headerLen + 4 + 20
)

// AppendBinding appends the response to a Binding request that came from a source
// address. It reports false, and appends nothing, if b is anything else (RFC 5389
// sections 6, 7.3 and 15.2).
func AppendBinding(dst, b []byte, from netip.AddrPort) ([]byte, bool) {
	if len(b) < headerLen || binary.BigEndian.Uint16(b) != bindingRequest ||
		binary.BigEndian.Uint32(b[4:]) != cookie || int(binary.BigEndian.Uint16(b[2:])) != len(b)-headerLen || len(b)%4 != 0 {
		return dst, false
	}
	ip := from.Addr().Unmap()
	family, size := byte(1), 4
	if !ip.Is4() {
		family, size = 2, 16
	}
	dst = binary.BigEndian.AppendUint16(dst, bindingSuccess)
	dst = binary.BigEndian.AppendUint16(dst, uint16(8+size))
	dst = append(dst, b[4:headerLen]...) // cookie and transaction
	dst = binary.BigEndian.AppendUint16(dst, xorMapped)
	dst = binary.BigEndian.AppendUint16(dst, uint16(4+size))
	dst = append(dst, 0, family)
	dst = binary.BigEndian.AppendUint16(dst, from.Port()^cookie>>16)
	raw := ip.As16()
	addr := raw[16-size:]
	for i, c := range addr {
		dst = append(dst, c^b[4+i]) // cookie, then transaction id
	}
	return dst, true
}
