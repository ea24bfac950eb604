package eyes

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
)

// A pcapng file of IP packets without a link layer: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6
	linkRaw        = 101 // LINKTYPE_RAW: IPv4 or IPv6, as the first octet says
	optEnd         = 0
	optComment     = 1
	optTimeUnit    = 9 // if_tsresol
	optFlags       = 2 // epb_flags
	inbound        = 1
	outbound       = 2
	maxComment     = 1000
)

// capture writes messages as packets that Wireshark opens. Addresses, ports and texts are what came and left; the rest of
// the headers of IP and UDP is made up, since a balancer does not see it: what came by TCP or TLS is a datagram here too.
type capture struct {
	to    io.Writer
	block []byte
}

var le = binary.LittleEndian

func newCapture(to io.Writer) (*capture, error) {
	c := &capture{to: to}
	body := le.AppendUint32(nil, 0x1a2b3c4d)
	body = le.AppendUint16(body, 1)
	body = le.AppendUint16(body, 0)
	body = le.AppendUint64(body, ^uint64(0)) // how long the section is, is not known
	body = option(body, 4, []byte("carillon trace"))
	if err := c.write(blockSection, option(body, optEnd, nil)); err != nil {
		return nil, err
	}
	body = le.AppendUint16(nil, linkRaw)
	body = le.AppendUint16(body, 0)
	body = le.AppendUint32(body, 0) // no limit of length
	body = option(body, optTimeUnit, []byte{9})
	return c, c.write(blockInterface, option(body, optEnd, nil))
}

// message writes what came and what left.
func (c *capture) message(m *report.TraceMessage) error {
	said := m.Reason + ": " + m.Sentence
	if m.Server != "" {
		said += " (server " + m.Server + ")"
	}
	if m.Transport != "" {
		said += " (came by " + m.Transport
		if m.OutTransport != "" {
			said += ", left by " + m.OutTransport
		}
		said += ")"
	}
	if m.Engine != "" {
		said += " [engine " + m.Engine + "]"
	}
	if m.Came != "" && m.What != report.TraceUnreachable {
		if err := c.packet(m.At, m.Source.Addr, m.Local, m.Came, said, inbound); err != nil {
			return err
		}
	}
	if m.Left == "" || m.Target == nil {
		return nil
	}
	return c.packet(m.At.Add(1), m.Out, m.Target.Addr, m.Left, said, outbound)
}

func (c *capture) packet(at time.Time, from, to netip.AddrPort, text, comment string, flags uint32) error {
	data, err := datagram(from, to, []byte(text))
	if err != nil {
		return err
	}
	ns := uint64(at.UnixNano())
	body := le.AppendUint32(nil, 0)
	body = le.AppendUint32(body, uint32(ns>>32))
	body = le.AppendUint32(body, uint32(ns))
	body = le.AppendUint32(body, uint32(len(data)))
	body = le.AppendUint32(body, uint32(len(data)))
	body = padded(body, data)
	body = option(body, optComment, []byte(comment[:min(len(comment), maxComment)]))
	body = option(body, optFlags, le.AppendUint32(nil, flags))
	return c.write(blockPacket, option(body, optEnd, nil))
}

func (c *capture) write(kind uint32, body []byte) error {
	n := uint32(len(body) + 12)
	b := le.AppendUint32(c.block[:0], kind)
	b = le.AppendUint32(b, n)
	b = append(b, body...)
	c.block = le.AppendUint32(b, n)
	_, err := c.to.Write(c.block)
	return err
}

func option(b []byte, code uint16, value []byte) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, uint16(len(value)))
	return padded(b, value)
}

func padded(b, value []byte) []byte {
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

// datagram makes the IP packet of a UDP datagram.
func datagram(from, to netip.AddrPort, payload []byte) ([]byte, error) {
	a, b := from.Addr().Unmap(), to.Addr().Unmap()
	length := 8 + len(payload)
	if a.Is4() != b.Is4() || length > 65535-20 {
		return nil, fmt.Errorf("a message from %s to %s of %d octets is no datagram", from, to, len(payload))
	}
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(length))
	udp = append(append(udp, 0, 0), payload...)
	pseudo := append(append([]byte(nil), a.AsSlice()...), b.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(append(pseudo, 0, 0, 0, 17), uint32(length))
	sum := checksum(append(pseudo, udp...))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	var head []byte
	if a.Is4() {
		head = []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0}
		binary.BigEndian.PutUint16(head[2:], uint16(20+length))
		head = append(append(head, a.AsSlice()...), b.AsSlice()...)
		binary.BigEndian.PutUint16(head[10:], checksum(head))
	} else {
		head = []byte{0x60, 0, 0, 0, 0, 0, 17, 64}
		binary.BigEndian.PutUint16(head[4:], uint16(length))
		head = append(append(head, a.AsSlice()...), b.AsSlice()...)
	}
	return append(head, udp...), nil
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
