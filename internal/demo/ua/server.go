package ua

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Users that do something of their own when called; every other user rings and answers.
const (
	UserBusy     = "busy"     // 486 at once
	UserNoAnswer = "noanswer" // rings until the caller gives up
	UserHangUp   = "hangup"   // answers, and ends the call soon after
	UserEcho     = "echo"     // answers; what is said comes back
)

// Limits of a server.
const (
	maxCalls    = 20_000
	longestRing = 60 * time.Second
)

// ServerConfig is what a Server is made of; the zero value of every field but Name and Addr does.
type ServerConfig struct {
	Name  string
	Addr  netip.AddrPort // where it listens; port 0: any free one, the same again after a revival
	Proxy netip.AddrPort // where requests of its own go; zero: where Route or Contact say

	Locations *Locations // shared among the servers; nil: its own
	Nonces    *Nonces    // shared: every server accepts every nonce; nil: its own only

	Ring        time.Duration // how long it rings before it answers, at most; the least is half of it
	HangUp      float64       // share of the calls that the server ends itself, 0 to 1
	HangUpAfter time.Duration // how long after the answer, at most; the least is half of it
	Qualify     time.Duration // how often it asks a registered phone with OPTIONS whether it is there; 0: never
	Seed        uint64        // of what it decides by chance
}

// Server is a small SIP application server: registrar with digest, answers and ends calls, answers OPTIONS. It can be
// killed and revived; what it counted stays, its calls do not.
type Server struct {
	cfg   ServerConfig
	count serverCount

	mu    sync.Mutex // over the change between dead and alive
	agent *agent     // nil when dead
	echo  *echo

	dice struct {
		sync.Mutex
		*rand.Rand
	}
}

// serverCount is everything a server counts, from its first start on.
type serverCount struct {
	Requests      atomic.Uint64
	Challenges    atomic.Uint64 // 401 to a REGISTER without credentials
	StrangeNonces atomic.Uint64 // 401 to credentials for a nonce of another server, or too old
	Registrations atomic.Uint64
	Invites       atomic.Uint64 // that ask for a new call
	Answered      atomic.Uint64 // calls
	Busy          atomic.Uint64
	Cancelled     atomic.Uint64
	HungUp        atomic.Uint64 // calls it ended itself
	Unacked       atomic.Uint64 // calls whose ACK never came
	Strangers     atomic.Uint64 // 481: requests in dialogs it does not know
	Probes        atomic.Uint64 // OPTIONS
	Qualified     atomic.Uint64 // phones that answered the OPTIONS of the server
	Unqualified   atomic.Uint64 // phones that did not
}

// ServerStats is a reading of a Server's counters, all since its first start but Calls.
type ServerStats struct {
	Alive         bool
	Calls         int // up now
	Requests      uint64
	Challenges    uint64
	StrangeNonces uint64
	Registrations uint64
	Invites       uint64
	Answered      uint64
	Busy          uint64
	Cancelled     uint64
	HungUp        uint64
	Unacked       uint64
	Strangers     uint64
	Probes        uint64
	Qualified     uint64
	Unqualified   uint64
}

// StartServer starts a server. The error is that of its socket.
func StartServer(cfg ServerConfig) (*Server, error) {
	if cfg.Locations == nil {
		cfg.Locations = NewLocations()
	}
	if cfg.Nonces == nil {
		cfg.Nonces = NewNonces()
	}
	s := &Server{cfg: cfg}
	s.dice.Rand = rand.New(rand.NewPCG(cfg.Seed, 1))
	if err := s.Revive(); err != nil {
		return nil, err
	}
	return s, nil
}

// Addr is where the server listens, or listened before it was killed.
func (s *Server) Addr() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.Addr
}

// Name is the name it was made with.
func (s *Server) Name() string { return s.cfg.Name }

// Kill takes the server off the network at once, as a crash does: no BYE, no answer, its calls are lost. It returns how
// many those were; killing a dead server does nothing.
func (s *Server) Kill() (lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent == nil {
		return 0
	}
	lost = s.agent.callsUp()
	s.agent.close()
	s.echo.close()
	s.agent, s.echo = nil, nil
	return lost
}

// Revive starts a killed server on its old address, with no memory of its calls. Reviving a live one does nothing.
func (s *Server) Revive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent != nil {
		return nil
	}
	a, err := listen(s.cfg.Name, s.cfg.Addr, s.cfg.Proxy)
	if err != nil {
		return err
	}
	e, err := listenEcho(a.addr.Addr())
	if err != nil {
		a.close()
		return err
	}
	s.cfg.Addr, s.agent, s.echo = a.addr, a, e
	l := &life{Server: s, agent: a, media: e.addr}
	if s.cfg.Qualify > 0 {
		a.spawn(l.qualify)
	}
	return a.serve(handlers{
		sip.INVITE: l.counted(l.onInvite), sip.ACK: l.counted(l.onAck), sip.BYE: l.counted(l.onBye),
		sip.CANCEL: l.counted(l.onCancel), sip.OPTIONS: l.counted(l.onOptions), sip.REGISTER: l.counted(l.onRegister),
	})
}

