package proxy

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

// maxBackoffS bounds for how long a server may ask to be left alone, in seconds.
const maxBackoffS = 300

// Response decides about a response (RFC 3261 16.7, 16.11, 18.1.2).
func (p *Proxy) Response(in *Input) Verdict {
	m := in.Msg
	p.begin(m)
	if m.Err != sip.NoFault {
		return Verdict{Reason: BadResponse}
	}
	branch, ok := p.openBranch(in)
	if !ok {
		return Verdict{Reason: ForeignResponse}
	}
	if m.NVia < 2 {
		return Verdict{Reason: OwnResponse}
	}
	via := &m.Via[1]
	back := p.wayBack(in, &branch)
	if p.binding(m, via, back.received, back.rport) != branch.Binding {
		return Verdict{Reason: ForgedResponse}
	}
	to := back.to
	if back.flow == 0 && (!sendable(to) || in.Snapshot.Own(in.Listener.Service, to)) {
		return Verdict{Reason: BadNextHop}
	}
	v := Verdict{Action: Forward, Reason: Response, Status: m.Status, To: to, Flow: back.flow, Order: p.sealer.CallHash(m.Bytes(m.CallID))}
	v.Server = in.Listener.Service.ServerAt(in.From)
	if v.Server != nil {
		heard(v.Server, in.Now)
		if m.Status == 503 && m.RetryAfter > 0 {
			v.BackoffS = min(m.RetryAfter, maxBackoffS)
		}
	}
	p.complete(in, &v, &branch)
	if v.Action == Forward {
		in.State.repeats.heard(repeatKey(key(branch.Binding, branch.Salt), m.CSeqMethod), m.Status)
	}
	if v.Action == Forward {
		p.noteCall(in, &v)
		p.edit.PopVia()
		v.Face = back.face
		if v.Face == nil || v.Flow == 0 && v.Face.SentBy.Addr().Is4() != to.Addr().Is4() {
			v.Face = in.Listener.FaceFor(to.Addr(), back.transport, in.Listener.FaceAt(in.Local)) // the listener it came in on is gone
			if v.Face == nil {
				return Verdict{Reason: BadNextHop}
			}
		}
		if v.Face.Transport.Stream() {
			p.edit.AddContentLength()
		}
	}
	return v
}

func heard(sv *snapshot.Server, now aged.Tick) {
	if sv.Traffic.Heard.Load() != uint32(now) {
		sv.Traffic.Heard.Store(uint32(now))
	}
}

// openBranch opens our branch in the top Via. A response whose sent-by is not
// ours is none of ours either (18.1.2).
func (p *Proxy) openBranch(in *Input) (token.Branch, bool) {
	m := in.Msg
	if m.NVia < 1 {
		return token.Branch{}, false
	}
	via := &m.Via[0]
	text := m.Bytes(via.Branch)
	if !hasCookie(text) {
		return token.Branch{}, false
	}
	b, ok := p.sealer.OpenBranch(text[len(cookie):], &p.scratch)
	if !ok {
		return b, false
	}
	if face := in.Listener.FaceAt(in.Local); via.Port == face.SentBy.Port() && string(m.Bytes(via.Host)) == face.Host {
		return b, true // nearly always: it comes back to where its request left, in the words we gave it
	}
	host, ok := sip.HostAddr(m.Bytes(via.Host))
	return b, ok && in.Snapshot.Own(in.Listener.Service, netip.AddrPortFrom(host, orDefault(via.Port)))
}

// wayBack is where a response goes: by the Via below ours, and by what ours says of how the request came.
type wayBack struct {
	to        netip.AddrPort
	received  netip.Addr // the address that the request was received from
	rport     uint16     // that is bound into the branch
	flow      uint64     // connection that the request came on; 0: none
	face      *snapshot.Face
	transport sip.Transport // of face, or of what it was
}

func (p *Proxy) wayBack(in *Input, branch *token.Branch) (b wayBack) {
	m := in.Msg
	if b.face = in.Listener.FaceAt(in.Local); b.face.ID != branch.Listener {
		b.face = in.Snapshot.Face(branch.Listener)
	}
	via := &m.Via[1]
	b.to, b.received = responseTarget(m, via)
	if b.face != nil {
		b.transport = b.face.Transport
	} else {
		b.transport, _ = sip.TransportNamed(m.Bytes(via.Transport))
	}
	if !b.transport.Stream() {
		b.rport = viaRport(via)
		return b
	}
	if ours := &m.Via[0]; ours.Flow.Len() > 0 {
		b.flow, _ = p.sealer.OpenVia(m.Bytes(ours.Flow), m.Bytes(ours.Branch)[len(cookie):])
	}
	port := via.Port
	if port == 0 {
		port = b.transport.DefaultPort()
	}
	b.to = netip.AddrPortFrom(b.received, port) // 18.2.2: if the connection is gone
	return b
}

