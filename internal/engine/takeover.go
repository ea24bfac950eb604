package engine

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/handover"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
)

// Taken is what an engine took over.
type Taken struct {
	Listeners, Connections int
	proxy.Taken
	Halted time.Duration // for so long nobody read
}

// legacy is what one process makes of the numbers of the other.
type legacy struct {
	e       *Engine
	heir    proxy.Heir
	groups  []*group // by the other's number; nil: it is not served any more
	streams []*stream
	taken   Taken
	halted  int64 // handover.Now when the other one stopped reading
}

// TakeOver has the engine, which was started for that, take over what its predecessor knows, and serve. After an error the
// predecessor goes on, and this one is to be stopped.
func (e *Engine) TakeOver() (*Taken, error) {
	c := e.cfg.From
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.newLegacy()
	if err := c.Send(handover.AskTables, nil); err != nil {
		return nil, err
	}
	if err := l.listen(c); err != nil {
		l.forsake()
		return nil, err
	}
	err := c.Send(handover.Loaded, nil)
	if err == nil {
		_, err = c.Expect(handover.Go)
	}
	if err != nil {
		l.forsake()
		return nil, err
	}
	e.estate.close()
	e.estate = nil
	for _, g := range e.groups {
		for _, l := range g.lanes {
			l.sock.Own()
		}
		g.run(e, e.cfg.Workers)
	}
	for _, s := range l.streams {
		e.wg.Go(s.run)
	}
	l.taken.Halted = time.Duration(handover.Now() - l.halted)
	_ = c.Send(handover.Running, nil) // who does not hear it is no more
	e.run()
	e.wg.Go(func() { l.hear(c) })
	return &l.taken, nil
}

func (e *Engine) newLegacy() *legacy {
	es, live := e.estate, e.live.Load()
	l := &legacy{e: e, heir: proxy.Heir{Snapshot: live.snap}}
	l.taken.Listeners = es.adopted
	for _, s := range es.Servers {
		var h snapshot.Handle
		if p := live.snap.Pool(s.Pool); p != nil {
			if sv := p.ServerAt(s.Addr); sv != nil {
				h = sv.Handle
			}
		}
		l.heir.Servers = append(l.heir.Servers, h)
	}
	for _, g := range es.Groups {
		l.groups = append(l.groups, e.groups[g.Key])
		l.heir.Listener = append(l.heir.Listener, live.snap.Listener(g.Key))
	}
	return l
}

// listen takes what is told until all is told.
func (l *legacy) listen(c *handover.Conn) error {
	for {
		m, err := c.Receive()
		if err != nil {
			return fmt.Errorf("handover: waiting for tables: %w", err)
		}
		switch m.Kind {
		case handover.Table:
			err = l.table(m.Data)
		case handover.Streams:
			r := &handover.Reader{B: m.Data}
			for len(r.B) > 0 && len(m.Files) > 0 {
				if s := l.stream(r, m.Files[0]); s != nil {
					l.streams = append(l.streams, s)
				}
				m.Files = m.Files[1:]
			}
			if r.Failed {
				err = fmt.Errorf("handover: %v cannot be read", m.Kind)
			}
		case handover.Told:
			l.halted = int64((&handover.Reader{B: m.Data}).U64())
			return nil
		default:
			err = fmt.Errorf("handover: %q came among tables", m.Kind)
		}
		m.CloseFiles()
		if err != nil {
			return err
		}
	}
}

// table takes what was known of a service.
func (l *legacy) table(b []byte) error {
	r := &handover.Reader{B: b}
	id := string(r.Bytes())
	st := l.e.states[id]
	if st == nil {
		return nil // it is not served any more
	}
	l.heir.NowNS = int64(time.Since(l.e.start))
	n, ok := st.TakeState(r.B, &l.heir)
	if !ok || r.Failed {
		return fmt.Errorf("handover: the table of the virtual service %s cannot be read", id)
	}
	t := &l.taken
	t.Transactions, t.Known, t.Up, t.Requests = t.Transactions+n.Transactions, t.Known+n.Known, t.Up+n.Up, t.Requests+n.Requests
	t.Repeats += n.Repeats
	return nil
}

