package proxy

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// AckRoom is how long an ACK of AppendAck mostly is at the most, and StoredMax how
// long a stored request, in octets.
const (
	AckRoom   = 2 * replayMaxSize
	StoredMax = replayMaxSize
)

// resend is what Again needs of the decision to send a stored request again.
type resend struct {
	request Stored
	server  *snapshot.Server // nil: answer the client with status instead
	failed  *snapshot.Server
	attempt uint8 // for server; the failed one had one less
	status  int   // of the answer; 0: there is nothing to send but the ACK
	reason  Reason
	ack     bool // the failed server's final response to an INVITE wants an ACK (17.1.1.3)
}

// later keeps what a verdict Resend is about. It is too large to be carried through
// every verdict.
func (p *Proxy) later(s resend) *resend {
	p.resend = s
	return &p.resend
}

// reselect takes a transaction whose server gave a final response that makes it go to another one (RFC 3261 16.7 (6),
// RFC 3263 4.3: a 503, once; server_reselect). A caller that heard of a ringing phone is left with what it heard. The
// caller holds the pin's shard.
func (p *Proxy) reselect(in *Input, v *Verdict, k uint64, pn *pin, sv *snapshot.Server) bool {
	if sv == nil || int(pn.attempt) >= in.Listener.Service.Retries(sv.Pool, in.Msg.Status) {
		return false
	}
	if !pn.open() || pn.flags&(pinRinging|pinInDialog|pinCancelled) != 0 {
		return false
	}
	req, ok := in.State.replay.load(k, pn.replay, in.Snapshot, p.againBuf)
	if !ok {
		return false
	}
	next := p.nextStored(in, &req, pn)
	if next == nil || p.again.NRoute > ackRoutes || !sv.Pool.Budget.Allow(in.NowNS) {
		return false
	}
	p.move(in, pn, sv, next)
	p.moveCall(in, v.Order, next)
	v.Action, v.Reason, v.Server = Resend, FailedOverCode, sv
	if in.Msg.Status == 503 {
		v.Reason = FailedOver503
	}
	v.resend = p.later(resend{request: req, server: next, failed: sv, attempt: pn.attempt, reason: v.Reason,
		ack: pn.method == sip.Invite})
	return true
}

// nextStored is the next choice for a stored request, or nil.
func (p *Proxy) nextStored(in *Input, req *Stored, pn *pin) *snapshot.Server {
	p.again.Parse(req.Data)
	r := p.storedRequest(in, req)
	return p.next(&r, pn)
}

// storedRequest is what is known of a stored request, which has been parsed into
// p.again; in is what led to it.
func (p *Proxy) storedRequest(in *Input, req *Stored) request {
	p.stored = *in
	p.stored.Msg, p.stored.From, p.stored.Local, p.stored.Listener, p.stored.Flow = &p.again, req.From, req.Local, req.Listener, req.Flow
	return request{Input: &p.stored, m: &p.again, svc: req.Listener.Service, call: p.sealer.CallHash(p.again.Bytes(p.again.CallID))}
}

// moveCall makes next the server of a Call-ID that is known. Its request has been parsed into p.again.
func (p *Proxy) moveCall(in *Input, call uint64, next *snapshot.Server) {
	r := request{Input: in, m: &p.again, svc: in.Listener.Service, call: call}
	p.knowCall(&r, next, true)
}

// Unreachable decides about an ICMP error for a datagram that we sent to dest, of
// which quoted is the beginning (RFC 3261 16.9, 18.4). Only a branch that we sealed,
// of a transaction that is open at that server, has an effect: the request goes to
// the next server, or its client gets an answer.
func (p *Proxy) Unreachable(in *Input, dest netip.AddrPort) Verdict {
	m := in.Msg
	p.begin(m)
	svc := in.Listener.Service
	suspect := svc.ServerAt(dest)
	branch, ok := p.openBranch(in)
	if !ok || !m.IsRequest || suspect == nil {
		return Verdict{Reason: UnreachableStray, Suspect: suspect}
	}
	k := key(branch.Binding, branch.Salt)
	shard := in.State.pins.Shard(k)
	shard.Lock()
	defer shard.Unlock()
	pn := shard.Get(k, in.Now)
	if pn != nil {
		if sv := in.Snapshot.Server(pn.server); sv != nil && sv.Addr == dest {
			suspect = sv // it is in several pools, and was asked as one of this
		}
	}
	if pn == nil || pn.attempt != branch.Attempt || pn.server != suspect.Handle || m.Method != pn.method ||
		!pn.open() || pn.flags&(pinRinging|pinCancelled) != 0 {
		return Verdict{Reason: UnreachableStray, Suspect: suspect}
	}
	return p.unreached(in, shard, k, pn, suspect)
}

