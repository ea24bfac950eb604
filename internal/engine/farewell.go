package engine

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/handover"
	"github.com/carillon-sip/carillon/internal/transport"
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
	if fd, relay, ok = s.conn.Share(); !ok {
		s.conn.Release()
		return 0, nil, false
	}
	s.conn.Stir()
	s.record(f.number(s.group), relay != nil, unsent).Append(w)
	return fd, relay, true
}

// record is what the other side has to know of a connection.
func (s *stream) record(group uint32, relay bool, unsent []byte) *handover.Stream {
	r := &handover.Stream{Relay: relay, Group: group, Number: s.flow, Remote: s.conn.Remote, Local: s.conn.Local, Rest: s.rest, Unsent: unsent}
	s.underway.mu.Lock()
	r.Underway = slices.Clone(s.underway.keys)
	s.underway.mu.Unlock()
	if l := s.link; l != nil {
		r.Own, r.Slot, r.Wanted = true, l.key.slot, l.wanted.Load()
	}
	return r
}

// Farewell is an engine of which another process has all but connections that can't be given.
type Farewell struct {
	Halted time.Duration // for so long nobody read
	Given  int           // connections
	Stay   int           // connections of TLS, which lead here

	e       *Engine
	c       *handover.Conn
	numbers map[*group]uint32
}

// leave lets go of what the other process has now.
func (f *frozen) leave(c *handover.Conn) *Farewell {
	e := f.e
	out := &Farewell{Halted: time.Since(f.began), e: e, c: c, numbers: f.numbers}
	c.Limit(time.Time{})
	e.farewell.Store(out)
	e.rest()
	for i, s := range f.streams {
		if f.relays[i] == nil {
			s.conn.Forsake()
			out.Given++
		} else if r, err := transport.NewRelay(f.relays[i], s.group.stream.Options()); err == nil {
			s.relay.Store(r)
			out.Stay++
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
	fd, ours, ok := s.conn.Share()
	if !ok {
		s.conn.Release()
		return
	}
	var w handover.Writer
	w.U8(uint8(handover.LateStream))
	s.record(f.number(s.group), ours != nil, unsent).Append(&w)
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
	f.tell(handover.LateUndelivered, &handover.Datagram{Group: f.number(g), From: to, Data: data})
}

// message has the other process decide about a message that waited.
func (f *Farewell) message(q *waiting) {
	for g, i := range f.numbers {
		if g.key == q.key {
			f.tell(handover.LateMessage, &handover.Datagram{Group: i, From: q.from, Local: q.local, Stream: q.flow, Data: q.data})
		}
	}
}

func (f *Farewell) tell(k handover.LateKind, d *handover.Datagram) {
	var w handover.Writer
	w.U8(uint8(k))
	d.Append(&w)
	_ = f.c.Send(handover.Late, w.B) // if that is no more, nobody is
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