// responseTarget is where the next Via sends a response (18.2.2, RFC 3581
// section 4), and the address that the request was received from.
func responseTarget(m *sip.Msg, via *sip.Via) (to netip.AddrPort, received netip.Addr) {
	received, ok := sip.HostAddr(m.Bytes(via.Received))
	if !ok {
		if received, ok = sip.HostAddr(m.Bytes(via.Host)); !ok { // none was added since sent-by was the source
			return netip.AddrPort{}, netip.Addr{}
		}
	}
	if via.Maddr.Len() > 0 {
		if a, ok := sip.HostAddr(m.Bytes(via.Maddr)); ok {
			return netip.AddrPortFrom(a, orDefault(via.Port)), received
		}
	}
	port := viaRport(via)
	if port == 0 {
		port = orDefault(via.Port)
	}
	return netip.AddrPortFrom(received, port), received
}

func viaRport(via *sip.Via) uint16 {
	if via.Rport.Len() > 0 {
		return via.RportVal
	}
	return 0
}

// complete brings a response together with its open transaction, if there is
// one, and finds out whether the request gets another chance.
func (p *Proxy) complete(in *Input, v *Verdict, b *token.Branch) {
	m, k := in.Msg, key(b.Binding, b.Salt)
	shard := in.State.pins.Shard(k)
	shard.Lock()
	defer shard.Unlock()
	pn := shard.Get(k, in.Now)
	if pn == nil {
		p.soften503(in, v)
		return
	}
	if pn.attempt != b.Attempt {
		p.late(in, v, k, pn)
		return
	}
	if m.CSeqMethod != pn.method {
		return // of a CANCEL: its transaction is not the one that is kept
	}
	sv := in.Snapshot.Server(pn.server)
	if sv != nil && sv != v.Server && sv.Addr == in.From {
		v.Server = sv // it is in several pools, and was asked as one of this
		heard(sv, in.Now)
	}
	if sv != nil && pn.mute() && m.CSeqMethod == pn.method {
		sv.State.Responded(sinceUS(in.NowNS, pn.sentTick))
	}
	if m.Status < 200 {
		p.provisional(in, shard, k, pn)
		return
	}
	if m.Status >= 400 && p.reselect(in, v, k, pn, sv) {
		return
	}
	p.soften503(in, v)
	if !pn.open() {
		return
	}
	pn.flags |= pinFinal
	v.Final, v.LatencyUS = true, sinceUS(in.NowNS, pn.sentTick)
	if sv != nil {
		sv.State.OpenTransactions.Add(-1)
		if v.Server == nil {
			v.Server = sv // it answers from another address than it is known by
		}
	}
	if pn.attempt == 0 && pn.flags&pinLarge == 0 && in.Listener.Service.CallTimeoutMS >= transactionMS && p.callOn(in, v.Order, pn.server) {
		shard.Delete(k) // known by its call: what comes again takes the same way
		return
	}
	shard.Touch(k, in.Now+transactionMS)
}

// late drops what a server says of a transaction that was taken from it. A refusal
// of an INVITE is acknowledged once more: our ACK was lost (17.1.1.2, Completed).
func (p *Proxy) late(in *Input, v *Verdict, k uint64, pn *pin) {
	m, sv := in.Msg, v.Server
	*v = Verdict{Reason: LateResponse, Server: sv, Order: v.Order, Status: m.Status}
	if sv == nil || m.Status < 300 || m.CSeqMethod != sip.Invite {
		return
	}
	if req, ok := in.State.replay.load(k, pn.replay, in.Snapshot, p.againBuf); ok {
		v.Action = Resend
		v.resend = p.later(resend{request: req, failed: sv, ack: true})
	}
}

func (p *Proxy) provisional(in *Input, shard *aged.Shard[pin], k uint64, pn *pin) {
	if in.Msg.Status == 100 {
		pn.flags |= pinTrying
		return
	}
	pn.flags |= pinTrying | pinRinging
	if pn.method == sip.Invite {
		shard.Touch(k, in.Now+inviteMS) // Timer C: 16.7 (2)
	}
}

// callOn reports whether the Call-ID is known, with that server, and keeps it for
// another while.
func (p *Proxy) callOn(in *Input, call uint64, h snapshot.Handle) bool {
	shard := in.State.calls.Shard(call)
	shard.Lock()
	defer shard.Unlock()
	c, first := shard.Find(call)
	if c == nil || c.server != h || !c.isKnown(*first, in.Now) {
		return false
	}
	c.used(first, in.Now+aged.Tick(in.Listener.Service.CallTimeoutMS), in.Msg.CSeqMethod)
	return true
}

// soften503 turns one server's 503 into 500: a caller that sees 503 leaves the whole
// service alone (RFC 3261 16.7 (6)). With no other server it is the truth.
func (p *Proxy) soften503(in *Input, v *Verdict) {
	if in.Msg.Status != 503 || v.Server == nil {
		return
	}
	others := in.Listener.Service.Selectable()
	if v.Server.Index >= 0 && v.Server.State.Condition() == selectable {
		others--
	}
	if others > 0 {
		p.edit.SetStatusLine(500, "Server Internal Error")
		v.Reason, v.Status = Response503To500, 500
	}
}
