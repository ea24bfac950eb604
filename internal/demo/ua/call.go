package ua

import (
	"context"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Plan is what a call is to be.
type Plan struct {
	To     string              // user to call
	Hold   time.Duration       // how long to talk
	Pause  bool                // put the call on hold for a third of the time (re-INVITE)
	Cancel bool                // give up when it rings
	Ring   time.Duration       // how long to let it ring; zero: 30 s
	HangUp <-chan struct{}     // when closed, the call ends with a BYE at once; nil: never
	OnUp   func(server string) // called when the call is answered, and by whom; may be nil
}

const defaultRing = 30 * time.Second

// Outcome is how a call ended.
type Outcome uint8

// Outcomes.
const (
	Completed Outcome = iota // answered, and we hung up
	HungUp                   // answered, and the server hung up
	Cancelled                // we gave up while it rang, as planned
	Busy                     // 486 or 600
	Failed                   // refused otherwise, or no final response
	Lost                     // answered, and then the server did not know of the call or was silent
	Aborted                  // we went away in the middle
	outcomes                 // how many there are
)

var outcomeWords = [outcomes]string{"completed", "hung up", "cancelled", "busy", "failed", "lost", "aborted"}

func (o Outcome) String() string {
	if o < outcomes {
		return outcomeWords[o]
	}
	return "unknown"
}

// Result is what became of a call.
type Result struct {
	Outcome Outcome
	Status  int           // final status of the INVITE, or of the request the call was lost with; 0: none came
	Server  string        // who answered
	Strayed string        // another server that answered a request of this call; empty: none did
	Ringing time.Duration // from INVITE to the first 18x; 0: none came
	Setup   time.Duration // from INVITE to 200; 0: none came
}

// outgoing is a call we place.
type outgoing struct {
	*Caller
	plan   Plan
	invite *sip.Request
	tx     sip.ClientTransaction
	sent   time.Time
	res    Result
	d      *dialog // once answered
}

// Call places a call and returns when it is over: INVITE, ACK, the time to talk, BYE. When ctx ends first it gives up
// without a word. Many calls may go at a time.
func (c *Caller) Call(ctx context.Context, plan Plan) Result {
	ctx, cancel := c.agent.within(ctx)
	defer cancel()
	if plan.Ring == 0 {
		plan.Ring = defaultRing
	}
	o := &outgoing{Caller: c, plan: plan}
	o.invite = c.agent.request(sip.INVITE, c.address(plan.To), c.self(sip.GenerateTagN(12)),
		sip.ToHeader{Address: c.address(plan.To)}, c.nextCallID(), 1)
	o.invite.AppendHeader(sip.NewHeader("Allow", allowedMethods))
	setSession(o.invite, session(c.media, 1, sendRecv))

	o.sent = time.Now()
	var err error
	if o.tx, err = c.agent.client.TransactionRequest(ctx, o.invite); err != nil {
		o.res.Outcome = Failed
		if o.gone(ctx) {
			o.res.Outcome = Aborted
		}
		return o.res
	}
	if answer := o.ring(ctx); answer != nil {
		o.talk(ctx, answer)
	}
	return o.res
}

// ring waits for the final response to the INVITE, and cancels when the plan or patience says so. It returns the 2xx,
// or nil with the outcome set.
func (o *outgoing) ring(ctx context.Context) *sip.Response {
	patience := time.NewTimer(o.plan.Ring)
	defer patience.Stop()
	heard, rang, cancelled := false, false, false // heard: any provisional, before which section 9.1 forbids a CANCEL
	giveUp := func() {
		cancelled = true
		o.cancel(ctx)
		patience.Reset(64 * sip.T1) // section 9.1: then the call is over even without a 487
	}
	for {
		select {
		case res := <-o.tx.Responses():
			if !res.IsProvisional() {
				return o.final(ctx, res, cancelled)
			}
			heard = true
			if res.StatusCode > sip.StatusTrying && !rang {
				rang = true
				o.res.Ringing = time.Since(o.sent)
			}
			if rang && o.plan.Cancel && !cancelled {
				giveUp()
			}
		case <-patience.C:
			if cancelled || !heard {
				o.tx.Terminate()
				o.res.Outcome = Failed
				return nil
			}
			giveUp()
		case <-o.plan.HangUp:
			o.plan.HangUp, o.plan.Cancel = nil, true
			if heard && !cancelled {
				giveUp()
			}
		case <-o.tx.Done():
			o.res.Outcome = Failed // timer B: nobody answered at all
			if o.gone(ctx) {
				o.res.Outcome = Aborted
			}
			return nil
		case <-ctx.Done():
			o.tx.Terminate()
			o.res.Outcome = Aborted
			return nil
		}
	}
}

// final weighs the final response. The stack has acknowledged it if it is no 2xx.
func (o *outgoing) final(ctx context.Context, res *sip.Response, cancelled bool) *sip.Response {
	o.res.Status, o.res.Server = res.StatusCode, serverName(res)
	switch {
	case res.IsSuccess():
		return res
	case res.StatusCode == sip.StatusRequestTerminated && cancelled && o.plan.Cancel:
		o.res.Outcome = Cancelled
	case res.StatusCode == sip.StatusBusyHere, res.StatusCode == sip.StatusGlobalBusyEverywhere:
		o.res.Outcome = Busy
	default:
		o.res.Outcome = Failed
	}
	return nil
}

// cancel sends a CANCEL: the INVITE's Request-URI, Call-ID, To, From, CSeq number, Route and top Via (section 9.1).
func (o *outgoing) cancel(ctx context.Context) {
	req := sip.NewRequest(sip.CANCEL, o.invite.Recipient)
	req.AppendHeader(o.invite.Via().Clone())
	for _, name := range []string{"Max-Forwards", "From", "To", "Call-ID", "Route"} {
		for _, h := range o.invite.GetHeaders(name) {
			req.AppendHeader(sip.HeaderClone(h))
		}
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: o.invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	req.SetTransport("UDP")
	req.SetDestination(o.invite.Destination())
	o.agent.spawn(func() { _, _ = o.agent.do(ctx, req) }) // what matters is the INVITE's final response
}

// talk has the call from its 200 to its end.
func (o *outgoing) talk(ctx context.Context, answer *sip.Response) {
	o.res.Setup = time.Since(o.sent)
	d, err := outbound(o.invite, answer)
	if err != nil {
		o.tx.Terminate()
		o.res.Outcome = Failed
		return
	}
	o.d = d
	if !o.agent.keep(d) {
		o.res.Outcome = Aborted
		return
	}
	o.acknowledge(o.tx)
	if o.plan.OnUp != nil {
		o.plan.OnUp(o.res.Server)
	}
	if o.plan.Cancel { // the answer was faster than our CANCEL: section 9.1 has us hang up
		o.plan.Hold = 0
	}
	if !o.hold(ctx) {
		return
	}
	o.bye(ctx)
}

// acknowledge sends the ACK of a 2xx, and sends it again for each 2xx that comes again (section 13.2.2.4). The INVITE
// transaction is there for that until the call ends.
func (o *outgoing) acknowledge(tx sip.ClientTransaction) {
	ack := o.d.request(o.agent, sip.ACK)
	var one sync.Mutex // writing a request fills in where it goes
	send := func() {
		one.Lock()
		defer one.Unlock()
		_ = o.agent.client.WriteRequest(ack)
	}
	tx.OnRetransmission(func(*sip.Response) { send() })
	send()
	o.d.whenOver(tx.Terminate)
}

// hold talks for the planned time. False: the call is over, the outcome set.
func (o *outgoing) hold(ctx context.Context) bool {
	if !o.plan.Pause {
		return o.sleep(ctx, o.plan.Hold)
	}
	third := o.plan.Hold / 3
	return o.sleep(ctx, third) && o.reinvite(ctx, 2, sendOnly) && o.sleep(ctx, third) &&
		o.reinvite(ctx, 3, sendRecv) && o.sleep(ctx, third)
}

// sleep lets time pass in the call. False: the call is over, the outcome set. A plan's HangUp ends only the sleep.
func (o *outgoing) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.plan.HangUp:
		return true
	case <-o.d.over:
		o.over(ctx)
		return false
	case <-ctx.Done():
		o.abort()
		return false
	}
}

