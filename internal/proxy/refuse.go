package proxy

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"

	"github.com/carillon-sip/carillon/internal/sip"
)

// refusal holds header fields for the response that is being made.
type refusal struct {
	extras []byte
}

const unsupportedName = "Unsupported: "

func (f *refusal) extra(lines string) { f.extras = append(f.extras, lines...) }

// unsupported lists the option tags of Proxy-Require, and only these (16.3 (5)).
func (f *refusal) unsupported(m *sip.Msg) {
	f.extra(unsupportedName)
	for i := range min(m.NProxyRequire, len(m.ProxyRequire)) {
		if i > 0 {
			f.extra(", ")
		}
		f.extras = append(f.extras, m.Bytes(m.ProxyRequire[i])...)
	}
	f.extra("\r\n")
}

// refuseFault answers a malformed request with the name of its fault, if it can
// be answered at all.
func (p *Proxy) refuseFault(in *Input) Verdict {
	m := in.Msg
	if !m.Answerable() {
		if m.IsRequest && m.Method == sip.Ack {
			return Verdict{Reason: AckNotForwardable}
		}
		return Verdict{Reason: UnanswerableRequest}
	}
	return p.refuse(in, m.Err.Status(), m.Err.String(), BadMessage)
}

// refuse answers a request without keeping anything of it (RFC 3261 8.2.6, 16.3).
// An ACK is never answered.
func (p *Proxy) refuse(in *Input, status int, reason string, why Reason) Verdict {
	extras := p.refusal.extras
	p.refusal.extras = extras[:0]
	m := in.Msg
	if m.Method == sip.Ack {
		return Verdict{Reason: AckNotForwardable}
	}
	p.reply = sip.Reply{Status: status, Reason: reason, Extra: extras, Received: in.From}
	p.reply.ToTag = p.statelessTag(m)
	face := in.Listener.FaceAt(in.Local)
	if in.Flow != 0 {
		return Verdict{Action: Answer, Reason: why, Status: status, To: in.From, Flow: in.Flow, Face: face, Order: p.sealer.CallHash(m.Bytes(m.CallID))}
	}
	to := replyTarget(m, &m.Via[0], in.From)
	if !sendable(to) || in.Snapshot.Own(in.Listener.Service, to) {
		return Verdict{Reason: BadNextHop}
	}
	return Verdict{Action: Answer, Reason: why, Status: status, To: to, Face: face, Order: p.sealer.CallHash(m.Bytes(m.CallID))}
}

// noServer answers what no server may get, as fail_action says.
func (p *Proxy) noServer(r *request) Verdict {
	f := &r.svc.Fail
	p.refusal.extras = append(p.refusal.extras, f.RetryAfter...)
	text := "Service Unavailable"
	if f.Status != 503 {
		text = "No Server Available"
	}
	v := p.refuse(r.Input, f.Status, text, NoServer)
	v.Hangup = f.Close && r.Flow != 0
	return v
}

// statelessTag is a To tag that is the same for each retransmission (8.2.7).
func (p *Proxy) statelessTag(m *sip.Msg) []byte {
	b := append(p.material[:0], m.Bytes(m.CallID)...)
	b = append(b, m.Bytes(m.From.Tag)...)
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], p.sealer.CallHash(append(b, 't')))
	base64.RawURLEncoding.Encode(p.toTag[:11], raw[:])
	return p.toTag[:11]
}

// replyTarget is where a response to a request with that top Via, which came from
// that address, goes (18.2.2, RFC 3581 section 4).
func replyTarget(m *sip.Msg, via *sip.Via, from netip.AddrPort) netip.AddrPort {
	if a, ok := sip.HostAddr(m.Bytes(via.Maddr)); ok && via.Maddr.Len() > 0 {
		return netip.AddrPortFrom(a, orDefault(via.Port))
	}
	if via.HasRport {
		return from
	}
	return netip.AddrPortFrom(from.Addr(), orDefault(via.Port))
}
