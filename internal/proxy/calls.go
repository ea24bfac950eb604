package proxy

import (
	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// A Call-ID has one entry for two things that have an end each. It is known: routing asks for its server, until
// transaction_timeout has passed without a request. It is up: it counts for its server, which is how a drain learns that the
// server is empty, and routing never asks. Calls that are up are a set and not a counter that goes up and down: one of which
// the BYE was never seen leaves it by itself.

// quietCallMS is how long a call counts as up of which nothing more is seen, unless it says itself when it is to be
// refreshed (RFC 4028).
const quietCallMS = 4 * 3600 * 1000

// maxSessionS bounds what a Session-Expires may say, in seconds.
const maxSessionS = 86400

// call is what is remembered of a Call-ID: with key and time 24 octets, since there may be a million. The time of its entry
// is when the first of its two parts ends.
type call struct {
	server snapshot.Handle
	other  aged.Tick // end of the part that ends last; valid iff the call is known and up
	bits   callBits
}

// callBits are the last method in four bits, the flags, and in the others when the call was first seen, in units of 128 ms.
type callBits uint32

const (
	callMethod callBits = 1<<4 - 1

	callKnown   callBits = 1 << 4
	callUp      callBits = 1 << 5
	callUpFirst callBits = 1 << 6 // of both parts, up ends first

	callSince = 7 // 2^32 ms in units that 25 bits can tell apart are as many ms as this shifts
)

func (b callBits) method() sip.Method { return sip.Method(b & callMethod) }

// ageMS is how long ago the call was first seen.
func (b callBits) ageMS(now aged.Tick) uint32 {
	return uint32(now - aged.Tick(b>>callSince<<callSince))
}

// ends are the ends of the two parts; one that the call does not have is the same as the other.
func (c *call) ends(first aged.Tick) (known, up aged.Tick) {
	switch c.bits & (callKnown | callUp | callUpFirst) {
	case callKnown | callUp:
		return first, c.other
	case callKnown | callUp | callUpFirst:
		return c.other, first
	}
	return first, first
}

// setEnds notes the ends of the parts that the call has, and gives the time of its entry.
func (c *call) setEnds(known, up aged.Tick) (first aged.Tick) {
	c.bits &^= callUpFirst
	switch {
	case c.bits&callUp == 0:
		return known
	case c.bits&callKnown == 0:
		return up
	case up.Before(known):
		c.bits |= callUpFirst
		c.other = known
		return up
	}
	c.other = up
	return known
}

// isKnown and isUp tell what the call is now. first is the time of its entry.
func (c *call) isKnown(first, now aged.Tick) bool {
	known, _ := c.ends(first)
	return c.bits&callKnown != 0 && !known.Before(now)
}

func (c *call) isUp(first, now aged.Tick) bool {
	_, up := c.ends(first)
	return c.bits&callUp != 0 && !up.Before(now)
}

// used makes a request with that method the last one of a call that is known, for as long as until. The caller holds the shard.
func (c *call) used(first *aged.Tick, until aged.Tick, m sip.Method) {
	_, up := c.ends(*first)
	c.bits = c.bits&^callMethod | callBits(m)
	*first = c.setEnds(until, up)
}

// learn makes a Call-ID known, as one of sv, whatever was known of it. The caller holds the shard.
func (s *State) learn(shard *aged.Shard[call], key uint64, in *Input, sv *snapshot.Server, until aged.Tick, m sip.Method) {
	c, first := s.entry(shard, key, in, sv)
	if c == nil {
		return // the table is full, and counts it: the hash finds the same server
	}
	_, up := c.ends(*first)
	if c.bits&callKnown == 0 {
		c.bits |= callKnown
		sv.State.Calls.Add(1)
		s.known.Add(1)
	}
	c.bits = c.bits&^callMethod | callBits(m)
	*first = c.setEnds(until, up)
}

// entry is the entry of a Call-ID, with sv as its server; nil where the table is full. What counted for another server counts
// for this one. The caller holds the shard, and gives an entry without a part one.
func (s *State) entry(shard *aged.Shard[call], key uint64, in *Input, sv *snapshot.Server) (*call, *aged.Tick) {
	c, first, old := shard.Put(key)
	switch {
	case c == nil:
		return nil, nil
	case !old:
		*c = call{server: sv.Handle, bits: callBits(in.Now) &^ (1<<callSince - 1)}
	case !c.isKnown(*first, in.Now) && !c.isUp(*first, in.Now): // it is over, but not yet forgotten
		s.settle(c, in.Snapshot)
		*c = call{server: sv.Handle, bits: callBits(in.Now) &^ (1<<callSince - 1)}
	case c.server != sv.Handle:
		s.moveTo(c, in.Snapshot, sv)
	}
	return c, first
}

// moveTo makes sv the server of a call, and what the call counts count for it.
func (s *State) moveTo(c *call, snap *snapshot.Snapshot, sv *snapshot.Server) {
	had := c.bits
	s.settle(c, snap)
	c.server, c.bits = sv.Handle, had
	if had&callKnown != 0 {
		sv.State.Calls.Add(1)
		s.known.Add(1)
	}
	if had&callUp != 0 {
		sv.State.Dialogs.Add(1)
	}
}

// noteCall brings what is up up to date with a response that is forwarded: a 2xx to an INVITE or UPDATE begins or refreshes a
// call, the final response to a BYE ends it. Without Record-Route no BYE would be seen.
func (p *Proxy) noteCall(in *Input, v *Verdict) {
	m := in.Msg
	if m.Status < 200 || !in.Listener.Service.RecordRoute {
		return
	}
	switch m.CSeqMethod {
	case sip.Bye:
		if m.Status != 401 && m.Status != 407 {
			in.State.endCall(v.Order, in)
		}
	case sip.Invite, sip.Update:
		if m.Status < 300 {
			in.State.callUp(v.Order, in, v.Server)
		}
	}
}

func (s *State) callUp(key uint64, in *Input, sv *snapshot.Server) {
	life := aged.Tick(quietCallMS)
	if text, ok := in.Msg.HeaderValue("session-expires"); ok {
		if n := leadingNumber(in.Msg.Bytes(text)); n > 0 {
			life = aged.Tick(min(n, maxSessionS)*1000 + transactionMS)
		}
	}
	shard := s.calls.Shard(key)
	shard.Lock()
	defer shard.Unlock()
	c, first := shard.Find(key)
	if c == nil || !c.isUp(*first, in.Now) {
		if in.Msg.CSeqMethod != sip.Invite {
			return
		}
		if c != nil && c.isKnown(*first, in.Now) { // the answer may be the client's, to a server
			if known := in.Snapshot.Server(c.server); known != nil {
				sv = known
			}
		}
		if sv == nil {
			return
		}
		if c, first = s.entry(shard, key, in, sv); c == nil {
			return
		}
		if c.bits&callUp == 0 {
			sv.State.Dialogs.Add(1)
		}
	}
	known, _ := c.ends(*first)
	c.bits |= callUp
	*first = c.setEnds(known, in.Now+life)
}

func (s *State) endCall(key uint64, in *Input) {
	shard := s.calls.Shard(key)
	shard.Lock()
	defer shard.Unlock()
	c, first := shard.Find(key)
	if c == nil || c.bits&callUp == 0 {
		return
	}
	known, up := c.ends(*first)
	s.settleUp(c, in.Snapshot)
	if c.bits&callKnown == 0 {
		shard.Delete(key)
		return
	}
	*first = c.setEnds(known, up)
}

// endPart ends the part of a call whose time has come, and says until when the other one stays.
func (s *State) endPart(c *call, snap *snapshot.Snapshot) (until aged.Tick, stays bool) {
	both := c.bits&callKnown != 0 && c.bits&callUp != 0
	if c.bits&callUp != 0 && (!both || c.bits&callUpFirst != 0) {
		s.settleUp(c, snap)
	} else {
		s.settleKnown(c, snap)
	}
	c.bits &^= callUpFirst
	return c.other, both
}

// settle gives back what a call counts.
func (s *State) settle(c *call, snap *snapshot.Snapshot) {
	s.settleKnown(c, snap)
	s.settleUp(c, snap)
}

func (s *State) settleKnown(c *call, snap *snapshot.Snapshot) {
	if c.bits&callKnown == 0 {
		return
	}
	c.bits &^= callKnown
	s.known.Add(-1)
	if sv := snap.Server(c.server); sv != nil {
		sv.State.Calls.Add(-1)
	}
}

func (s *State) settleUp(c *call, snap *snapshot.Snapshot) {
	if c.bits&callUp == 0 {
		return
	}
	c.bits &^= callUp
	if sv := snap.Server(c.server); sv != nil {
		sv.State.Dialogs.Add(-1)
	}
}

// leadingNumber is the number that a text begins with; 0 for none, or for one that is too long.
func leadingNumber(b []byte) (n int) {
	for i, c := range b {
		if c < '0' || c > '9' || i > 8 {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}