// Stats reads the counters.
func (s *Server) Stats() ServerStats {
	st := ServerStats{
		Requests: s.count.Requests.Load(), Challenges: s.count.Challenges.Load(),
		StrangeNonces: s.count.StrangeNonces.Load(), Registrations: s.count.Registrations.Load(),
		Invites: s.count.Invites.Load(), Answered: s.count.Answered.Load(), Busy: s.count.Busy.Load(), Cancelled: s.count.Cancelled.Load(),
		HungUp: s.count.HungUp.Load(), Unacked: s.count.Unacked.Load(),
		Strangers: s.count.Strangers.Load(), Probes: s.count.Probes.Load(),
		Qualified: s.count.Qualified.Load(), Unqualified: s.count.Unqualified.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent != nil {
		st.Alive, st.Calls = true, s.agent.callsUp()
	}
	return st
}

// chance throws the dice: true in share of the cases.
func (s *Server) chance(share float64) bool {
	s.dice.Lock()
	defer s.dice.Unlock()
	return s.dice.Float64() < share
}

// about returns a time between half of most and most.
func (s *Server) about(most time.Duration) time.Duration {
	s.dice.Lock()
	defer s.dice.Unlock()
	return most/2 + time.Duration(s.dice.Float64()*float64(most/2))
}

// draw throws dice with very many sides.
func (s *Server) draw() int {
	s.dice.Lock()
	defer s.dice.Unlock()
	return s.dice.Int()
}

// life is a server from one revival to the next death. What the network does to it goes through here.
type life struct {
	*Server
	agent *agent
	media netip.AddrPort // where the sound goes
}

func (l *life) counted(f func(*sip.Request, sip.ServerTransaction)) func(*sip.Request, sip.ServerTransaction) {
	return func(req *sip.Request, tx sip.ServerTransaction) {
		l.count.Requests.Add(1)
		f(req, tx)
	}
}

// onOptions answers a probe or a question for abilities (RFC 3261 section 11.2).
func (l *life) onOptions(req *sip.Request, tx sip.ServerTransaction) {
	l.count.Probes.Add(1)
	res := l.agent.response(req, sip.StatusOK, "OK")
	res.AppendHeader(sip.NewHeader("Allow", allowedMethods))
	res.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	_ = tx.Respond(res)
}

// onCancel is called only for a CANCEL that matches no INVITE: the stack answers the others and 487s their INVITE.
func (l *life) onCancel(req *sip.Request, tx sip.ServerTransaction) {
	l.stranger(req, tx)
}

func (l *life) onAck(req *sip.Request, _ sip.ServerTransaction) {
	if d := l.agent.find(req); d != nil {
		d.ack()
	}
}

func (l *life) onBye(req *sip.Request, tx sip.ServerTransaction) {
	d := l.agent.find(req)
	if d == nil {
		l.stranger(req, tx)
		return
	}
	l.agent.drop(d)
	d.end()
	_ = tx.Respond(l.agent.response(req, sip.StatusOK, "OK"))
}

// stranger answers a request for a dialog or transaction this server does not know: its call was with a dead server, or
// in an earlier life of this one.
func (l *life) stranger(req *sip.Request, tx sip.ServerTransaction) {
	l.count.Strangers.Add(1)
	_ = tx.Respond(l.agent.response(req, sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist"))
}

// hangUp ends a call from our side. Whoever takes the dialog out of the table ends it, so two BYEs that cross count once.
func (l *life) hangUp(d *dialog) {
	if !l.agent.drop(d) {
		return
	}
	d.end()
	_, _ = l.agent.do(l.agent.ctx, d.request(l.agent, sip.BYE)) // 481 or silence: the call is over all the same
}

// qualify asks registered phones, one drawn by lot at a time, whether they are there: a request that the server starts
// itself, outside any dialog.
func (l *life) qualify() {
	self := l.agent.contact(l.cfg.Name).Address
	for wait(l.agent.ctx, l.cfg.Qualify) {
		phone, ok := l.cfg.Locations.draw(l.draw(), time.Now())
		if !ok {
			continue
		}
		from := sip.FromHeader{Address: self}
		from.Params.Add("tag", sip.GenerateTagN(12))
		req := l.agent.request(sip.OPTIONS, phone.uri, from, sip.ToHeader{Address: phone.uri}, sip.GenerateTagN(20)+"@"+l.cfg.Name, 1)
		res, err := l.agent.do(l.agent.ctx, req)
		switch {
		case l.agent.ctx.Err() != nil:
			return
		case err == nil && res.IsSuccess():
			l.count.Qualified.Add(1)
		default:
			l.count.Unqualified.Add(1)
		}
	}
}

var errCancelled = errors.New("cancelled")

// ringing is the time between 180 and the answer: errCancelled when the caller gave up, errClosed when we died.
func (l *life) ringing(cancelled <-chan struct{}, ring time.Duration) error {
	t := time.NewTimer(ring)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-cancelled:
		return errCancelled
	case <-l.agent.ctx.Done():
		return context.Cause(l.agent.ctx)
	}
}
