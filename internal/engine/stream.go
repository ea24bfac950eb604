package engine

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
)

// stream is a connection. Its goroutine waits with next to nothing in its hands; what has come is read and decided about
// at a desk, of which there are few, message by message, so those of one Call-ID leave in their order.
type stream struct {
	e     *Engine
	conn  *transport.Conn
	flow  uint64
	group *group                         // of the listener that it came in at, or in whose name it was opened
	link  *link                          // of one that we opened; nil for others
	relay atomic.Pointer[transport.Conn] // to the process that decides now; nil: this one does

	claimed  bool             // whether it is an alias has been looked at
	touched  atomic.Bool      // something is queued that somebody is about to send
	underway underway         // of one to a server
	server   *snapshot.Server // that it leads to; nil: nobody of a pool

	framer sip.Framer
	rest   []byte    // what has come of a message that is not there yet
	began  time.Time // when the first of rest came; zero: no message has begun
}

const (
	// maxPerTurn is how many messages of a connection are decided about before others have their turn.
	maxPerTurn = 64
	// never is as good as no limit to crypto and kernel, and a time that can be compared.
	never = 365 * 24 * time.Hour
	// strangerIdle is when a connection that we opened to somebody who is no server ends: minutes are well (RFC 3261 18).
	strangerIdle = 5 * time.Minute
)

// run serves the connection until it ends.
func (s *stream) run() {
	defer s.e.streams.remove(s)
	if s.conn.Start() != nil {
		s.giveBack()
		return
	}
	if s.link != nil {
		s.link.opened()
	}
	s.count(1)
	r := s.serve()
	s.count(-1)
	if r == transport.HandedOver {
		s.leave()
	} else {
		s.end(r)
	}
	s.giveBack()
	s.hangUp()
	s.broken()
}

// count notes that a server takes connections over TCP.
func (s *stream) count(n int32) {
	if s.server != nil && s.group.key.Transport == sip.TCP {
		s.server.Traffic.Streams.Add(n)
	}
}

// serve reads and decides until the connection is to end, and says why.
func (s *stream) serve() transport.Reason {
	for {
		more, reason := s.turn()
		if reason != transport.NotClosed {
			return reason
		}
		if more {
			continue
		}
		until, limit := s.until()
		if err := s.conn.Wait(until); err != nil && err != transport.ErrStirred {
			if r := transport.ReadReason(err); r != transport.Idle || !errors.Is(err, os.ErrDeadlineExceeded) {
				return r
			}
			return limit
		}
	}
}

// until is when the connection has waited long enough, and what that is called.
func (s *stream) until() (time.Time, transport.Reason) {
	now, l := time.Now(), s.e.listenerOf(s.group)
	if !s.began.IsZero() && l != nil {
		return s.began.Add(l.Stream.Message), transport.ReadTimeout
	}
	idle := never
	if s.link != nil && !s.link.wanted.Load() {
		idle = strangerIdle
	} else if s.link == nil && l != nil && l.IdleAfter > 0 {
		idle = l.IdleAfter
	}
	return now.Add(idle), transport.Idle
}

// end closes the connection. Who did not speak SIP gets no last words.
func (s *stream) end(r transport.Reason) {
	switch r {
	case transport.FramingLost, transport.NoServer:
		s.conn.End(r)
	default:
		s.conn.Close(r)
	}
}

// giveBack has decided about what was to be sent and was not.
func (s *stream) giveBack() {
	if data := s.conn.Unsent(); len(data) > 0 {
		s.e.undelivered(s.group, s.conn.Remote, data)
	}
}

// turn reads what is there and decides about the messages in it. more says that there may be more.
func (s *stream) turn() (more bool, reason transport.Reason) {
	defer s.e.outbox.send()
	c := s.e.desks.take()
	defer s.e.desks.give(c)
	if s.e.farewell.Load() != nil {
		return false, transport.HandedOver
	}
	buf := append(c.buf, s.rest...)
	for n := 0; ; {
		k, err := s.conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+k]
		if k > 0 {
			var used int
			used, n, reason = s.frames(c, buf, n)
			if reason != transport.NotClosed {
				c.flush()
				return false, reason
			}
			buf = buf[:copy(buf, buf[used:])]
		}
		drained := k == 0 || s.conn.Drained()
		if err == nil && !drained && n < maxPerTurn {
			continue
		}
		c.hand(&s.e.outbox)
		c.flush()
		s.keep(buf)
		if err != nil {
			return false, transport.ReadReason(err)
		}
		return !drained, transport.NotClosed
	}
}

// keep keeps what is left of a turn, no more octets than there are.
func (s *stream) keep(b []byte) {
	switch {
	case !s.framer.Pending(b):
		s.began = time.Time{}
	case s.began.IsZero():
		s.began = time.Now()
	}
	if len(b) == 0 {
		s.rest = nil
		return
	}
	if cap(s.rest) < len(b) || cap(s.rest) > 2*len(b)+64 {
		s.rest = make([]byte, 0, len(b))
	}
	s.rest = append(s.rest[:0], b...)
}

// frames decides about what stands in b, of which it says how much is done with, and how many frames there were in all.
func (s *stream) frames(c *desk, b []byte, n int) (used, all int, reason transport.Reason) {
	c.begin(s)
	st := &c.worker.input.Listener.Stream
	s.framer.Max, s.framer.NoBody = st.MaxMessage, st.NoBody
	for {
		f := s.framer.Next(b[used:])
		switch f.Kind {
		case sip.FrameMore:
			return used, n, transport.NotClosed
		case sip.FramePing:
			c.worker.tally.reason(proxy.KeepAlive)
			s.conn.Queue(crlf) // RFC 5626 4.4.1
			s.conn.Flush()
		case sip.FrameEmpty:
			c.worker.tally.reason(proxy.KeepAlive)
		case sip.FrameMessage:
			s.conn.CountIn()
			c.message(b[used:used+f.Len], sip.NoFault)
			s.claim(&c.worker.msg)
			s.began = time.Time{}
			if c.worker.hangup {
				return used, n, transport.NoServer
			}
		case sip.FrameLost:
			reason = lostReason(b[used:])
			if reason == transport.FramingLost && f.Len > 0 {
				c.message(b[used:used+f.Len], f.Fault)
			} else {
				c.worker.tally.reason(proxy.Junk)
			}
			return used, n, reason
		}
		used += f.Len
		n++
	}
}

var crlf = []byte("\r\n")

// lostReason tells what speaks where SIP was expected.
func lostReason(b []byte) transport.Reason {
	if len(b) > 2 && b[0] == 0x16 && b[1] == 3 { // a handshake record of TLS
		return transport.TLSOnPlain
	}
	for i, c := range b {
		if c == '\r' || c == '\n' {
			if sip.IsHTTP(b[:i]) {
				return transport.HTTP
			}
			break
		}
	}
	return transport.FramingLost
}

// listenerOf is what a group listens for, as it is now or was when it was last wanted.
func (e *Engine) listenerOf(g *group) *snapshot.Listener {
	l := e.live.Load()
	if l != nil {
		if ln := l.snap.Listener(g.key); ln != nil {
			return ln
		}
	}
	if l = g.last.Load(); l != nil {
		return l.snap.Listener(g.key)
	}
	return nil
}
