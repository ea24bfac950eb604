package proxy

import (
	"encoding/binary"
	"net/netip"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

// Input is one message and what the worker knows of it.
type Input struct {
	Msg      *sip.Msg
	From     netip.AddrPort
	Local    netip.Addr // address it was sent to; valid on wildcard listeners
	Listener *snapshot.Listener
	Flow     uint64 // number of the connection it came on; 0 for a datagram
	Again    bool   // we send it again, its client does not
	Gone     uint64 // number of a connection that a verdict about this message named, and that is no more
	Snapshot *snapshot.Snapshot
	State    *State    // of the listener's service
	Now      aged.Tick // ms
	NowNS    int64     // monotonic
}

// Proxy decides and writes. It holds the scratch of one worker: one goroutine
// uses it, and what it returned is valid until it is asked again.
type Proxy struct {
	sealer *token.Sealer
	names  *Names

	edit     sip.Edit
	m        *sip.Msg // the message that edit and reply are about
	reply    sip.Reply
	text     []byte // what edit inserts; never grows beyond its capacity
	material []byte
	scratch  [16]byte
	toTag    [16]byte
	bareURI  sip.URI // what request.uri points to when maddr was ours
	refusal  refusal
	resend   resend // what the last verdict Resend is about

	again    sip.Msg // a stored request
	stored   Input   // and how it came
	againBuf []byte
}

// textRoom holds two Record-Route lines, a Via line, and the rest that is put into a message.
const textRoom = 4096

// New makes a Proxy. names may be nil: then host names in Route and Request-URI
// are not resolved.
func New(sealer *token.Sealer, names *Names) *Proxy {
	return &Proxy{sealer: sealer, names: names, text: make([]byte, 0, textRoom), material: make([]byte, 0, 512),
		againBuf: make([]byte, 0, replayMaxSize)}
}

func (p *Proxy) begin(m *sip.Msg) {
	p.m = m
	p.edit.Reset(m)
	p.text = p.text[:0]
}

// Append writes the message of a verdict whose action is Forward or Answer. What
// it appends is at most len(message)+Growth octets.
func (p *Proxy) Append(dst []byte, v *Verdict) []byte {
	if v.Action == Answer {
		return p.m.AppendReply(dst, &p.reply)
	}
	return p.edit.Apply(dst)
}

// Growth is how much longer a message leaves at the most.
const Growth = 1024

// binding hashes what comes back to us in the Via below ours: who the response
// is for and where it will go. Branch octets are compared as they came; the host
// without regard to case; addresses as addresses, since an element on the way may
// write them in another form. For RFC 2543 elements, whose Via says too little,
// everything that request and response share is taken (RFC 3261 16.11).
func (p *Proxy) binding(m *sip.Msg, via *sip.Via, received netip.Addr, rport uint16) token.Binding {
	b := p.material[:0]
	branch := m.Bytes(via.Branch)
	modern := hasCookie(branch)
	if modern {
		b = p.appendBounded(b, branch)
	}
	b = append(b, 0)
	host := m.Bytes(via.Host)
	if len(host) > maxMaterial {
		b = p.appendBounded(b, host)
	} else {
		for _, c := range host {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			b = append(b, c)
		}
	}
	b = binary.BigEndian.AppendUint16(append(b, 0), via.Port)
	b = binary.BigEndian.AppendUint16(b, rport)
	if received.Is4() {
		a := received.As4()
		b = append(b, a[:]...)
	} else if received.IsValid() {
		a := received.As16()
		b = append(b, a[:]...)
	}
	if via.Maddr.Len() > 0 {
		b = p.appendBounded(append(b, 'm'), m.Bytes(via.Maddr))
	}
	if !modern {
		b = p.appendBounded(append(b, 'b'), branch)
		b = p.appendBounded(append(b, 'f'), m.Bytes(m.From.Tag))
		b = p.appendBounded(append(b, 'c'), m.Bytes(m.CallID))
		b = binary.BigEndian.AppendUint32(append(b, 's'), m.CSeq)
	}
	return p.sealer.Bind(b)
}

// maxMaterial is how many octets of one field are hashed as they are; longer ones are hashed first.
const maxMaterial = 64

func (p *Proxy) appendBounded(b, field []byte) []byte {
	if len(field) <= maxMaterial {
		return append(b, field...)
	}
	return binary.BigEndian.AppendUint64(append(b, 0xff), p.sealer.CallHash(field))
}

// hasCookie reports whether a branch is one of RFC 3261: the cookie and
// something after it (the cookie alone, as in RFC 4475 3.2.1, tells nothing apart).
func hasCookie(branch []byte) bool {
	return len(branch) > len(cookie) && string(branch[:len(cookie)]) == cookie
}

const cookie = "z9hG4bK"

// salt tells apart transactions of an RFC 2543 client that only the Request-URI,
// or the To tag, distinguishes. The To tag counts only where request, CANCEL
// and ACK do not differ in it.
func (p *Proxy) salt(m *sip.Msg, via *sip.Via) uint32 {
	if hasCookie(m.Bytes(via.Branch)) {
		return 0
	}
	h := p.sealer.Hash24(m.Bytes(m.URI.Text))
	switch m.Method {
	case sip.Invite, sip.Ack, sip.Cancel:
	default:
		h ^= p.sealer.Hash24(m.Bytes(m.To.Tag)) >> 1
	}
	return h
}

// key is where the pin of a transaction is kept.
func key(b token.Binding, salt uint32) uint64 { return b.Lo ^ uint64(salt)<<20 ^ uint64(b.Hi)<<1 }
