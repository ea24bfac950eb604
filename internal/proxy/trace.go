package proxy

import (
	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Trace is what is known of a message before it is decided about: for people who ask why. Nothing is changed by finding
// it out, and it is not what decides: Scratch is a world in which the same functions can.
type Trace struct {
	Call       uint64           // hash of the Call-ID
	FromServer *snapshot.Server // that sent it; nil for a client
	Ours       int              // Route values at the top that are ours
	Strict     bool             // a strict router has put our Route into the Request-URI
	Sealed     bool             // a token of ours names a server
	Token      *snapshot.Server // that one; nil if it is known no more
	TokenKeeps bool             // it gets the request
	ToClient   bool             // the request goes toward a client
	NextHop    string           // by its own words
	Named      *snapshot.Server // that the next hop names; valid iff the request has a To tag
	Pool       *snapshot.Pool   // that a new call would go to; valid iff the message is a request
	Hash       uint64           // key of its hash
	Pin        *PinTrace        // the transaction, if it is known
	Known      *CallTrace       // the Call-ID, if it is known
	OurBranch  bool             // of a response: the top Via is ours, and the one below is that of the request
	key        uint64           // of the pin
	pin        pin
	pinUntil   aged.Tick
}

// PinTrace is a transaction that is known.
type PinTrace struct {
	Server  *snapshot.Server // nil: forgotten
	Method  sip.Method
	Attempt int  // how many servers had it before
	Again   int  // retransmissions since it went to Server
	Open    bool // no final response yet
	LeftMS  uint32
}

// CallTrace is what is remembered of a Call-ID.
type CallTrace struct {
	Server *snapshot.Server // nil: forgotten
	LeftMS uint32           // how long it is still known, unless it is used; 0: it is known no more, but up
	UpMS   uint32           // how long it still counts as up, unless it is refreshed; 0: it does not
	AgeMS  uint32           // since it was first seen; modulo 49 days
	Method sip.Method       // of its last request
}

// Trace looks at a message without a fault.
func (p *Proxy) Trace(in *Input) *Trace {
	m := in.Msg
	p.begin(m)
	t := &Trace{Call: p.sealer.CallHash(m.Bytes(m.CallID))}
	if m.IsRequest {
		p.traceRequest(in, t)
	} else {
		p.traceResponse(in, t)
	}
	t.Known = in.State.Known(t.Call, in.Now, in.Snapshot)
	if t.key == 0 {
		return t
	}
	if pn, until, ok := in.State.pins.Peek(t.key); ok && !until.Before(in.Now) {
		t.pin, t.pinUntil = pn, until
		t.Pin = &PinTrace{Server: in.Snapshot.Server(pn.server), Method: pn.method, Attempt: int(pn.attempt), Again: int(pn.again),
			Open: pn.open(), LeftMS: uint32(until - in.Now)}
	}
	return t
}

// Known is what is known of a Call-ID, by its hash; nil if it is not known.
func (s *State) Known(call uint64, now aged.Tick, snap *snapshot.Snapshot) *CallTrace {
	c, first, ok := s.calls.Peek(call)
	if !ok || !c.isKnown(first, now) {
		return nil
	}
	t := c.trace(first, now, snap)
	return &t
}

// EachCall tells of every Call-ID that is known or up, by its hash.
func (s *State) EachCall(now aged.Tick, snap *snapshot.Snapshot, tell func(k CallTrace, hash uint64)) {
	s.calls.Each(func(hash uint64, c call, first aged.Tick) {
		if k := c.trace(first, now, snap); k.LeftMS > 0 || k.UpMS > 0 {
			tell(k, hash)
		}
	})
}

func (c *call) trace(first, now aged.Tick, snap *snapshot.Snapshot) CallTrace {
	k := CallTrace{Server: snap.Server(c.server), AgeMS: c.bits.ageMS(now), Method: c.bits.method()}
	known, up := c.ends(first)
	if c.isKnown(first, now) {
		k.LeftMS = uint32(known-now) + 1
	}
	if c.isUp(first, now) {
		k.UpMS = uint32(up-now) + 1
	}
	return k
}

func (p *Proxy) traceRequest(in *Input, t *Trace) {
	m := in.Msg
	r := request{Input: in, m: m, svc: in.Listener.Service, call: t.Call}
	if r.server = r.svc.ServerAt(in.From); r.server == nil {
		r.server = p.serverBehindVia(&r)
	}
	p.readRoutes(&r)
	p.bindRequest(&r)
	hop := p.nextHop(&r)
	t.Pool = r.svc.PoolOf(r.call)
	t.FromServer, t.Ours, t.Strict, t.Sealed, t.ToClient = r.server, r.ours, r.strict, r.sealed, p.towardClient(&r)
	t.key, t.Hash, t.NextHop = key(r.bind, r.salt), p.hashKey(&r, t.Pool), string(m.Bytes(hop.Text))
	if r.sealed {
		t.Token = r.svc.ServerByID(r.token.Server)
		t.TokenKeeps = t.Token != nil && p.keeps(&r, t.Token)
	}
	if m.To.Tag.Len() > 0 {
		t.Named = p.serverNamed(&r, hop)
	}
}

func (p *Proxy) traceResponse(in *Input, t *Trace) {
	m := in.Msg
	t.FromServer = in.Listener.Service.ServerAt(in.From)
	branch, ok := p.openBranch(in)
	if !ok || m.NVia < 2 {
		return
	}
	via := &m.Via[1]
	back := p.wayBack(in, &branch)
	t.OurBranch = p.binding(m, via, back.received, back.rport) == branch.Binding
	t.key = key(branch.Binding, branch.Salt)
}

// Handles are the servers that the trace came by.
func (t *Trace) Handles() []snapshot.Handle {
	var out []snapshot.Handle
	if t.Pin != nil {
		out = append(out, t.pin.server)
		out = append(out, t.pin.tried[:]...)
	}
	if t.Known != nil && t.Known.Server != nil {
		out = append(out, t.Known.Server.Handle)
	}
	return out
}

// Scratch is a State that holds of another what the traced message would find there, and nothing else. in is what the
// trace was made of; dry the snapshot that the message will be decided with.
func (t *Trace) Scratch(in *Input, dry *snapshot.Snapshot) *State {
	s := NewState(1000, 1000, nil)
	if c := t.Known; c != nil && c.Server != nil {
		shard := s.calls.Shard(t.Call)
		shard.Lock()
		v, until, _ := shard.Put(t.Call)
		*v, *until = call{server: c.Server.Handle, bits: callKnown | callBits(c.Method)}, in.Now+aged.Tick(c.LeftMS)
		shard.Unlock()
	}
	if t.Pin == nil {
		return s
	}
	pn := t.pin
	if req, ok := in.State.replay.load(t.key, pn.replay, dry, nil); ok {
		m := sip.Msg{Buf: req.Data}
		pn.replay = s.replay.save(t.key, &Input{Msg: &m, From: req.From, Local: req.Local, Listener: req.Listener, Flow: req.Flow, NowNS: in.NowNS})
	} else {
		pn.replay = 0
	}
	shard := s.pins.Shard(t.key)
	shard.Lock()
	v, until, _ := shard.Put(t.key)
	*v, *until = pn, t.pinUntil
	shard.Unlock()
	return s
}
