package engine

import (
	"net/netip"
	"runtime"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// desk is what it takes to decide about messages of streams: a worker without a socket to read, and room to read into.
// Connections borrow one while they have something to do.
type desk struct {
	worker  *worker
	proxies [2]*proxy.Proxy // by family of the listener
	tallies map[*book]*tally
	buf     []byte
}

// deskBuf has room for the longest message and what comes behind it, in octets.
const deskBuf = sip.MaxMessage + 16<<10

// maxDeskTallies is in how many services' books a desk counts at a time.
const maxDeskTallies = 256

// desks is all there are.
type desks struct {
	e    *Engine
	free chan *desk
}

// maxDesks is how many messages of streams may be decided about at a time: more than there are CPUs, for some wait for
// a lock.
func maxDesks() int { return 2*runtime.GOMAXPROCS(0) + 2 }

func newDesks(e *Engine) *desks {
	c := &desks{e: e, free: make(chan *desk, maxDesks())}
	for range cap(c.free) {
		c.free <- nil // made when it is first needed
	}
	return c
}

func (cs *desks) take() *desk {
	c := <-cs.free
	if c != nil {
		return c
	}
	e := cs.e
	w := newWorker(e, nil, new(lane))
	w.gear = new(gear)
	w.flight.calls = &w.gear.calls
	return &desk{worker: w, tallies: map[*book]*tally{}, buf: make([]byte, 0, deskBuf),
		proxies: [2]*proxy.Proxy{proxy.New(e.sealer, e.names[0]), proxy.New(e.sealer, e.names[1])}}
}

func (cs *desks) give(c *desk) {
	if c != nil {
		c.buf = c.buf[:0]
		c.worker.msg.Buf = nil
	}
	cs.free <- c
}

// begin turns to a connection.
func (c *desk) begin(s *stream) {
	c.worker.hangup = false
	c.serve(s.group)
	in := &c.worker.input
	in.From, in.Local, in.Flow = s.conn.Remote, s.conn.Local.Addr(), s.flow
}

// serve makes the worker one of a group's listener, as that is now or, if it is gone, as it was.
func (c *desk) serve(g *group) {
	w := c.worker
	l := w.e.live.Load()
	ln := l.snap.Listener(g.key)
	if ln == nil {
		if last := g.last.Load(); last != nil {
			l, ln = last, last.snap.Listener(g.key)
		}
	}
	if w.live != nil && l != w.live {
		c.close()
	}
	w.serve(l, ln)
	w.tellTime()
	w.flight.clear()
	w.proxy = c.proxies[g.key.Family()]
	b := l.books[ln.Service.Index]
	t := c.tallies[b]
	if t == nil {
		if len(c.tallies) >= maxDeskTallies {
			c.close()
		}
		t = b.begin()
		c.tallies[b] = t
	}
	w.book, w.tally = b, t
}

// close ends the counting in all books.
func (c *desk) close() {
	for b, t := range c.tallies {
		b.end(t)
	}
	clear(c.tallies)
}

// message decides about one. fault is that of the stream, by which nothing can follow it.
func (c *desk) message(b []byte, fault sip.Fault) {
	w := c.worker
	w.msg.Parse(b)
	if fault != sip.NoFault {
		w.msg.Err = fault
	}
	var v proxy.Verdict
	if w.msg.IsRequest {
		v = w.proxy.Request(&w.input)
	} else {
		v = w.proxy.Response(&w.input)
	}
	w.act(&v, report.TraceMessageCame)
}

// hand leaves it to the outbox to send what goes on connections.
func (c *desk) hand(o *outbox) {
	w := c.worker
	if len(w.touched) > 0 {
		o.put(w.touched)
		clear(w.touched)
		w.touched = w.touched[:0]
	}
}

// flush sends what was decided to be sent.
func (c *desk) flush() {
	w := c.worker
	if w.live == nil {
		return
	}
	w.flush()
	if len(w.news) > 0 {
		w.hear(true)
	}
}

// undelivered decides about messages, framed, that were to be sent from a group to an address and were not: requests go to
// another server if they may, else whoever sent them hears of it (RFC 3261 16.9).
func (e *Engine) undelivered(g *group, to netip.AddrPort, data []byte) {
	c := e.desks.take()
	defer e.desks.give(c)
	if f := e.farewell.Load(); f != nil {
		f.undelivered(g, to, data)
		return
	}
	c.serve(g)
	var f sip.Framer
	for len(data) > 0 {
		fr := f.Next(data)
		if fr.Kind == sip.FrameMore || fr.Kind == sip.FrameLost {
			break
		}
		if fr.Kind == sip.FrameMessage {
			c.undelivered(to, data[:fr.Len])
		}
		data = data[fr.Len:]
	}
	c.flush()
}

func (c *desk) undelivered(to netip.AddrPort, b []byte) {
	w := c.worker
	in := &w.input
	in.From, in.Local, in.Flow = to, netip.Addr{}, 0
	w.tally.reason(proxy.Undelivered)
	w.msg.Parse(b)
	if !w.msg.IsRequest {
		return
	}
	v := w.proxy.Unreachable(in, to)
	if v.Reason != proxy.UnreachableStray {
		w.act(&v, report.TraceUnreachable)
		return
	}
	if v.Suspect != nil {
		w.e.suspect(v.Suspect)
	}
	answer := w.proxy.AppendUndelivered(nil, &w.msg, 503, "Service Unavailable")
	if len(answer) == 0 {
		return
	}
	w.msg.Parse(answer)
	v = w.proxy.Response(in)
	w.act(&v, report.TraceUnreachable)
}

// groupOf is the sockets that a face leaves by.
func (w *worker) groupOf(f *snapshot.Face) *group { return w.live.groups[f.Out.Index] }
