package health

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/sip"
)

const (
	// retransmitT1 and retransmitT2 pace the retransmissions of a probe, as timer E does those of a non-INVITE request: after T1,
	// then twice as long each time up to T2; T2 after a provisional response. RFC 3261 sections 17.1.1.1 and 17.1.2.2.
	retransmitT1 = 500 * time.Millisecond
	retransmitT2 = 4 * time.Second
	// startBurst is how far ahead of MaxStarts the loop may run, so that its timer need not be exact.
	startBurst = 10 * time.Millisecond
	// lateAfter is from when on a start counts as late.
	lateAfter = time.Second
	// openRetry is how long a check waits when MaxOpen checks with sockets of their own are under way.
	openRetry = 100 * time.Millisecond
	// ownSocketGrace is how much longer than receive_timeout the loop waits for a probe that watches its own, and knows better why it
	// failed. It always reports, if late on a machine that is busy.
	ownSocketGrace = 5 * time.Second
	// eventQueue and kickQueue bound what waits for the loop.
	eventQueue = 1024
	kickQueue  = 256
)

// prober sends probes of one kind. Only the loop calls it; what comes of a probe reaches the loop as events that carry its run.
type prober interface {
	// send sends the probe of the run c is in: c.attempt 0 first, then retransmissions with the same bytes. An outcome other than
	// Success ends the check; with c.sent still false nothing has left this machine.
	send(c *check) outcome
	// retransmits says whether there are attempts after the first.
	retransmits() bool
	// ownSocket says whether each probe has a socket of its own, counted against MaxOpen.
	ownSocket() bool
	// sweep lets go of what no local address in use needs.
	sweep(inUse map[netip.Addr]int)
}

// event is something that came from outside the loop. Exactly one of the groups of fields is used, by kind.
type event struct {
	kind eventKind
	run  uint64         // answered
	from netip.AddrPort // datagram, answered (may be invalid): who sent it. unreachable: where ours was going
	at   time.Time      // when it was read from the socket
	out  outcome        // answered, unreachable
	buf  *buffer        // datagram
}

type eventKind uint8

const (
	datagram    eventKind = iota // SIP bytes: run is in the branch
	answered                     // a prober knows run and outcome
	unreachable                  // ICMP, for all checks in flight to an address
)

// buffer carries a datagram from a socket to the loop.
type buffer struct {
	n    int
	data [8192]byte // more of a response to OPTIONS is not looked at
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// loop owns all that is learned. Its fields are used by its goroutine only, but for the channels and the atomics.
type loop struct {
	cfg    Config
	begin  time.Time
	random *rand.Rand

	events   chan event
	commands chan func()
	kicks    chan *server
	stop     chan struct{} // closed to end the loop
	wg       sync.WaitGroup

	pools    *poolMap
	locals   map[netip.Addr]int // checks by the local address that they use
	unused   bool               // one of locals has just become 0
	stats    map[statsKey]*monitorStats
	starts   queue // checks waiting to begin
	timers   queue // checks in flight, by retransmission or deadline
	runs     map[uint64]*check
	sameAddr map[netip.AddrPort]*check // checks in flight over shared sockets by the address probed, a list
	pace     time.Time                 // when the next start is allowed, but for startBurst
	fresh    int                       // quick starts given a time by the Apply under way
	open     int                       // checks in flight with a socket of their own
	probers  map[proberKind]prober
	msg      sip.Msg
	changes  *outbox
	count    Stats // the counters of it

	kicksCut, dropped atomic.Uint64
}

func (l *loop) run() {
	defer l.wg.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(l.work(time.Now()))
		select {
		case <-timer.C:
		case e := <-l.events:
			l.event(e)
		case f := <-l.commands:
			f()
		case s := <-l.kicks:
			l.kick(s, time.Now())
		case <-l.stop:
			l.shut()
			return
		}
	}
}

// shut ends everything that is in flight.
func (l *loop) shut() {
	for _, c := range l.runs {
		l.end(c)
	}
	for _, p := range l.probers {
		p.sweep(nil)
	}
}

// work does what is due and returns how long there is nothing to do.
func (l *loop) work(now time.Time) time.Duration {
	for len(l.timers) > 0 && !l.timers[0].at.After(now) {
		l.timer(l.timers[0], now)
	}
	wait := l.startDue(now)
	if len(l.timers) > 0 {
		wait = min(wait, l.timers[0].at.Sub(now))
	}
	return max(wait, 0)
}

// startDue begins the checks that are due, as fast as MaxStarts allows, and returns how long it has nothing to begin.
func (l *loop) startDue(now time.Time) time.Duration {
	per := time.Second / time.Duration(l.cfg.MaxStarts)
	for len(l.starts) > 0 {
		c := l.starts[0]
		if wait := c.at.Sub(now); wait > 0 {
			return wait
		}
		if ahead := l.pace.Sub(now); ahead > startBurst {
			return ahead - startBurst
		}
		if c.p.ownSocket() && l.open >= l.cfg.MaxOpen {
			c.put(&l.starts, now.Add(openRetry))
			l.count.Late++
			continue
		}
		if l.pace.Before(now) {
			l.pace = now
		}
		l.pace = l.pace.Add(per)
		l.start(c, now)
	}
	return time.Hour
}