// stream takes a connection, which is to be run; nil if nobody wants it here.
func (l *legacy) stream(r *handover.Reader, f *os.File) *stream {
	told := r.Stream()
	g := l.group(told.Group)
	if r.Failed || g == nil || g.stream == nil {
		f.Close()
		return nil
	}
	e := l.e
	conn, err := g.stream.AdoptConn(f, told.Remote, told.Local, told.Own)
	if err != nil {
		return nil
	}
	s := &stream{e: e, conn: conn, server: e.serverOf(g, &told), flow: told.Number, group: g, rest: slices.Clone(told.Rest)}
	s.underway.keys = told.Underway
	if len(s.rest) > 0 {
		s.began = time.Now()
	}
	if told.Own {
		k := linkKey{neighbour{g, told.Remote}, told.Slot}
		if link := e.streams.link(k, told.Wanted); link != nil && link.take(s) {
			s.link = link
			link.wanted.Store(told.Wanted)
		}
	}
	if len(told.Unsent) > 0 {
		conn.Queue(told.Unsent)
	}
	if !e.streams.add(s) {
		conn.Close(transport.ListenerClosed)
		return nil
	}
	l.taken.Connections++
	return s
}

// serverOf is the server that a connection leads to which another process had opened; nil: nobody of a pool.
func (e *Engine) serverOf(g *group, told *handover.Stream) *snapshot.Server {
	ln := e.listenerOf(g)
	if ln == nil || !told.Own || !told.Wanted {
		return nil
	}
	for _, p := range ln.Service.Pools() {
		if sv := p.ServerAt(told.Remote); sv != nil {
			return sv
		}
	}
	return nil
}

// take makes a connection that another process had opened the link's, if that has none.
func (l *link) take(s *stream) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != nil {
		return false
	}
	l.stream = s
	return true
}

func (l *legacy) group(n uint32) *group {
	if int(n) < len(l.groups) {
		return l.groups[n]
	}
	return nil
}

// forsake lets go of connections that stay with the other process after all.
func (l *legacy) forsake() {
	for _, s := range l.streams {
		s.conn.Forsake()
	}
}

// hear hears what comes late, until the other process is no more.
func (l *legacy) hear(c *handover.Conn) {
	for {
		m, err := c.Receive()
		if err != nil {
			return
		}
		r := &handover.Reader{B: m.Data}
		if m.Kind == handover.Late {
			l.late(r, m)
		}
		m.CloseFiles()
	}
}

func (l *legacy) late(r *handover.Reader, m *handover.Message) {
	k := handover.LateKind(r.U8())
	if k == handover.LateStream {
		if len(m.Files) == 0 {
			return
		}
		f := m.Files[0]
		m.Files = m.Files[1:]
		if s := l.stream(r, f); s != nil {
			l.e.wg.Go(s.run)
		}
		return
	}
	d := r.Datagram()
	g := l.group(d.Group)
	switch {
	case r.Failed || g == nil || l.e.listenerOf(g) == nil:
	case k == handover.LateUndelivered:
		l.e.undelivered(g, d.From, d.Data)
	case k == handover.LateMessage:
		l.e.belated(g, &d)
	}
}

// belated decides about a message that came to another process.
func (e *Engine) belated(g *group, d *handover.Datagram) {
	c := e.desks.take()
	defer e.desks.give(c)
	if f := e.farewell.Load(); f != nil { // this process was replaced meanwhile
		d.Group = f.number(g)
		f.tell(handover.LateMessage, d)
		return
	}
	c.serve(g)
	w := c.worker
	w.input.From, w.input.Local, w.input.Flow = d.From, d.Local, d.Stream
	w.msg.Parse(d.Data)
	v := w.proxy.Request(&w.input)
	w.act(&v, report.TraceMessageCame)
	c.flush()
}
