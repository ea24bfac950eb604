package eyes

import (
	"encoding/binary"
	"net/netip"
)

var be = binary.BigEndian

// Numbers of protocols, and sizes of what stands before a text.
const (
	protoTCP = 6
	protoUDP = 17
	headTCP  = 20
	headUDP  = 8
	headIPv4 = 20
	maxIP    = 65535
	// segment is the most octets of one segment: what an IP packet holds. How messages were cut is not known.
	segment = maxIP - headIPv4 - headTCP
	// maxFlows bounds what is known of connections. With more their numbers begin anew.
	maxFlows = 1 << 17
)

// stream is one direction of a connection.
type stream struct{ from, to netip.AddrPort }

// flow is how far one direction is.
type flow struct{ next uint32 } // number of its next octet

// fits reports whether an IP packet goes from one to the other.
func (p *packet) fits() bool {
	a, b := p.from.Addr().Unmap(), p.to.Addr().Unmap()
	return a.IsValid() && b.IsValid() && a.Is4() == b.Is4()
}

// datagram makes the IP packet of a UDP datagram; none when it does not fit into one.
func (p *packet) datagram() [][]byte {
	if !p.fits() || headUDP+len(p.text) > maxIP-headIPv4 {
		return nil
	}
	udp := be.AppendUint16(nil, p.from.Port())
	udp = be.AppendUint16(udp, p.to.Port())
	udp = be.AppendUint16(udp, uint16(headUDP+len(p.text)))
	udp = append(append(udp, 0, 0), p.text...)
	sum := p.checksum(protoUDP, udp)
	if sum == 0 {
		sum = 0xffff
	}
	be.PutUint16(udp[6:], sum)
	return [][]byte{p.ip(protoUDP, udp)}
}

// segments makes the IP packets that a connection carries a message in.
func (c *capture) segments(p packet) [][]byte {
	if !p.fits() {
		return nil
	}
	this, other := c.flow(p.from, p.to), c.flow(p.to, p.from)
	var out [][]byte
	for text := p.text; text != ""; {
		n := min(len(text), segment)
		tcp := be.AppendUint16(nil, p.from.Port())
		tcp = be.AppendUint16(tcp, p.to.Port())
		tcp = be.AppendUint32(tcp, this.next)
		tcp = be.AppendUint32(tcp, other.next)
		tcp = append(tcp, headTCP/4<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0) // ACK and PSH, a large window
		tcp = append(tcp, text[:n]...)
		be.PutUint16(tcp[16:], p.checksum(protoTCP, tcp))
		out = append(out, p.ip(protoTCP, tcp))
		this.next += uint32(n)
		text = text[n:]
	}
	return out
}

func (c *capture) flow(from, to netip.AddrPort) *flow {
	key := stream{from, to}
	f := c.streams[key]
	if f == nil {
		if len(c.streams) >= maxFlows {
			clear(c.streams)
		}
		f = &flow{1}
		c.streams[key] = f
	}
	return f
}

// ip puts the head of IP before a payload.
func (p *packet) ip(proto byte, payload []byte) []byte {
	a, b := p.from.Addr().Unmap(), p.to.Addr().Unmap()
	if !a.Is4() {
		head := []byte{0x60, 0, 0, 0, 0, 0, proto, 64}
		be.PutUint16(head[4:], uint16(len(payload)))
		return append(append(append(head, a.AsSlice()...), b.AsSlice()...), payload...)
	}
	head := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0}
	be.PutUint16(head[2:], uint16(headIPv4+len(payload)))
	head = append(append(head, a.AsSlice()...), b.AsSlice()...)
	be.PutUint16(head[10:], checksum(head))
	return append(head, payload...)
}

// checksum is that of UDP and TCP, over the addresses too.
func (p *packet) checksum(proto byte, payload []byte) uint16 {
	pseudo := append(append([]byte(nil), p.from.Addr().Unmap().AsSlice()...), p.to.Addr().Unmap().AsSlice()...)
	pseudo = be.AppendUint32(append(pseudo, 0, 0, 0, proto), uint32(len(payload)))
	return checksum(append(pseudo, payload...))
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