// unreached takes a transaction to another server, or gives it up, for its own could not be reached. The caller holds the
// pin's shard.
func (p *Proxy) unreached(in *Input, shard *aged.Shard[pin], k uint64, pn *pin, suspect *snapshot.Server) Verdict {
	svc := in.Listener.Service
	if in.stream() && pn.flags&(pinLarge|pinBroken) == pinLarge {
		// the server may be well, and take it in a datagram (18.1.1)
		pn.flags |= pinBroken
		if req, ok := in.State.replay.load(k, pn.replay, in.Snapshot, p.againBuf); ok {
			v := Verdict{Action: Resend, Reason: SentAgain, Order: p.storedCall(&req), Server: suspect}
			v.resend = p.later(resend{request: req, server: suspect, failed: suspect, attempt: pn.attempt, reason: SentAgain})
			return v
		}
	}
	suspect.Traffic.Unreachable.Add(1)
	req, ok := in.State.replay.load(k, pn.replay, in.Snapshot, p.againBuf)
	if !ok {
		pn.again = max(pn.again, svc.FailoverRetransmissions) // the retransmission will find the next server
		return Verdict{Reason: UnreachableStray, Suspect: suspect}
	}
	call := p.storedCall(&req)
	v := Verdict{Action: Resend, Reason: FailedOverICMP, Order: call, Suspect: suspect, Server: suspect}
	if in.stream() {
		v.Reason = FailedOverConnection
	}
	if pn.flags&pinInDialog == 0 || suspect.Pool.Shared {
		next := p.nextStored(in, &req, pn)
		if next != nil && suspect.Pool.Budget.Allow(in.NowNS) {
			p.move(in, pn, suspect, next)
			p.moveCall(in, call, next)
			v.resend = p.later(resend{request: req, server: next, failed: suspect, attempt: pn.attempt, reason: v.Reason})
			return v
		}
	}
	p.giveUp(in, shard, k, pn, suspect)
	v.Reason = ServerUnreachable
	v.resend = p.later(resend{request: req, failed: suspect, status: 500, reason: ServerUnreachable})
	if svc.Selectable() <= 1 {
		v.resend.status = 503
	}
	return v
}

func (p *Proxy) storedCall(req *Stored) uint64 {
	p.again.Parse(req.Data)
	return p.sealer.CallHash(p.again.Bytes(p.again.CallID))
}

func (p *Proxy) giveUp(in *Input, shard *aged.Shard[pin], k uint64, pn *pin, sv *snapshot.Server) {
	pn.flags |= pinFinal
	sv.State.OpenTransactions.Add(-1)
	shard.Touch(k, in.Now+transactionMS)
	in.State.repeats.end(k)
}

// Broken decides about a transaction, by its key, whose request went to a server on a connection that broke before a
// response came (RFC 3261 16.9, 17.1.4). The request goes to that server once more, over a new connection, with the same
// branch: a server that lives knows it again, and one that does not refuses the connection, and another one gets the
// request. ok says that the request is to be sent so: it is in again, its text in dst. Else the verdict counts.
func (p *Proxy) Broken(in *Input, k uint64, dest netip.AddrPort, dst []byte) (again Stored, v Verdict, ok bool) {
	shard := in.State.pins.Shard(k)
	shard.Lock()
	defer shard.Unlock()
	stray := Verdict{Reason: UnreachableStray}
	pn := shard.Get(k, in.Now)
	if pn == nil || !pn.open() || pn.flags&(pinRinging|pinCancelled) != 0 {
		return again, stray, false
	}
	sv := in.Snapshot.Server(pn.server)
	if sv == nil || sv.Addr != dest {
		return again, stray, false // it was taken elsewhere meanwhile
	}
	if pn.flags&pinBroken != 0 {
		return again, p.unreached(in, shard, k, pn, sv), false
	}
	pn.flags |= pinBroken
	again, ok = in.State.replay.load(k, pn.replay, in.Snapshot, dst)
	return again, stray, ok
}