// over sets the outcome of a call that something else ended: the server's BYE, or our own going away.
func (o *outgoing) over(ctx context.Context) {
	o.res.Outcome = HungUp
	if o.gone(ctx) {
		o.res.Outcome = Aborted
	}
}

// gone reports whether it was us who went away. The phone is asked too: what ends ctx with it comes a little later.
func (o *outgoing) gone(ctx context.Context) bool {
	return ctx.Err() != nil || o.agent.ctx.Err() != nil
}

func (o *outgoing) abort() {
	o.agent.drop(o.d)
	o.d.end()
	o.res.Outcome = Aborted
}

// reinvite offers the media again in another direction: that is how a call is put on hold and taken back (RFC 3264
// section 8.4). False: the call is over, the outcome set.
func (o *outgoing) reinvite(ctx context.Context, version uint32, direction string) bool {
	req := o.d.request(o.agent, sip.INVITE)
	setSession(req, session(o.media, version, direction))
	tx, err := o.agent.client.TransactionRequest(ctx, req)
	if err != nil {
		return o.lost(ctx, nil)
	}
	for {
		select {
		case res := <-tx.Responses():
			switch {
			case res.IsProvisional():
				continue
			case res.IsSuccess():
				o.strayed(res)
				o.acknowledge(tx)
				return true
			}
			return o.lost(ctx, res)
		case <-tx.Done():
			return o.lost(ctx, nil)
		case <-ctx.Done():
			tx.Terminate()
			o.abort()
			return false
		}
	}
}

// bye ends the call.
func (o *outgoing) bye(ctx context.Context) {
	res, err := o.agent.do(ctx, o.d.request(o.agent, sip.BYE))
	if err != nil || !res.IsSuccess() {
		o.lost(ctx, res)
		return
	}
	o.strayed(res)
	o.agent.drop(o.d)
	o.d.end()
	o.res.Outcome = Completed
}

// lost ends a call in which a request of ours failed. The server's BYE may have crossed it, and come a little later than
// the 481: then all is well.
func (o *outgoing) lost(ctx context.Context, res *sip.Response) bool {
	crossing := time.NewTimer(sip.T1)
	defer crossing.Stop()
	select {
	case <-o.d.over:
		o.over(ctx)
		return false
	case <-crossing.C:
	case <-ctx.Done():
	}
	o.agent.drop(o.d)
	o.d.end()
	o.res.Outcome = Lost
	if o.gone(ctx) {
		o.res.Outcome = Aborted
	}
	if res != nil {
		o.res.Status = res.StatusCode
		o.strayed(res)
	} else {
		o.res.Status = 0
	}
	return false
}

// strayed notes when somebody else than the server of the call answers in it.
func (o *outgoing) strayed(res *sip.Response) {
	if who := serverName(res); who != "" && who != o.res.Server {
		o.res.Strayed = who
	}
}
