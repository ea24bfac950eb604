package engine

import (
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/transport"
)

// What is sent once more without its client doing anything for it: requests that changed from a stream to datagrams, and
// those whose connection to a server broke.

// sendAgain sends what is due.
func (e *Engine) sendAgain() {
	l := e.live.Load()
	for _, s := range l.states {
		if kept, _ := s.Repeats(); kept == 0 {
			continue
		}
		e.sendDue(l, s)
	}
}

func (e *Engine) sendDue(l *live, s *proxy.State) {
	c := e.desks.take() // before anything is taken out of the state, which another process may be about to have
	defer e.desks.give(c)
	if e.farewell.Load() != nil {
		return
	}
	now := int64(time.Since(e.start))
	for {
		req, over, ok := s.Due(now, l.snap, c.buf[:0])
		if !ok {
			return
		}
		c.again(&req, over)
		c.flush()
	}
}

// again decides about a stored request as if its client had sent it once more, or gives it up.
func (c *desk) again(req *proxy.Stored, over bool) {
	w := c.worker
	l := w.e.live.Load()
	ln := l.snap.Listener(req.Listener.Key)
	if ln == nil {
		return // it went this very moment
	}
	c.serve(l.groups[ln.Index])
	in := &w.input
	in.From, in.Local, in.Flow = req.From, req.Local, req.Flow
	w.msg.Parse(req.Data)
	var v proxy.Verdict
	if over {
		v = w.proxy.TimedOut(in)
	} else {
		in.Again = true
		v = w.proxy.Request(in)
		in.Again = false
	}
	w.act(&v, report.TraceResent)
}

// underway is which requests went on a connection to a server lately: keys of their transactions.
type underway struct {
	mu   sync.Mutex
	keys []uint64
	next int // the oldest of a full ring
}

// maxUnderway is how many requests a connection remembers: those before are answered mostly.
const maxUnderway = 1024

func (u *underway) add(key uint64) {
	u.mu.Lock()
	if len(u.keys) < maxUnderway {
		u.keys = append(u.keys, key)
	} else {
		u.keys[u.next] = key
		u.next = (u.next + 1) % maxUnderway
	}
	u.mu.Unlock()
}

// take gives all, the oldest first.
func (u *underway) take() []uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := append(u.keys[u.next:len(u.keys):len(u.keys)], u.keys[:u.next]...)
	u.keys, u.next = nil, 0
	return all
}

// broken has decided about what had gone to a server on a connection that is no more, and was not answered.
func (s *stream) broken() {
	keys := s.underway.take()
	if len(keys) == 0 || s.conn.Closed() == transport.ListenerClosed {
		return
	}
	c := s.e.desks.take()
	defer s.e.desks.give(c)
	if s.e.farewell.Load() != nil {
		return
	}
	seen := make(map[uint64]bool, len(keys))
	for _, k := range keys {
		if seen[k] {
			continue // it was sent more than once
		}
		seen[k] = true
		c.serve(s.group)
		w := c.worker
		w.input.From, w.input.Flow = s.conn.Remote, 0
		w.msg.Parse(nil)
		req, v, ok := w.proxy.Broken(&w.input, k, s.conn.Remote, c.buf[:0])
		switch {
		case ok:
			c.again(&req, false)
		case v.Reason != proxy.UnreachableStray:
			w.act(&v, report.TraceUnreachable)
		}
	}
	c.flush()
}
