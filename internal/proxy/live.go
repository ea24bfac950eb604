package proxy

import (
	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Calls that are up are a set, by Call-ID, and not a counter that goes up and down: a call of which the BYE was never seen
// leaves it by itself. It tells when a server that drains is empty. Routing never asks it.

// quietCallMS is how long a call counts as up of which nothing more is seen, unless it says itself when it is to be
// refreshed (RFC 4028).
const quietCallMS = 4 * 3600 * 1000

// maxSessionS bounds what a Session-Expires may say, in seconds.
const maxSessionS = 86400

// noteCall brings the set up to date with a response that is forwarded: a 2xx to an INVITE or UPDATE begins or refreshes a
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
	shard := s.live.Shard(key)
	shard.Lock()
	defer shard.Unlock()
	if shard.Get(key, in.Now) != nil {
		shard.Touch(key, in.Now+life)
		return
	}
	if in.Msg.CSeqMethod != sip.Invite {
		return
	}
	if sv == nil { // the client's answer to a server
		if k := s.Known(key, in.Now, in.Snapshot); k != nil {
			sv = k.Server
		}
	}
	if sv == nil {
		return
	}
	c, old := shard.Put(key, in.Now+life)
	if c == nil {
		return // the table is full, and counts it
	}
	if old {
		s.settleLive(c, in.Snapshot)
	}
	c.server = sv.Handle
	sv.State.Dialogs.Add(1)
}

func (s *State) endCall(key uint64, in *Input) {
	shard := s.live.Shard(key)
	shard.Lock()
	defer shard.Unlock()
	if c := shard.Get(key, in.Now); c != nil {
		s.settleLive(c, in.Snapshot)
		shard.Delete(key)
	}
}

func (s *State) settleLive(c *call, snap *snapshot.Snapshot) {
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
