package engine

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/stun"
	"github.com/carillon-sip/carillon/internal/tap"
	"github.com/carillon-sip/carillon/internal/transport"
)

// worker is the spine of the data plane: it reads a batch from a socket and,
// message by message, parses, decides, edits and writes. Nothing calls back.
type worker struct {
	e         *Engine
	group     *group
	lane      *lane
	flight    flight
	*gear          // nil while the worker rests
	impatient bool // valid unless it rests: as many as may wait in the kernel are awake
}

// gear is what a worker needs while it works, some 500 KB: one that rests has laid it
// down, for another to take up.
type gear struct {
	live    *live
	in      *transport.Batch
	outs    []queue          // what is sent by listeners of live, as they were needed
	spare   []*transport.Out // of listeners before
	used    []int            // of outs: those that hold something
	news    []int            // listeners whose sockets have ICMP errors that nobody else may hear of
	msg     sip.Msg
	input   proxy.Input
	proxy   *proxy.Proxy
	book    *book  // of the listener's service
	tally   *tally // of book
	calls   [flightBits / 64]uint64
	quote   [quoteRoom]byte
	failed  [maxFailed]failed
	nFailed int
	touched []*stream // that have something to be sent
	text    []byte    // of a message that goes on a stream
	late    bool      // the batch is through; what is decided now is about its failures

	hangup   bool      // the connection that the message came on is to end
	taps     *tap.List // nil: nobody traces
	sighting tap.Sighting
	left     []byte // what was written last; valid iff taps
}

// queue is what is to be sent by a listener.
type queue struct {
	listener int // its Index
	out      *transport.Out
}

const (
	quoteRoom = 1024 // of a datagram that did not arrive, enough for our Via
	// maxPayload4 is the longest UDP payload over IPv4, in octets: 65535 without the
	// headers of IP and UDP. Over IPv6 it is 20 more.
	maxPayload4 = 65507
	maxFailed   = 16 // datagrams of one batch that are taken elsewhere at once; others wait for their retransmission
)

// failed is a datagram that could not be sent.
type failed struct {
	to    netip.AddrPort
	n     int
	start [quoteRoom]byte
}

const (
	// recvWait is how long a worker waits in the kernel before it rests, and for its turn
	// before it lays its gear down.
	recvWait = 500 * time.Millisecond
	// maxReading is how many workers may wait in the kernel: each holds a thread. Others that
	// are awake rest as soon as nothing is there.
	maxReading = 32
)

// run starts the workers of a group, each at one of its lanes.
func (g *group) run(e *Engine, workers int) {
	if g.stream != nil {
		e.wg.Go(func() { g.accept(e) })
		return
	}
	for i := range workers {
		g.workers = append(g.workers, newWorker(e, g, g.lanes[i%len(g.lanes)]))
	}
	for _, w := range g.workers {
		e.wg.Go(w.run)
	}
}

func newWorker(e *Engine, g *group, l *lane) *worker {
	w := &worker{e: e, group: g, lane: l}
	l.workers = append(l.workers, w)
	return w
}

// run works until the socket is closed. A worker begins at rest, and so do thousands.
func (w *worker) run() {
	defer w.layDown()
	timer := time.NewTimer(recvWait)
	defer timer.Stop()
	rest := true
	<-w.lane.turn
	for {
		patient := false
		if rest {
			w.layDown()
			patient = !w.lane.sock.Rest() // who can't rest waits in the kernel
		}
		if w.e.halting.Load() {
			w.lane.pass()
			<-w.lane.turn
			continue
		}
		n, err := w.read(patient)
		rest = n == 0
		switch {
		case err != nil:
			w.lane.pass() // the others are to see it too
			return        // closed
		case !rest && !w.lane.take(timer):
			w.layDown()
			<-w.lane.turn
		}
	}
}

// read serves batch after batch. It has the turn, and gives it away with a batch
// so large that another worker had better read on; then it returns how many that were.
// It keeps it and returns 0 when nothing has come for a while.
func (w *worker) read(patient bool) (int, error) {
	if err := w.pickUp(); err != nil {
		w.e.log.Error("worker has no memory for its batch", "error", err)
		return 0, net.ErrClosed
	}
	wait := recvWait
	if w.impatient && !patient {
		wait = 0
	}
	for {
		n, err := w.lane.sock.Recv(w.in, wait)
		if err != nil {
			return 0, err
		}
		if n == 0 && !w.lane.sock.ErrPending() {
			return 0, nil
		}
		w.lane.enter()
		w.flight.clear()
		w.begin()
		if w.lane.sock.ErrPending() {
			w.unreachable(w.lane)
		}
		help := n >= helpFrom
		if help {
			w.lane.shared.Add(1)
			w.lane.pass()
		}
		if w.live != nil {
			for w.in.Next() {
				w.datagram(w.in.Datagram())
			}
		}
		w.lane.depart(&w.flight)
		w.lane.await(&w.flight)
		w.flush()
		w.lane.land(&w.flight)
		if len(w.news) > 0 {
			w.hear(help)
		}
		if help {
			return n, nil
		}
		if w.e.halting.Load() {
			return 0, nil
		}
	}
}