// start begins a check: the first probe leaves.
func (l *loop) start(c *check, now time.Time) {
	l.count.Lag = now.Sub(c.at)
	if l.count.Lag > lateAfter {
		l.count.Late++
	}
	l.count.Started++
	c.take()
	for c.run == 0 || l.runs[c.run] != nil {
		c.run = l.random.Uint64()
	}
	l.runs[c.run] = c
	c.started, c.deadline, c.resend = now, now.Add(c.mon.Timeout), time.Time{}
	if c.p.ownSocket() {
		l.open++
		c.deadline = c.deadline.Add(ownSocketGrace)
	} else {
		c.sameAddr = l.sameAddr[c.addr]
		l.sameAddr[c.addr] = c
	}
	c.attempt, c.proceeding, c.sent, c.soft = 0, false, false, outcome{}
	if out := c.p.send(c); out.code != Success {
		l.finish(c, now, out)
		return
	}
	if c.p.retransmits() {
		c.resend = now.Add(retransmitT1)
	}
	l.arm(c)
}

// arm puts a check in flight where its next retransmission or its deadline finds it.
func (l *loop) arm(c *check) {
	at := c.deadline
	if !c.resend.IsZero() && c.resend.Before(at) {
		at = c.resend
	}
	c.put(&l.timers, at)
}

// timer is called for a check in flight whose time has come.
func (l *loop) timer(c *check, now time.Time) {
	if !c.deadline.After(now) {
		out := c.soft
		switch {
		case out.code != Success:
		case c.p.ownSocket(), c.sent:
			out = outcome{code: NoResponse}
		default:
			out = outcome{code: ProbeNotSent, detail: "the socket took no datagram"}
		}
		l.finish(c, now, out)
		return
	}
	c.attempt++
	l.count.Retransmissions++
	if out := c.p.send(c); out.code != Success {
		if !c.sent {
			l.finish(c, now, out)
			return
		}
		c.soft = out // an answer to what left before may still come
	}
	c.resend = now.Add(min(retransmitT1<<min(c.attempt, 8), retransmitT2))
	if c.proceeding {
		c.resend = now.Add(retransmitT2)
	}
	l.arm(c)
}

// end takes a check out of flight, whatever came of it.
func (l *loop) end(c *check) {
	c.take()
	delete(l.runs, c.run)
	c.run = 0
	if c.p.ownSocket() {
		l.open--
	} else {
		l.unlist(c)
	}
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
	}
}

// unlist takes c out of the list of checks in flight to its address.
func (l *loop) unlist(c *check) {
	if head := l.sameAddr[c.addr]; head != c {
		for head.sameAddr != c {
			head = head.sameAddr
		}
		head.sameAddr = c.sameAddr
	} else if c.sameAddr != nil {
		l.sameAddr[c.addr] = c.sameAddr
	} else {
		delete(l.sameAddr, c.addr)
	}
	c.sameAddr = nil
}

// finish records the result of a check, moves its machine and puts it where its next start finds it.
func (l *loop) finish(c *check, now time.Time, out outcome) {
	l.end(c)
	latency := now.Sub(c.started)
	if out.silent {
		latency = 0
	}
	c.hist.add(now.Sub(l.begin), out, latency)
	c.stats.add(out, latency)
	c.lastStart = c.started
	if out.code != Success {
		c.route = netip.Addr{} // it may have changed
	}
	wasQuick := c.m.quick > 0
	changed := c.m.observe(now, out.code, c.mon)
	next := c.started.Add(c.m.delay(c.mon, wasQuick, l.random.Float64()))
	if next.Before(now) {
		next = now
	}
	c.put(&l.starts, next)
	if changed {
		l.settle(c.srv, now)
	}
}

// settle works out the state of a server anew, and tells if it changed.
func (l *loop) settle(s *server, now time.Time) {
	t := tally{all: len(s.checks)}
	reason, detail := NotSettled, ""
	for _, c := range s.checks {
		switch c.m.state {
		case Up:
			t.up++
		case Down:
			t.down++
			if t.down == 1 {
				reason, detail = c.m.reason, c.hist.failureDetail
			}
		}
	}
	to := judge(s.state, t, s.minUp)
	switch {
	case t.all == 0:
		reason, detail = NoMonitor, ""
	case to == Up:
		reason, detail = Success, ""
	case to == Down && t.up > 0 && s.minUp > 0:
		reason = InsufficientMonitorsUp
	}
	s.reason = reason
	if to == s.state {
		return
	}
	s.state, s.since = to, now
	s.public.Store(uint32(to))
	l.changes.put(s.key, Change{
		Pool: s.key.pool, Server: s.key.addr, State: to, Up: to == Up, Reason: reason, Detail: detail, At: now,
	})
}

// kick brings the checks of a server forward.
func (l *loop) kick(s *server, now time.Time) {
	if s.gone || s.paused {
		return
	}
	l.count.KicksObeyed++
	for _, c := range s.checks {
		c.m.begin(c.mon)
		if c.run != 0 {
			continue // its end finds the quick pace
		}
		switch next := c.lastStart.Add(QuickStartInterval); {
		case !next.After(now):
			c.hurry(&l.starts, now)
		case c.at.After(next):
			c.put(&l.starts, next)
		}
	}
}