// AppendAck writes the ACK that the server of a verdict Resend gets for its
// 503 to an INVITE (RFC 3261 17.1.1.3). It gives where to send it; ok is false if
// there is none to send. Ask before Again.
func (p *Proxy) AppendAck(dst []byte, in *Input, v *Verdict) (msg []byte, to netip.AddrPort, face *snapshot.Face, ok bool) {
	s := v.resend
	if !s.ack {
		return dst, to, nil, false
	}
	face = s.request.Listener.FaceToward(s.failed)
	if f := s.request.Listener.FaceLarge(s.failed); f != nil && len(s.request.Data) > largeFrom && !face.Transport.Stream() {
		face = f
	}
	p.again.Parse(s.request.Data)
	m := &p.again
	if face == nil || m.Err != sip.NoFault {
		return dst, to, nil, false
	}
	r := p.storedRequest(in, &s.request)
	p.begin(m)
	p.readRoutes(&r)
	resp := in.Msg
	dst = append(dst, "ACK "...)
	dst = append(dst, p.requestURI(&r)...)
	dst = append(dst, " SIP/2.0\r\n"...)
	dst = append(dst, face.Via...)
	dst = append(dst, resp.Bytes(resp.Via[0].Branch)[len(cookie):]...)
	dst = append(dst, "\r\n"...)
	for i := r.ours; i < min(m.NRoute, ackRoutes); i++ { // it takes the way of its INVITE
		v := &m.LastRoute
		if i < len(m.Route) {
			v = &m.Route[i]
		}
		dst = append(dst, "Route: "...)
		dst = append(dst, m.Bytes(v.Text)...)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "Max-Forwards: 70\r\nFrom: "...)
	dst = append(dst, m.Bytes(m.From.Text)...)
	dst = append(dst, "\r\nTo: "...)
	dst = append(dst, resp.Bytes(resp.To.Text)...)
	dst = append(dst, "\r\nCall-ID: "...)
	dst = append(dst, m.Bytes(m.CallID)...)
	dst = append(dst, "\r\nCSeq: "...)
	dst = appendUint(dst, m.CSeq)
	return append(dst, " ACK\r\nContent-Length: 0\r\n\r\n"...), s.failed.Addr, face, true
}

// ackRoutes is how many Route values of an INVITE can be told: one with more is not sent again.
const ackRoutes = len(sip.Msg{}.Route) + 1

func appendUint(dst []byte, n uint32) []byte {
	var b [10]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return append(dst, b[i:]...)
		}
	}
}

// Again decides about the stored request of a verdict Resend: it goes to the
// next server with another branch (16.6 (7)), or its client is told. in is the
// input that led there; the verdict is written by Append.
func (p *Proxy) Again(in *Input, v *Verdict) Verdict {
	s := *v.resend
	p.again.Parse(s.request.Data)
	r := p.storedRequest(in, &s.request)
	p.begin(&p.again)
	if s.server == nil && s.status == 0 {
		return Verdict{Reason: s.reason}
	}
	if s.server == nil {
		out := p.refuse(r.Input, s.status, "Server Unreachable", s.reason)
		out.Suspect = v.Suspect
		return out
	}
	p.readRoutes(&r)
	p.bindRequest(&r)
	out := p.sendToServer(&r, choice{server: s.server, attempt: s.attempt, reason: s.reason})
	out.Method = p.again.Method
	return out
}

// AppendUndelivered appends the response that whoever sent a request is to get, as if the next hop had said it: m is the
// request as it left and came to nothing. It is given to Response, which knows the way back. Nothing is appended for
// what wants no response.
func (p *Proxy) AppendUndelivered(dst []byte, m *sip.Msg, status int, reason string) []byte {
	if m.Err != sip.NoFault || !m.IsRequest || m.Method == sip.Ack {
		return dst
	}
	return m.AppendReply(dst, &sip.Reply{Status: status, Reason: reason, ToTag: p.statelessTag(m)})
}