// begin loads what is configured now, once a batch, and the time.
func (w *worker) begin() {
	if l := w.e.live.Load(); l != w.live {
		w.adopt(l)
	}
	w.tellTime()
}

// tellTime reads the clock, and who traces, for what is decided next.
func (w *worker) tellTime() {
	w.taps = w.e.taps.Now()
	now := time.Now()
	w.input.Now = w.e.tick(now)
	w.input.NowNS = int64(now.Sub(w.e.start))
}

// adopt turns to a new snapshot. A listener that is gone from it is served, until
// its sockets are closed, as it was.
func (w *worker) adopt(l *live) {
	listener := l.snap.Listener(w.group.key)
	if listener == nil && w.live == nil {
		if l = w.group.last.Load(); l == nil {
			return
		}
		listener = l.snap.Listener(w.group.key)
	}
	if listener == nil {
		return
	}
	w.serve(l, listener)
	if b := l.books[listener.Service.Index]; b != w.book {
		if w.book != nil {
			w.book.end(w.tally)
		}
		w.book, w.tally = b, b.begin()
	}
}

// serve makes a listener the one that the next messages came in on.
func (w *worker) serve(l *live, listener *snapshot.Listener) {
	if l != w.live {
		w.live = l
		w.clearOuts()
	}
	w.input.Listener, w.input.Snapshot, w.input.Msg = listener, l.snap, &w.msg
	w.input.State = l.states[listener.Service.Index]
}

// datagram is one message's way.
func (w *worker) datagram(d *transport.Datagram) {
	in := &w.input
	in.From, in.Local = d.From, d.Local
	switch sip.Classify(d.Data) {
	case sip.KindSIP:
	case sip.KindKeepAlive:
		w.noSIP(d, proxy.KeepAlive)
		return
	case sip.KindSTUN:
		w.answerSTUN(d)
		return
	default:
		w.noSIP(d, proxy.Junk)
		return
	}
	w.msg.Parse(d.Data)
	var v proxy.Verdict
	if w.msg.IsRequest {
		v = w.proxy.Request(in)
	} else {
		v = w.proxy.Response(in)
	}
	w.act(&v, report.TraceMessageCame)
}

// noSIP counts a datagram that is no message.
func (w *worker) noSIP(d *transport.Datagram, why proxy.Reason) {
	w.tally.reason(why)
	if w.taps != nil {
		w.tappedJunk(d, why)
	}
}

// act does what a verdict says. what is the word that traces have for the message.
func (w *worker) act(v *proxy.Verdict, what string) {
	if !w.late {
		w.flight.add(v.Order)
	}
	if v.Action == proxy.Forward || v.Action == proxy.Answer {
		w.write(v, len(w.msg.Buf))
	}
	if v.Action != proxy.Resolve { // its end is yet to come
		w.tally.verdict(&w.msg, v)
	}
	if w.taps != nil {
		w.tapped(what, v, w.left)
	}
	w.hangup = w.hangup || v.Hangup
	if v.Suspect != nil {
		w.e.suspect(v.Suspect)
	}
	if v.BackoffS > 0 {
		w.e.askBackoff(v)
	}
	switch v.Action {
	case proxy.Resend:
		w.resend(v)
	case proxy.Resolve:
		if !w.e.resolver.ask(w, v) {
			w.tally.reason(proxy.ResolverFull)
		}
	}
}

// write puts the message of a verdict into the queue of the socket or connection it leaves by. One that can't go makes it a
// verdict to drop it.
func (w *worker) write(v *proxy.Verdict, size int) {
	switch {
	case v.Face.Transport.Stream():
		w.writeStream(v)
	case !w.writeDatagram(v, size):
		v.Action, v.Reason = proxy.Drop, proxy.QueueFull
	}
}

// writeDatagram reports false for what is longer than a datagram can be: a response, since
// requests are refused before.
func (w *worker) writeDatagram(v *proxy.Verdict, size int) bool {
	out := w.out(v.Face.Out)
	room := w.room(out, size+proxy.Growth)
	msg := w.proxy.Append(room, v)
	if v.To.Addr().Is4() && len(msg) > maxPayload4 {
		return false
	}
	if w.taps != nil {
		w.left = msg
	}
	return out.Add(msg, v.To, v.Face.Source, v.Order)
}

