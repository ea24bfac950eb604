package engine

import (
	"context"
	"net/netip"
	"os"
	"time"

	"github.com/carillon-sip/carillon/internal/handover"
	"github.com/carillon-sip/carillon/internal/transport"
)

// What a connection is told as, in Streams and Late: see appendStream. The kinds of Late are the first octet.
const (
	lateStream      = iota + 1 // a connection
	lateUndelivered            // messages that were to be sent and were not
	lateMessage                // a message that waited for the address of a name
)

// Flags of a connection that is told.
const (
	streamLink   = 1 << iota // we opened it
	streamWanted             // it leads to a server of a pool
	streamRelay              // the file leads to the process that has the connection
)

// tellStreams tells of the connections, a few at a time. Those that are not open yet come late.
func (f *frozen) tellStreams(c *handover.Conn) error {
	ss := f.e.streams
	ss.mu.RLock()
	all := make([]*stream, 0, len(ss.byFlow))
	for _, s := range ss.byFlow {
		all = append(all, s)
	}
	ss.mu.RUnlock()
	for len(all) > 0 {
		n := min(len(all), streamsAtATime)
		var w handover.Writer
		var fds []int
		for _, s := range all[:n] {
			fd, relay, ok := f.describeStream(&w, s)
			if ok {
				fds, f.streams, f.relays = append(fds, fd), append(f.streams, s), append(f.relays, relay)
			}
		}
		err := c.Send(handover.Streams, w.B, fds...)
		handover.CloseAll(fds)
		if err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// describeStream writes what the other side has to know of a connection, and gives the descriptor that it gets; for TLS our end of what
// leads here, too.
func (f *frozen) describeStream(w *handover.Writer, s *stream) (fd int, relay *os.File, ok bool) {
	if _, known := f.numbers[s.group]; !known {
		return 0, nil, false // of a listener that is about to close
	}
	unsent, ok := s.conn.Hold()
	if !ok {
		return 0, nil, false
	}
	if fd, relay, ok = wayTo(s.conn); !ok {
		s.conn.Release()
		return 0, nil, false
	}
	s.conn.Stir()
	appendStream(w, s, f.number(s.group), relay != nil, unsent)
	return fd, relay, true
}

// wayTo is the descriptor by which another process has a connection: its own or, where TLS is ended here, one that leads here.
func wayTo(c *transport.Conn) (fd int, ours *os.File, ok bool) {
	if c.Plain() {
		fd = -1
		err := c.Descriptor(func(n int) {
			if d, err := handover.Dup(n); err == nil {
				fd = d
			}
		})
		return fd, nil, err == nil && fd >= 0
	}
	ours, theirs, err := handover.Pipe()
	if err != nil {
		return 0, nil, false
	}
	defer theirs.Close()
	fd, err = handover.Dup(int(theirs.Fd()))
	if err != nil {
		ours.Close()
		return 0, nil, false
	}
	return fd, ours, true
}

func appendStream(w *handover.Writer, s *stream, group uint32, relay bool, unsent []byte) {
	var flags, slot uint8
	if l := s.link; l != nil {
		flags, slot = streamLink, l.key.slot
		if l.wanted.Load() {
			flags |= streamWanted
		}
	}
	if relay {
		flags |= streamRelay
	}
	w.U8(flags)
	w.U8(slot)
	w.U32(group)
	w.U64(s.flow)
	w.Addr(s.conn.Remote)
	w.Addr(s.conn.Local)
	w.Bytes(s.rest)
	w.Bytes(unsent)
}

// Farewell is an engine of which another process has all but connections that can't be given.
type Farewell struct {
	Halted time.Duration // for so long nobody read
	Told   int           // connections that were given, and that lead here

	e       *Engine
	c       *handover.Conn
	numbers map[*group]uint32
}

// leave lets go of what the other process has now.
func (f *frozen) leave(c *handover.Conn) *Farewell {
	e := f.e
	out := &Farewell{Halted: time.Since(f.began), Told: len(f.streams), e: e, c: c, numbers: f.numbers}
	c.Limit(time.Time{})
	e.farewell.Store(out)
	e.rest()
	for i, s := range f.streams {
		if f.relays[i] == nil {
			s.conn.Forsake()
		} else if r, err := transport.NewRelay(f.relays[i], s.group.stream.Options()); err == nil {
			s.relay.Store(r)
			if s.conn.Closed() != transport.NotClosed { // its goroutine may not have seen it
				s.hangUp()
			}
		}
	}
	for _, g := range f.order {
		if g.stream != nil {
			g.stream.Close()
		}
		for _, l := range g.lanes {
			l.sock.Detach()
		}
	}
	for _, l := range e.leaving {
		for _, g := range l.groups {
			g.close()
			e.streams.closeGroup(g)
		}
	}
	f.release()
	e.taps.Close()
	e.health.Close()
	return out
}

// leave is what becomes of a connection in the process that leaves: what comes on it goes to the other, which decides.
func (s *stream) leave() {
	f := s.e.farewell.Load()
	if s.relay.Load() == nil && s.conn.Closed() == transport.NotClosed { // it was not open when the others were told
		f.late(s)
	}
	if r := s.relay.Load(); r != nil {
		s.conn.Relay(r)
		return
	}
	s.conn.Forsake()
}

// hangUp ends what leads to the other process.
func (s *stream) hangUp() {
	if r := s.relay.Swap(nil); r != nil {
		r.Close(transport.PeerClosed)
	}
}

func (f *Farewell) late(s *stream) {
	unsent, ok := s.conn.Hold()
	if !ok {
		return
	}
	fd, ours, ok := wayTo(s.conn)
	if !ok {
		s.conn.Release()
		return
	}
	var w handover.Writer
	w.U8(lateStream)
	appendStream(&w, s, f.number(s.group), ours != nil, unsent)
	err := f.c.Send(handover.Late, w.B, fd)
	handover.CloseAll([]int{fd})
	if ours == nil {
		return
	}
	if r, relayErr := transport.NewRelay(ours, s.group.stream.Options()); relayErr == nil && err == nil {
		s.relay.Store(r)
	}
}

func (f *Farewell) number(g *group) uint32 {
	if i, ok := f.numbers[g]; ok {
		return i
	}
	return uint32(len(f.numbers))
}

// undelivered has the other process decide about messages that were to go from a group to an address.
func (f *Farewell) undelivered(g *group, to netip.AddrPort, data []byte) {
	var w handover.Writer
	w.U8(lateUndelivered)
	w.U32(f.number(g))
	w.Addr(to)
	w.Bytes(data)
	_ = f.c.Send(handover.Late, w.B) // if that is no more, nobody is
}

// message has the other process decide about a message that waited.
func (f *Farewell) message(q *waiting) {
	var w handover.Writer
	w.U8(lateMessage)
	n := uint32(len(f.numbers))
	for g, i := range f.numbers {
		if g.key == q.key {
			n = i
		}
	}
	w.U32(n)
	w.Addr(q.from)
	w.Addr(netip.AddrPortFrom(q.local, 0))
	w.U64(q.flow)
	w.Bytes(q.data)
	_ = f.c.Send(handover.Late, w.B)
}

// lookAgain is how often the end of what is left is looked for.
const lookAgain = 20 * time.Millisecond

// Serve serves what is left, until nothing is or the context ends, and stops the engine.
func (f *Farewell) Serve(ctx context.Context) {
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	for f.Left() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	f.e.Stop()
	f.c.Close()
}

// Left is how many connections and messages are not with the other process yet.
func (f *Farewell) Left() int {
	ss := f.e.streams
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	return len(ss.byFlow) + int(f.e.resolver.waiting.Load())
}
