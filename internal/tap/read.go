package tap

import (
	"bytes"
	"cmp"
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// reader is the other end of a tap.
type reader struct {
	page *page
	msg  sip.Msg
	past past
}

// Read waits for messages and returns those that are there, and how many could not be copied since the trace began. What is
// there is returned even if ctx has ended.
func (t *Tap) Read(ctx context.Context) ([]report.TraceMessage, uint64, error) {
	select {
	case <-t.some:
	default:
		select {
		case <-t.some:
		case <-t.closed:
			return nil, t.Lost(), ErrClosed
		case <-ctx.Done():
			return nil, t.Lost(), ctx.Err()
		}
	}
	r := &t.read
	t.mu.Lock()
	t.page, r.page = r.page, t.page
	lost := t.lost
	t.mu.Unlock()
	var out []report.TraceMessage
	for i := range r.page.list {
		s := &r.page.list[i]
		m, parsed := t.message(r.page, s)
		if t.of.Note != nil {
			t.of.Note(m)
		}
		if t.before {
			out = t.withPast(out, m, s, parsed)
		} else {
			out = append(out, *m)
		}
	}
	r.page.reset()
	return out, lost, nil
}

// Lost is how many messages that fitted could not be copied.
func (t *Tap) Lost() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// message turns a sighting into words. parsed is the message it is about; nil if there is none.
func (t *Tap) message(p *page, s *Sighting) (m *report.TraceMessage, parsed *sip.Msg) {
	came, left := p.text[s.came[0]:s.came[1]], p.text[s.left[0]:s.left[1]]
	if !t.secret {
		blank(came)
		blank(left)
	}
	pool := s.Listener.Service
	m = &report.TraceMessage{Seq: s.seq, At: time.Unix(0, s.at).UTC(), What: s.What, Service: s.Listener.Service.Name, Transport: strings.ToLower(s.Listener.Key.Transport.String()),
		Source: sourceOf(s), Local: localOf(s), Action: s.Action, Reason: s.Reason,
		Sentence: s.Sentence, LatencyUS: s.LatencyUS, Came: string(came), Left: string(left)}
	if s.Face != nil {
		to := partyAt(pool, s.To)
		m.Target, m.Out, m.OutTransport = &to, netip.AddrPortFrom(s.Face.Addr(), s.Face.Out.Addr.Port()), strings.ToLower(s.Face.Transport.String())
		if s.Answered && s.What == report.TraceMessageCame {
			m.Answer = s.Status
		}
	}
	m.Direction = "from_client"
	if m.Source.Server != "" {
		m.Direction = "from_server"
	}
	if s.Server != nil {
		m.Server = s.Server.Name
	}
	text := came
	if len(text) == 0 {
		text = left
	}
	if sip.Classify(text) != sip.KindSIP {
		return m, nil
	}
	msg := &t.read.msg
	msg.Parse(text)
	describe(m, msg)
	return m, msg
}

// describe tells what a message says of itself, as far as it can be read.
func describe(m *report.TraceMessage, msg *sip.Msg) {
	start, _, _ := bytes.Cut(msg.Buf, []byte("\r\n"))
	m.Start, m.Method, m.CallID, m.CSeq = string(start), string(methodIn(msg)), string(msg.Bytes(msg.CallID)), msg.CSeq
	m.From, m.To = userOf(msg, msg.From.URI), userOf(msg, msg.To.URI)
	via := 0
	if !msg.IsRequest {
		m.Status = msg.Status
		via = 1 // behind ours
	}
	if msg.NVia > via {
		m.Transaction = string(msg.Bytes(msg.Via[via].Branch))
	}
}

func userOf(m *sip.Msg, uri sip.Span) string {
	u, _ := sip.ParseURI(m.Buf, uri) // what cannot be read has no user
	return string(m.Bytes(u.User))
}

func partyAt(pool *snapshot.Service, a netip.AddrPort) report.TraceParty {
	p := report.TraceParty{Addr: a}
	if sv := pool.ServerAt(a); sv != nil {
		p.Server = cmp.Or(sv.Name, sv.Addr.String())
	}
	return p
}

// sourceOf is who sent a message. A server that has connected to us itself did so from a port of its own choice.
func sourceOf(s *Sighting) report.TraceParty {
	pool := s.Listener.Service
	p := partyAt(pool, s.From)
	if p.Server != "" || !s.Listener.Key.Transport.Stream() {
		return p
	}
	toServer := s.Face != nil && pool.ServerAt(s.To) != nil // then that is the one of the verdict
	for _, pool := range pool.Pools() {
		for _, sv := range pool.Servers {
			if sv.Addr.Addr() == s.From.Addr() && (s.Server == sv && !toServer || s.FromServer) {
				p.Server = cmp.Or(sv.Name, sv.Addr.String())
				return p
			}
		}
	}
	return p
}

// localOf is the address of ours that a message came to.
func localOf(s *Sighting) netip.AddrPort {
	if s.Local.IsValid() {
		return netip.AddrPortFrom(s.Local, s.Listener.Addr.Port())
	}
	return s.Listener.Addr
}

// pastOctets bounds what a tap remembers of messages that did not fit yet.
const pastOctets = 16 << 20

// past is messages of calls that nobody has asked for yet, the oldest first.
type past struct {
	queue []*report.TraceMessage
	calls map[string][]*report.TraceMessage // by Call-ID; nil entry: it is asked for
	size  int
	shown map[string]time.Time
}

// withPast appends a message that fits, or belongs to a call of which one did, with what came before; another one is
// remembered.
func (t *Tap) withPast(out []report.TraceMessage, m *report.TraceMessage, s *Sighting, parsed *sip.Msg) []report.TraceMessage {
	p := &t.read.past
	if p.shown == nil {
		p.shown = map[string]time.Time{}
	}
	if _, ok := p.shown[m.CallID]; ok && m.CallID != "" {
		p.shown[m.CallID] = m.At
		return append(out, *m)
	}
	if !t.fits.all(s, parsed) {
		p.keep(m)
		return out
	}
	if m.CallID == "" {
		return append(out, *m)
	}
	if len(p.shown) >= followed {
		p.forget(m.At)
	}
	p.shown[m.CallID] = m.At
	for _, old := range p.calls[m.CallID] {
		out = append(out, *old)
	}
	delete(p.calls, m.CallID)
	return append(out, *m)
}

// forget makes room among the calls that are shown: those of which nothing came for a while go.
func (p *past) forget(now time.Time) {
	for id, at := range p.shown {
		if now.Sub(at) > tapLife || len(p.shown) >= followed {
			delete(p.shown, id)
		}
	}
}

// keep remembers a message, and forgets the oldest.
func (p *past) keep(m *report.TraceMessage) {
	if m.CallID == "" {
		return
	}
	p.queue = append(p.queue, m)
	p.calls[m.CallID] = append(p.calls[m.CallID], m)
	p.size += sizeOf(m)
	for p.size > pastOctets && len(p.queue) > 0 {
		old := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		p.size -= sizeOf(old)
		if of := p.calls[old.CallID]; len(of) > 0 && of[0] == old {
			if len(of) == 1 {
				delete(p.calls, old.CallID)
			} else {
				p.calls[old.CallID] = of[1:]
			}
		}
	}
}

func sizeOf(m *report.TraceMessage) int { return len(m.Came) + len(m.Left) + 512 }