// room asks the queue for room, flushing it when it is full.
func (w *worker) room(out *transport.Out, size int) []byte {
	room := out.Room(size)
	if room == nil {
		w.makeRoom(slices.IndexFunc(w.outs, func(q queue) bool { return q.out == out }))
		room = out.Room(min(size, transport.MaxDatagram))
	}
	return room
}

// resend sends a stored request to another server, after the ACK that the first
// one wants; or tells the client that there is none.
func (w *worker) resend(v *proxy.Verdict) {
	if ack, to, face, ok := w.proxy.AppendAck(w.text[:0], &w.input, v); ok {
		if w.taps != nil {
			w.tappedAck(v, ack, to, face)
		}
		w.text = ack[:0]
		w.writeAck(ack, to, face, v)
	}
	next := w.proxy.Again(&w.input, v)
	w.tally.again(&next)
	if next.Action == proxy.Forward || next.Action == proxy.Answer {
		w.write(&next, proxy.StoredMax)
		if w.taps != nil {
			next.Reason = v.Reason
			w.tapped(report.TraceResent, &next, w.left)
		}
	}
}

func (w *worker) writeAck(ack []byte, to netip.AddrPort, face *snapshot.Face, v *proxy.Verdict) {
	if face.Transport.Stream() {
		if s := w.e.streams.toward(face, w.groupOf(face), to, v.Order, v.Server); s != nil {
			w.queue(s, ack)
		}
		return
	}
	out := w.out(face.Out)
	w.room(out, len(ack))
	out.Add(ack, to, face.Source, v.Order)
}

// writeStream puts the message of a verdict into the queue of a connection: the one it names, one that leads to the same
// address, or a new one. A request whose connection is gone is decided about again.
func (w *worker) writeStream(v *proxy.Verdict) {
	var s *stream
	if v.Flow != 0 {
		s = w.e.streams.at(v.Flow)
	}
	if s == nil && v.Flow != 0 {
		switch {
		case v.Action == proxy.Forward && w.msg.IsRequest:
			w.input.Gone = v.Flow
			*v = w.proxy.Request(&w.input)
			w.input.Gone = 0
			if v.Action == proxy.Forward || v.Action == proxy.Answer {
				w.write(v, len(w.msg.Buf))
			}
			return
		case v.Action == proxy.Answer, v.Face.Transport == sip.TLS, !v.To.IsValid():
			v.Action, v.Reason = proxy.Drop, proxy.ConnectionGone
			return
		}
	}
	if s == nil {
		s = w.e.streams.toward(v.Face, w.groupOf(v.Face), v.To, v.Order, v.Server)
	}
	w.text = w.proxy.Append(w.text[:0], v)
	if w.taps != nil {
		w.left = w.text
	}
	if s == nil || !w.queue(s, w.text) {
		w.notSent(v)
	} else if v.Pin != 0 {
		s.underway.add(v.Pin)
	}
}

// queue gives a message to a connection, which is to be flushed: by who touched it first since it was.
func (w *worker) queue(s *stream, b []byte) bool {
	if !s.conn.Queue(b) {
		return false
	}
	s.conn.CountOut()
	if !s.touched.Load() && s.touched.CompareAndSwap(false, true) {
		w.touched = append(w.touched, s)
	}
	return true
}

// notSent has decided anew about a request that no connection could be had for. That takes a desk, and whoever
// decides now must not wait for one.
func (w *worker) notSent(v *proxy.Verdict) {
	if v.Action == proxy.Forward && (w.msg.IsRequest || v.Pin != 0) {
		g, to, data := w.groupOf(v.Face), v.To, slices.Clone(w.text)
		w.e.wg.Go(func() { w.e.undelivered(g, to, data) })
		return
	}
	v.Action, v.Reason = proxy.Drop, proxy.ConnectionGone
}

// out is the queue of what leaves by a listener. There are few: the worker's own, and others of its service.
func (w *worker) out(l *snapshot.Listener) *transport.Out {
	for i := range w.outs {
		if q := &w.outs[i]; q.listener == l.Index {
			if q.out.Len() == 0 {
				w.used = include(w.used, i)
			}
			return q.out
		}
	}
	var o *transport.Out
	if n := len(w.spare); n > 0 {
		o, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		o = transport.NewOut(0, 0) // once for each listener that this one sends by
	}
	w.outs = append(w.outs, queue{l.Index, o})
	w.used = include(w.used, len(w.outs)-1)
	return o
}

// clearOuts forgets of which listeners the queues were. They are empty.
func (g *gear) clearOuts() {
	for _, q := range g.outs {
		g.spare = append(g.spare, q.out)
	}
	g.outs, g.used, g.news = g.outs[:0], g.used[:0], g.news[:0]
}

// laneOf is the lane whose socket the worker sends on for a listener.
func (w *worker) laneOf(i int) *lane {
	g := w.live.groups[i]
	return g.lanes[w.lane.index%len(g.lanes)]
}

