package ua

import (
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// answering is an INVITE that is being answered.
type answering struct {
	*life
	req       *sip.Request
	tx        sip.ServerTransaction
	cancelled chan struct{}
}

// The stack sends a 100 of its own when a handler takes 200 ms, and makes it from the request which the handler is giving
// a tag. These handlers send 100 themselves, first thing, so the stack's may wait forever.
func init() { sip.Timer_1xx = time.Hour }

// onInvite takes a call: 100, 180, a while of ringing, 200 with a session description (RFC 3261 section 13.3).
// It returns when the final response is sent: only then may the stack let go of the transaction.
func (l *life) onInvite(req *sip.Request, tx sip.ServerTransaction) {
	c := &answering{life: l, req: req, tx: tx, cancelled: make(chan struct{})}
	if req.To().Params.Has("tag") {
		c.again()
		return
	}
	l.count.Invites.Add(1)
	// One tag for all responses (section 8.2.6.2), also for the 487 that the stack makes from the request: a CANCEL may
	// come only after our 100 (section 9.1), so nobody else looks at the request yet.
	req.To().Params.Add("tag", sip.GenerateTagN(12))
	if !c.onCancelled() {
		return
	}
	if c.refused() {
		return
	}
	c.send(sip.StatusTrying, "Trying")
	d, err := inbound(req)
	if err != nil {
		c.send(sip.StatusBadRequest, "No Contact")
		return
	}
	c.send(sip.StatusRinging, "Ringing")
	ring := l.about(l.cfg.Ring)
	if req.Recipient.User == UserNoAnswer {
		ring = longestRing
	}
	switch l.ringing(c.cancelled, ring) {
	case nil:
	case errCancelled:
		l.count.Cancelled.Add(1)
		return
	default: // dead
		return
	}
	if req.Recipient.User == UserNoAnswer {
		c.send(sip.StatusTemporarilyUnavailable, "No Answer")
		return
	}
	c.accept(d)
}

// onCancelled has c.cancelled closed when a CANCEL comes. False: it has come and the stack has answered already.
func (c *answering) onCancelled() bool {
	return c.tx.OnCancel(func(*sip.Request) { close(c.cancelled) })
}

// refused answers what can be said no to before it rings.
func (c *answering) refused() bool {
	switch {
	case c.req.GetHeader("Require") != nil: // section 8.2.2.3: we know no extension
		res := c.agent.response(c.req, sip.StatusBadExtension, "Bad Extension")
		res.AppendHeader(sip.NewHeader("Unsupported", c.req.GetHeader("Require").Value()))
		_ = c.tx.Respond(res)
	case c.req.Recipient.User == UserBusy:
		c.count.Busy.Add(1)
		c.send(sip.StatusBusyHere, "Busy Here")
	case c.agent.callsUp() >= maxCalls:
		c.send(sip.StatusServiceUnavailable, "Too Many Calls")
	default:
		return false
	}
	return true
}

func (c *answering) send(status int, reason string) {
	res := c.agent.response(c.req, status, reason)
	if status > sip.StatusTrying && status < 300 {
		res.AppendHeader(c.agent.contact(c.req.Recipient.User))
	}
	_ = c.tx.Respond(res)
}

// accept answers the call and sees to its end.
func (c *answering) accept(d *dialog) {
	ok := c.answer(d)
	if !c.agent.keep(d) {
		return
	}
	again := c.insist(d, ok, func() { c.talking(d) })
	c.count.Answered.Add(1) // before the caller can know
	if err := c.tx.Respond(ok); err != nil {
		c.count.Answered.Add(^uint64(0))
		c.agent.drop(d)
		d.end()
		// A CANCEL was faster: the stack has sent 487. It also keeps what we pass it as the response to send again, so
		// hand it the 487 back, lest a retransmission answers what is cancelled.
		_ = c.tx.Respond(c.agent.response(c.req, sip.StatusRequestTerminated, "Request Terminated"))
		c.count.Cancelled.Add(1)
		return
	}
	again.start()
}

// talking is called when the ACK came: some calls the server ends itself.
func (c *answering) talking(d *dialog) {
	if c.req.Recipient.User != UserHangUp && !c.chance(c.cfg.HangUp) {
		return
	}
	t := time.AfterFunc(c.about(c.cfg.HangUpAfter), func() {
		c.agent.spawn(func() {
			c.count.HungUp.Add(1)
			c.hangUp(d)
		})
	})
	d.whenOver(func() { t.Stop() })
}

// again answers an INVITE in a dialog: hold, resume, session refresh (section 14.2).
func (c *answering) again() {
	d := c.agent.find(c.req)
	if d == nil {
		c.stranger(c.req, c.tx)
		return
	}
	if !d.refresh(c.req) {
		c.send(sip.StatusInternalServerError, "CSeq Out Of Order")
		return
	}
	ok := c.answer(d)
	again := c.insist(d, ok, func() {})
	if c.tx.Respond(ok) == nil {
		again.start()
	}
}

// answer makes the 200 to an INVITE, with an answer to its offer, or an offer if it had none.
func (c *answering) answer(d *dialog) *sip.Response {
	want := sendRecv
	if body := c.req.Body(); len(body) > 0 {
		want = mirror(direction(body))
	}
	ok := c.agent.response(c.req, sip.StatusOK, "OK")
	ok.AppendHeader(c.agent.contact(d.local.Address.User))
	ok.AppendHeader(sip.NewHeader("Allow", allowedMethods))
	setSession(ok, session(c.media, c.req.CSeq().SeqNo, want))
	return ok
}

// insistence sends a 2xx again and again, T1 after the first and twice as long each time up to T2, until its ACK comes
// (section 13.3.1.4: this is the core's to do, not the transaction's). After 64 T1 it gives up and ends the call.
type insistence struct {
	c        *answering
	d        *dialog
	ok       *sip.Response
	deadline time.Time // valid once started

	mu    sync.Mutex
	pause time.Duration
	timer *time.Timer // nil before start
	done  bool
}

// insist readies the repetition of ok; acked is called when the ACK comes, be it before start.
func (c *answering) insist(d *dialog, ok *sip.Response, acked func()) *insistence {
	i := &insistence{c: c, d: d, ok: ok, pause: sip.T1}
	d.setAcked(func() {
		if i.stop() {
			acked()
		}
	})
	d.whenOver(func() { i.stop() })
	return i
}

func (i *insistence) start() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.done {
		i.deadline = time.Now().Add(64 * sip.T1)
		i.timer = time.AfterFunc(i.pause, i.again)
	}
}

// stop ends it; it reports whether it was still going.
func (i *insistence) stop() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	was := !i.done
	i.done = true
	if i.timer != nil {
		i.timer.Stop()
	}
	return was
}

func (i *insistence) again() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done {
		return
	}
	if time.Now().After(i.deadline) {
		i.done = true
		i.c.count.Unacked.Add(1)
		i.c.agent.spawn(func() { i.c.hangUp(i.d) })
		return
	}
	_ = i.c.tx.Respond(i.ok)
	i.pause = min(2*i.pause, sip.T2)
	i.timer.Reset(i.pause)
}
