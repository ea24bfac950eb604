package eyes

import (
	"encoding/binary"
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

// capture writes messages as packets that Wireshark opens. Addresses, ports, texts and their order are what came and left; the
// rest of the headers is made up, since a balancer does not see it. What came or left by TCP or TLS is segments of its
// connection, in the clear, numbered from where the trace began: there is no handshake, since none was seen.
type capture struct {
	to      io.Writer
	block   []byte
	streams map[stream]*flow
	unfit   int // messages that no packet can hold
}

var le = binary.LittleEndian

func newCapture(to io.Writer) (*capture, error) {
	c := &capture{to: to, streams: map[stream]*flow{}}
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
		if err := c.text(m.At, packet{m.Source.Addr, m.Local, m.Transport, m.Came}, said, inbound); err != nil {
			return err
		}
	}
	if m.Left == "" || m.Target == nil {
		return nil
	}
	return c.text(m.At.Add(1), packet{m.Out, m.Target.Addr, m.OutTransport, m.Left}, said, outbound)
}

// packet is a message on one leg.
type packet struct {
	from, to  netip.AddrPort
	transport string
	text      string
}

// text writes a message: a datagram, or the segments that its connection carries it in.
func (c *capture) text(at time.Time, p packet, comment string, flags uint32) error {
	var packets [][]byte
	if p.transport == "tcp" || p.transport == "tls" {
		packets = c.segments(p)
	} else {
		packets = p.datagram()
	}
	if len(packets) == 0 {
		c.unfit++
	}
	for _, data := range packets {
		if err := c.packet(at, data, comment, flags); err != nil {
			return err
		}
		comment = "the same message goes on"
	}
	return nil
}

func (c *capture) packet(at time.Time, data []byte, comment string, flags uint32) error {
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
