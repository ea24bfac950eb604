package proxy

import (
	"sync/atomic"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// How long soft state lives, in milliseconds. RFC 3261 section 17 has the timers.
const (
	transactionMS = 64 * 500         // 64*T1: as long as a request is sent again
	inviteMS      = 3*60*1000 + 10e3 // Timer C is more than 3 minutes (16.6 (11)); each 1xx starts it anew
)

// maxAttempts is how many servers one transaction is sent to at the most.
const maxAttempts = 4

// State is the soft state of one virtual service: transactions that are open
// (pins) and Call-IDs that are known. Routing never needs it: it holds what would
// otherwise move when the pool changes.
type State struct {
	pins    *aged.Table[pin]
	calls   *aged.Table[call]
	known   atomic.Int64 // calls that are known; the others of the table are up
	replay  *replay
	repeats repeats
}

// NewState makes the state of a service with these limits. kick gets a value when
// a table fills up: call Tend soon.
func NewState(maxTransactions, maxCalls int, kick chan<- struct{}) *State {
	return &State{pins: aged.New[pin](maxTransactions, kick), calls: aged.New[call](maxCalls, kick), replay: newReplay()}
}

// SetLimits changes the limits of a service that runs.
func (s *State) SetLimits(maxTransactions, maxCalls int) {
	s.pins.SetMax(maxTransactions)
	s.calls.SetMax(maxCalls)
}

// pin remembers an open transaction, or one that was moved to another server.
// With attempt 0 and a call that is known, its end is the end of the pin:
// the same server and branch would come out again.
type pin struct {
	server   snapshot.Handle
	tried    [maxAttempts - 1]snapshot.Handle // by attempt
	sentTick uint32                           // when the request first went to server, in units of tickNS
	replay   uint32                           // where the request is stored; 0 nowhere
	method   sip.Method
	attempt  uint8
	again    uint8 // retransmissions since it went to server
	flags    pinFlags
}

type pinFlags uint8

const (
	pinTrying    pinFlags = 1 << iota // a 100 came
	pinRinging                        // another provisional response came
	pinFinal                          // a final response came
	pinInDialog                       // the request had a To tag: only its server can answer it
	pinCancelled                      // its CANCEL went after it: nobody else is to ring
	pinLarge                          // it was too long for a datagram, and so go its CANCEL and ACK
	pinBroken                         // the connection that it went by broke, and it went to its server once more
)

func (p *pin) open() bool { return p.flags&pinFinal == 0 }

// mute reports whether the server has said nothing at all.
func (p *pin) mute() bool { return p.flags&(pinTrying|pinRinging|pinFinal|pinCancelled) == 0 }

// enough is the retransmission with which a request counts as unanswered: an INVITE has a response within 200 ms (RFC 3261
// 17.2.1), others may take long (RFC 4320 4.1).
func (p *pin) enough() uint8 {
	if p.method == sip.Invite {
		return 2
	}
	return 4
}

// tickNS is the unit of sentTick: 16.4 µs, so that 32 bits last for 19 hours.
const tickShift = 14

func tick(ns int64) uint32 { return uint32(ns >> tickShift) }

func sinceUS(now int64, sent uint32) uint64 {
	return uint64(tick(now)-sent) << tickShift / 1000
}

// sentAt is a sentTick on the clock of Now: the same whenever it is asked for.
func sentAt(in *Input, sent uint32) aged.Tick {
	now := in.NowNS >> tickShift
	then := now - int64(uint32(now)-sent)
	return in.Now - aged.Tick(in.NowNS/1e6-then<<tickShift/1e6)
}

// Transactions and Calls count what is held now; Full counts what was not
// remembered because a table was at its limit.
func (s *State) Transactions() int        { return s.pins.Len() }
func (s *State) Calls() int               { return int(s.known.Load()) }
func (s *State) TransactionsFull() uint64 { return s.pins.Full.Load() }
func (s *State) CallsFull() uint64        { return s.calls.Full.Load() }

// Tend grows tables that fill up and forgets what has expired in shards/64 of
// them. One goroutine calls it.
func (s *State) Tend(now aged.Tick, shards int, snap *snapshot.Snapshot) {
	s.pins.Tend(now, shards, func(_ uint64, p *pin) (aged.Tick, bool) {
		s.expirePin(p, snap)
		return 0, false
	})
	s.calls.Tend(now, shards, func(_ uint64, c *call) (aged.Tick, bool) { return s.endPart(c, snap) })
}

// Close gives back what the state of a service that is gone still counts.
func (s *State) Close(snap *snapshot.Snapshot) {
	s.pins.Drain(func(_ uint64, p *pin) { s.settlePin(p, snap) })
	s.calls.Drain(func(_ uint64, c *call) { s.settle(c, snap) })
}

// expirePin is settlePin for a transaction whose time is over: a server that never answered, and for which the client did
// not ask often enough to have been counted, is counted now.
func (s *State) expirePin(p *pin, snap *snapshot.Snapshot) {
	if sv := snap.Server(p.server); sv != nil && p.open() && p.mute() && p.again < p.enough() {
		sv.Traffic.Unanswered.Add(1)
	}
	s.settlePin(p, snap)
}

func (s *State) settlePin(p *pin, snap *snapshot.Snapshot) {
	if sv := snap.Server(p.server); sv != nil && p.open() {
		sv.State.OpenTransactions.Add(-1)
	}
}