// include adds i to a set, which is small.
func include(set []int, i int) []int {
	for _, u := range set {
		if u == i {
			return set
		}
	}
	return append(set, i)
}

// flush sends what is queued, and then what the failures of that have queued.
func (w *worker) flush() {
	for len(w.touched) > 0 {
		last := len(w.touched) - 1
		s := w.touched[last]
		w.touched[last], w.touched = nil, w.touched[:last]
		s.flush()
	}
	for {
		for n := len(w.used); n > 0; n = len(w.used) {
			i := w.used[n-1]
			w.used = w.used[:n-1]
			w.sendQueue(i)
		}
		if w.nFailed == 0 {
			return
		}
		w.retry()
	}
}

// retry has requests that the kernel refused to send (no route, and the like)
// taken to another server, as if the network had said so (RFC 3261 16.9).
func (w *worker) retry() {
	w.late = true
	n := w.nFailed
	for i := range n {
		w.lost(w.failed[i].to, w.failed[i].start[:w.failed[i].n])
	}
	w.late = false
	w.nFailed = copy(w.failed[:], w.failed[n:w.nFailed]) // a full queue was sent meanwhile
}

// makeRoom sends a full queue before the batch is through. Its failures have to
// wait: the message that is being written is not to be forgotten over them.
func (w *worker) makeRoom(i int) {
	if !w.late {
		w.lane.follow(&w.flight)
		w.lane.await(&w.flight)
	}
	w.sendQueue(i)
}

// sendQueue sends one queue and keeps what the kernel refused.
func (w *worker) sendQueue(i int) {
	o, l := w.outs[i].out, w.outs[i].listener
	if o.Len() == 0 {
		return
	}
	sock := w.laneOf(l).sock
	failures := sock.Flush(o)
	if sock.ErrPending() {
		w.news = include(w.news, l)
	}
	if failures == 0 {
		return
	}
	for _, f := range o.Failures() {
		switch transport.ClassOf(f.Errno) {
		case transport.ErrTooLong, transport.ErrFull:
			continue // that is no fault of the server's; the socket has counted it
		}
		if w.nFailed < len(w.failed) && sip.Classify(f.Data) == sip.KindSIP {
			k := &w.failed[w.nFailed]
			k.to, k.n = f.To, copy(k.start[:], f.Data)
			w.nFailed++
		}
	}
}

// lost decides about a datagram of ours, of which start is the beginning, that did
// not arrive.
func (w *worker) lost(to netip.AddrPort, start []byte) {
	w.input.From, w.input.Local, w.input.Flow = to, netip.Addr{}, 0
	w.msg.Parse(start) // cut off: its fault is no news
	v := w.proxy.Unreachable(&w.input, to)
	w.act(&v, report.TraceUnreachable)
}

// maxHear is how often a worker deals with errors about what it sent because of errors.
const maxHear = 4

// hear deals with the ICMP errors of which a flush took the kernel's hint: a worker
// that sleeps in Recv is not woken by it any more, and fail-over would wait for the
// next datagram. The worker's own socket is left to it if it reads there next.
func (w *worker) hear(own bool) {
	here := w.input.Listener
	for range maxHear {
		if !own {
			w.news = slices.DeleteFunc(w.news, func(i int) bool { return w.laneOf(i) == w.lane })
		}
		if len(w.news) == 0 {
			return
		}
		w.lane.enter()
		w.flight.clear()
		w.tellTime()
		for _, i := range w.news {
			w.serve(w.live, w.live.snap.Listeners[i])
			w.unreachable(w.laneOf(i))
		}
		w.serve(w.live, here)
		w.news = w.news[:0]
		w.lane.depart(&w.flight)
		w.lane.await(&w.flight)
		w.flush()
		w.lane.land(&w.flight)
	}
	w.news = w.news[:0]
}

// unreachable reads the ICMP errors that wait at the socket of a lane.
func (w *worker) unreachable(l *lane) {
	for range transport.MaxBatch {
		icmp, ok := l.sock.RecvErr(w.quote[:])
		if !ok {
			return
		}
		if w.live != nil && sip.Classify(icmp.Payload) == sip.KindSIP {
			w.lost(icmp.Dest, icmp.Payload)
		}
	}
}

// answerSTUN answers a Binding request, which a client sends to keep its flow open.
func (w *worker) answerSTUN(d *transport.Datagram) {
	room := w.room(w.out(w.input.Listener), stun.MaxResponse)
	reply, ok := stun.AppendBinding(room, d.Data, d.From)
	if !ok {
		w.noSIP(d, proxy.Junk)
		return
	}
	w.noSIP(d, proxy.STUNAnswered)
	w.out(w.input.Listener).Add(reply, d.From, d.Local, 0)
}
