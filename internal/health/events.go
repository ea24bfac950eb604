package health

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/sip"
)

// event takes what came from outside.
func (l *loop) event(e event) {
	switch e.kind {
	case datagram:
		l.datagram(e.from, e.buf.data[:e.buf.n], e.at)
		buffers.Put(e.buf)
	case answered:
		c := l.runs[e.run]
		if c == nil || e.from.IsValid() && e.from.Addr() != c.addr.Addr() {
			l.count.Strays++
			return
		}
		l.finish(c, e.at, e.out)
	case unreachable:
		l.unreachable(e)
	}
}

// unreachable takes an ICMP error. A closed port is final: nothing listens there. No route to a host or network may pass with the
// next routing update, so the check goes on retransmitting and fails for it only when its time is over (RFC 1122 section 4.2.3.9
// says the same of TCP).
func (l *loop) unreachable(e event) {
	c := l.sameAddr[e.from]
	if c == nil {
		l.count.Strays++
	}
	for c != nil {
		next := c.sameAddr
		if e.out.code == PortUnreachable {
			l.finish(c, e.at, e.out)
		} else {
			c.soft = e.out
		}
		c = next
	}
}

// datagram takes what came in on a socket for SIP probes.
func (l *loop) datagram(from netip.AddrPort, b []byte, at time.Time) {
	fault := l.msg.Parse(b)
	m := &l.msg
	if m.NVia == 0 || m.IsRequest || m.Status == 0 {
		l.noise(from, b, fault)
		return
	}
	run, ok := runOf(m.Bytes(m.Via[0].Branch))
	if !ok {
		l.noise(from, b, fault)
		return
	}
	c := l.runs[run]
	// The port may differ: a server that does not know rport answers from whatever port it likes (RFC 3261 section 18.2.2). The
	// branch can't be guessed, so the address is no matter of security, but what answers must be what is probed.
	if c == nil || m.CSeqMethod != sip.Options || from.Addr() != c.addr.Addr() || c.mon.Type != SIP {
		l.count.Strays++
		return
	}
	if m.Status < 200 {
		// RFC 3261 section 17.1.2.2: Proceeding; timer E goes on, at T2. The check still needs its final response.
		if !c.proceeding {
			c.proceeding = true
			c.resend = at.Add(retransmitT2)
			l.arm(c)
		}
		return
	}
	l.finish(c, at, judgeResponse(c.mon, m))
}

// noise remembers that something came from a server under probe that is no SIP response to us, so that the check fails for that and not for
// silence when nothing better comes. SIP of others is only counted.
func (l *loop) noise(from netip.AddrPort, b []byte, fault sip.Fault) {
	l.count.Strays++
	if fault == sip.NoFault || sip.Classify(b) == sip.KindKeepAlive {
		return
	}
	for c := l.sameAddr[from]; c != nil; c = c.sameAddr {
		if c.mon.Type == SIP {
			c.soft = outcome{code: PayloadContentMismatch, detail: fmt.Sprintf("answered what is not SIP (%s): %s", fault, shown(b))}
		}
	}
}

// judgeResponse says whether a final response passes. A fault elsewhere in the message is no matter: what counts is that the
// server answers, and its status.
func judgeResponse(mon *Monitor, m *sip.Msg) outcome {
	out := outcome{code: Success, status: m.Status}
	if !mon.Codes.Has(m.Status) {
		out.code, out.detail = ResponseCodeMismatch, shown(m.Buf[:m.StartEnd])
		return out
	}
	if !holds(m.Buf, mon.SIPResponse) {
		out.code = PayloadContentMismatch
		out.detail = fmt.Sprintf("no %q in %s", mon.SIPResponse, shown(m.Buf[:m.StartEnd]))
	}
	return out
}

// lookedAt is how much of an answer is searched for text, as in Avi.
const lookedAt = 2048

// holds says whether text is in the part of b that is looked at.
func holds(b []byte, text string) bool {
	if len(b) > lookedAt {
		b = b[:lookedAt]
	}
	return bytes.Contains(b, []byte(text))
}

// shownMax is how much of an answer is kept to be shown.
const shownMax = 80

// shown returns the first line of b for people: cut, and free of what disturbs a terminal.
func shown(b []byte) string {
	s := string(b[:min(len(b), shownMax)])
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = s[:i]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}
