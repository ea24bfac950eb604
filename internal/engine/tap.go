package engine

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/tap"
	"github.com/carillon-sip/carillon/internal/transport"
)

// Tap begins a trace. Who reads it renews it, and closes it at the end.
func (e *Engine) Tap(f report.TraceFilter) (*tap.Tap, error) { return e.taps.Open(f) }

// sight is what the worker knows of the message at hand, for taps. It has taps.
func (w *worker) sight(what string, from netip.AddrPort, local netip.Addr, v *proxy.Verdict) *tap.Sighting {
	s := &w.sighting
	*s = tap.Sighting{What: what, Listener: w.input.Listener, Server: v.Server, From: from, Local: local, Action: v.Action.String(),
		Answered: v.Action == proxy.Answer, FromServer: v.Reason == proxy.FromServer, Reason: v.Reason.String(), Sentence: v.Reason.Sentence()}
	return s
}

// tapped shows to taps the message that was just decided about. The worker has taps.
func (w *worker) tapped(what string, v *proxy.Verdict, left []byte) {
	s := w.sight(what, w.input.From, w.input.Local, v)
	s.Status = v.Status
	if v.Final {
		s.LatencyUS = max(v.LatencyUS, 1)
	}
	if v.Action == proxy.Forward || v.Action == proxy.Answer {
		s.To, s.Face = v.To, v.Face
	} else {
		left = nil
	}
	came := w.msg.Buf
	if what == report.TraceResent || what == report.TraceAck {
		came = nil
	}
	w.taps.Show(s, &w.msg, came, left)
}

// tappedAck is tapped for the ACK of a refusal, which no verdict of its own tells of.
func (w *worker) tappedAck(v *proxy.Verdict, ack []byte, to netip.AddrPort, face *snapshot.Face) {
	s := w.sight(report.TraceAck, w.input.From, w.input.Local, v)
	s.Action, s.Answered, s.To, s.Face = proxy.Forward.String(), false, to, face
	w.taps.Show(s, &w.msg, nil, ack)
}

// tappedJunk is tapped for what is no SIP message.
func (w *worker) tappedJunk(d *transport.Datagram, reason proxy.Reason) {
	w.taps.Show(w.sight(report.TraceNoSIP, d.From, d.Local, &proxy.Verdict{Action: proxy.Drop, Reason: reason}), nil, d.Data, nil)
}

// seen remembers a message of a call that a trace has read.
func (e *Engine) seen(m *report.TraceMessage) {
	if m.CallID != "" {
		e.seenCalls.Note(e.sealer.CallHash([]byte(m.CallID)), m)
	}
}
