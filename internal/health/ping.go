package health

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// pingOpenRetry is how long a failure to open an ICMP socket is remembered.
const pingOpenRetry = 10 * time.Second

// pinger sends ICMP echo requests from one socket for each local address.
type pinger struct {
	l      *loop
	id     uint16 // of raw sockets; the kernel gives unprivileged ones an id of their own
	mark   uint64 // in each request, so that the replies to others' are not mistaken for ours
	socks  map[netip.Addr]*icmpSocket
	failed map[netip.Addr]pingFailure
	packet []byte
}

type pingFailure struct {
	out   outcome
	until time.Time
}

func newPinger(l *loop) *pinger {
	return &pinger{
		l: l, id: uint16(l.random.Uint32()), mark: l.random.Uint64(),
		socks: map[netip.Addr]*icmpSocket{}, failed: map[netip.Addr]pingFailure{},
	}
}

func (p *pinger) retransmits() bool { return true }
func (p *pinger) ownSocket() bool   { return false }

func (p *pinger) send(c *check) outcome {
	local := c.local.Addr()
	s := p.socks[local]
	if s == nil {
		if f := p.failed[local]; c.started.Before(f.until) {
			return f.out
		}
		var err error
		if s, err = openICMP(local); err != nil {
			out := outcome{code: ProbeNotSent, detail: err.Error()}
			p.failed[local] = pingFailure{out: out, until: c.started.Add(pingOpenRetry)}
			return out
		}
		p.socks[local] = s
		p.l.wg.Add(1)
		go p.receive(s)
	}
	p.packet = appendEcho(p.packet[:0], c.addr.Addr().Is6(), p.id, uint16(c.attempt), p.mark, c.run)
	var out outcome
	for range 3 {
		// With a socket that many destinations share, an error may be an ICMP error of another, reported once to whoever sends next.
		e := s.send(p.packet, c.addr.Addr())
		if e == 0 {
			c.sent = true
			return outcome{}
		}
		out = sendFailed(e)
	}
	return out
}

func (p *pinger) sweep(inUse map[netip.Addr]int) {
	for local, s := range p.socks {
		if inUse[local] == 0 {
			s.close()
			delete(p.socks, local)
		}
	}
	clear(p.failed)
}

const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
	icmpHeader               = 8
	echoLen                  = icmpHeader + 16
)

// appendEcho appends an echo request (RFC 792, RFC 4443 section 4.1) whose data are mark and run.
func appendEcho(dst []byte, v6 bool, id, seq uint16, mark, run uint64) []byte {
	start := len(dst)
	typ := byte(echoRequest4)
	if v6 {
		typ = echoRequest6
	}
	dst = append(dst, typ, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, id)
	dst = binary.BigEndian.AppendUint16(dst, seq)
	dst = binary.BigEndian.AppendUint64(dst, mark)
	dst = binary.BigEndian.AppendUint64(dst, run)
	if !v6 { // the kernel does it for IPv6, where it covers the addresses too
		binary.BigEndian.PutUint16(dst[start+2:], checksum(dst[start:]))
	}
	return dst
}

// checksum is that of RFC 1071, over an even number of octets.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// replyRun returns the run that an echo reply of ours answers.
func replyRun(b []byte, v6 bool, mark uint64) (uint64, bool) {
	typ := byte(echoReply4)
	if v6 {
		typ = echoReply6
	}
	if len(b) < echoLen || b[0] != typ || binary.BigEndian.Uint64(b[icmpHeader:]) != mark {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[icmpHeader+8:]), true
}
