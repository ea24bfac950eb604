package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/handover"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Limits of a hot restart, as the process that leaves sees them.
const (
	// readyLimit is how long the successor may take from asking for sockets to asking for the rest. Nothing stands still
	// meanwhile.
	readyLimit = time.Minute
	// haltLimit is how long workers and desks may take to come to a halt.
	haltLimit = 500 * time.Millisecond
	// takeLimit is how long reading may stand still: then the successor is given up.
	takeLimit = 5 * time.Second
	// streamsAtATime is how many connections go in one message.
	streamsAtATime = 100
)

// frozen is an engine in which nothing is decided.
type frozen struct {
	e       *Engine
	lanes   []*lane
	turns   int // of lanes: whose turn is ours
	desks   []*desk
	order   []*group
	numbers map[*group]uint32 // in order
	streams []*stream         // that were told
	relays  []*os.File        // our ends of what takes the place of connections of TLS; nil: the connection itself was given
	room    [][]byte          // for each service, beginning with its ID
	began   time.Time
}

// HandOver gives sockets, tables and connections to the process at the other end, when that asks for them. The engine goes
// on serving until the other is ready, and on an error as if nothing had been. Nobody may call Apply meanwhile.
func (e *Engine) HandOver(c *handover.Conn) (*Farewell, error) {
	c.Limit(time.Now().Add(readyLimit))
	defer c.Limit(time.Time{})
	m, err := c.Expect(handover.AskSockets)
	if err != nil {
		return nil, err
	}
	m.CloseFiles()
	e.mu.Lock()
	if e.rest == nil {
		e.mu.Unlock()
		return nil, errors.New("handover: this engine has not taken over itself yet")
	}
	es, order, fds, err := e.describe()
	all := e.withLeaving(order)
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(es)
	if err == nil {
		err = c.Send(handover.Sockets, data, fds...)
	}
	handover.CloseAll(fds)
	if err != nil {
		return nil, err
	}
	defer hurry(all, false)
	hurry(all, true)
	hurried := time.Now()
	if _, err = c.Expect(handover.AskTables); err != nil {
		return nil, err
	}
	time.Sleep(time.Until(hurried.Add(recvWait))) // who waits in the kernel since before comes back by then
	return e.handOver(c, order)
}

// withLeaving adds the groups that linger: these decide too, and are to come to a halt. The caller holds e.mu.
func (e *Engine) withLeaving(groups []*group) []*group {
	groups = slices.Clip(groups)
	for _, l := range e.leaving {
		groups = append(groups, l.groups...)
	}
	return groups
}

func hurry(order []*group, on bool) {
	for _, g := range order {
		for _, l := range g.lanes {
			l.sock.Hurry(on)
		}
	}
}

// handOver stops reading, tells, and lets go when the other side reads.
func (e *Engine) handOver(c *handover.Conn, order []*group) (*Farewell, error) {
	f := &frozen{e: e, order: order, numbers: make(map[*group]uint32, len(order))}
	for i, g := range order {
		f.numbers[g] = uint32(i)
	}
	e.mu.Lock()
	e.tending.Lock()
	f.rooms()
	f.began = time.Now()
	c.Limit(f.began.Add(takeLimit))
	err := f.halt()
	if err == nil {
		err = f.tell(c)
	}
	if err == nil {
		_, err = c.Expect(handover.Loaded)
	}
	if err == nil {
		err = c.Send(handover.Go, nil)
	}
	if err != nil {
		f.thaw()
		return nil, err
	}
	// From here on only the other's end brings this one back to work: it may be reading.
	if _, err = c.Expect(handover.Running); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		f.thaw()
		return nil, err
	}
	return f.leave(c), nil
}

// rooms makes room for what is to be told, so that nobody waits for that.
func (f *frozen) rooms() {
	for _, s := range f.e.live.Load().snap.Services {
		w := handover.Writer{B: make([]byte, 0, len(s.ID)+proxy.StateSize(f.e.states[s.ID].Held()))}
		w.Bytes([]byte(s.ID))
		f.room = append(f.room, w.B)
	}
}

// halt brings all who decide to a stop.
func (f *frozen) halt() error {
	e := f.e
	late := time.NewTimer(haltLimit)
	defer late.Stop()
	e.halting.Store(true)
	for _, g := range e.withLeaving(f.order) {
		if g.stream != nil {
			g.stream.Pause()
		}
		f.lanes = append(f.lanes, g.lanes...)
	}
	for _, l := range f.lanes {
		l.sock.Wake(true)
	}
	for _, l := range f.lanes {
		select {
		case <-l.turn:
			f.turns++
		case <-late.C:
			return fmt.Errorf("handover: the workers of %v do not come to a halt", l.sock.LocalAddr())
		}
		l.decide.Lock()
	}
	for range cap(e.desks.free) {
		select {
		case d := <-e.desks.free:
			f.desks = append(f.desks, d)
		case <-late.C:
			return errors.New("handover: the connections do not come to a halt")
		}
	}
	for _, l := range f.lanes { // what is decided is sent
		for _, w := range l.workers {
			for end := time.Now().Add(haltLimit); w.flight.batch.Load() != 0; {
				if time.Now().After(end) {
					return fmt.Errorf("handover: the workers of %v do not send", l.sock.LocalAddr())
				}
				runtime.Gosched()
			}
		}
	}
	return nil
}

// release lets everybody go on.
func (f *frozen) release() {
	e := f.e
	for _, s := range f.streams {
		s.conn.Settle()
	}
	e.halting.Store(false)
	for i, l := range f.lanes {
		l.sock.Wake(false)
		if i < f.turns {
			l.decide.Unlock()
			l.pass()
		}
	}
	for _, g := range e.withLeaving(f.order) {
		if g.stream != nil {
			g.stream.Resume()
		}
	}
	for _, d := range f.desks {
		e.desks.give(d)
	}
	e.tending.Unlock()
	e.mu.Unlock()
}

// thaw has the engine go on as before.
func (f *frozen) thaw() {
	for i, s := range f.streams {
		s.conn.Release()
		if r := f.relays[i]; r != nil {
			r.Close()
		}
	}
	f.release()
}

// tell tells what is known.
func (f *frozen) tell(c *handover.Conn) error {
	e := f.e
	l := e.live.Load()
	listener := func(ln *snapshot.Listener) uint32 { return f.number(e.groups[ln.Key]) }
	for i, s := range l.snap.Services {
		if err := c.Send(handover.Table, e.states[s.ID].AppendState(f.room[i], listener)); err != nil {
			return err
		}
	}
	if err := f.tellStreams(c); err != nil {
		return err
	}
	var w handover.Writer
	w.U64(uint64(handover.Now() - int64(time.Since(f.began))))
	return c.Send(handover.Told, w.B)
}

// number is under what the other side knows a group; of one that it does not know a number that is too large.
func (f *frozen) number(g *group) uint32 {
	if i, ok := f.numbers[g]; ok {
		return i
	}
	return uint32(len(f.order))
}
