package engine

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/alloctest"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/tap"
)

// trace opens a tap and returns what reads so many messages from it.
func trace(t *testing.T, e *Engine, f report.TraceFilter) (*tap.Tap, func(n int) []report.TraceMessage) {
	t.Helper()
	tr, err := e.Tap(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	var have []report.TraceMessage
	return tr, func(n int) []report.TraceMessage {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for len(have) < n {
			got, _, err := tr.Read(ctx)
			if err != nil {
				t.Fatalf("%d of %d messages, then %v", len(have), n, err)
			}
			have = append(have, got...)
		}
		out := have[:n]
		have = have[n:]
		return out
	}
}

func word(m report.TraceMessage) string {
	text := m.What + " " + m.Direction + " "
	if m.Status > 0 {
		text += fmt.Sprint(m.Status, " ")
	}
	text += m.Method + " " + m.Action + " " + m.Reason
	if m.Answer > 0 {
		text += fmt.Sprint(" ", m.Answer)
	}
	return text
}

func TestTapSeesACall(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, lb := start(t, quickSet(t, "127.0.0.1:0", server))
	_, read := trace(t, e, report.TraceFilter{CallID: "call-1"})
	client.send(lb, client.request("OPTIONS", "call-2", "y1", "")) // of no interest
	server.recv()
	client.send(lb, client.request("INVITE", "call-1", "x1", ""))
	m, from := server.recv()
	server.answer(m, from, 486, "Busy Here")
	answer, _ := client.recv()
	ack := strings.Replace(client.request("ACK", "call-1", "x1", ""), "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=tag-of-server", 1)
	client.send(lb, ack)
	got := read(3)
	for i, want := range []string{"message from_client INVITE forward new_call", "message from_server 486 INVITE forward response",
		"message from_client ACK forward known_call"} {
		if word(got[i]) != want {
			t.Errorf("message %d: %s, want %s", i, word(got[i]), want)
		}
	}
	first, second := got[0], got[1]
	if first.Source.Addr != client.addr || first.Local != lb || first.Out != lb || first.Target.Addr != server.addr || first.Target.Server == "" ||
		first.From != "alice" || first.To != "bob" || first.Transaction != "z9hG4bKx1" || second.Transaction != "z9hG4bKx1" {
		t.Errorf("%+v", first)
	}
	if second.Left != string(answer.Buf) || first.Left != string(m.Buf) || second.LatencyUS == 0 || !second.At.After(first.At) {
		t.Errorf("what left is not what was got: %+v", second)
	}
	if seen := e.Calls(report.CallsQuery{Limit: 10}); seen.Count != 2 || len(seen.Results) != 2 || seen.Servers[0].Calls != 2 {
		t.Errorf("calls: %+v", seen)
	} else if a, b := seen.Results[0].Seen, seen.Results[1].Seen; (a == nil) == (b == nil) {
		t.Errorf("one of both was traced: %+v %+v", a, b)
	}
}

// What the balancer says itself, drops and takes elsewhere is told too.
func TestTapSeesWhatEndsHere(t *testing.T) {
	dead, server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", dead, server)
	e, lb := start(t, set)
	_, read := trace(t, e, report.TraceFilter{})
	client.send(lb, strings.Replace(client.request("OPTIONS", "call-1", "x1", ""), "Max-Forwards: 70", "Max-Forwards: 0", 1))
	client.recv()
	client.send(lb, "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKno\nFrom: <sip:a@b>;tag=1\nTo: <sip:a@b>;tag=2\nCall-ID: q\nCSeq: 1 INVITE\nContent-Length: 0\n\n")
	client.send(lb, "\x80\x00 a stray packet of RTP")
	got := read(3)
	for i, want := range []string{"message from_client OPTIONS answer options_answered 200", "message from_client 200 INVITE drop foreign_response", "no_sip from_client  drop junk"} {
		if word(got[i]) != want {
			t.Errorf("message %d: %s, want %s", i, word(got[i]), want)
		}
	}
	dead.conn.Close()
	for i := range 20 { // one of them is placed on the dead one
		client.send(lb, client.request("INVITE", fmt.Sprint("call-", i), fmt.Sprint("b", i), ""))
		server.recv()
	}
	for m := read(1)[0]; m.What != report.TraceResent; m = read(1)[0] {
		if m.What == report.TraceUnreachable && (m.Reason != "failed_over_icmp" || m.Source.Addr != dead.addr) {
			t.Errorf("%+v", m)
		}
	}
}

func TestTapFilters(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, lb := start(t, quickSet(t, "127.0.0.1:0", server))
	name := e.Status().Pools[0].Servers[0].Name
	for i, tt := range []struct {
		filter report.TraceFilter
		want   int // of INVITE, 486 and ACK
	}{
		{report.TraceFilter{Method: "INVITE", Only: true}, 2},
		{report.TraceFilter{Method: "INVITE"}, 3},
		{report.TraceFilter{Codes: report.Codes{Least: 400, Most: 699}}, 2},
		{report.TraceFilter{Codes: report.Codes{Least: 400, Most: 699}, Before: true}, 3},
		{report.TraceFilter{Codes: report.Codes{Least: 400, Most: 699}, Only: true}, 1},
		{report.TraceFilter{From: "+alice"}, 3},
		{report.TraceFilter{To: "b*"}, 3},
		{report.TraceFilter{User: "bob"}, 3},
		{report.TraceFilter{Server: name}, 3},
		{report.TraceFilter{Server: server.addr.String(), Only: true}, 3},
		{report.TraceFilter{Source: netip.MustParsePrefix("127.0.0.0/8")}, 3},
		{report.TraceFilter{Services: []string{e.Status().Services[0].Name}}, 3},
		{report.TraceFilter{Services: []string{"another"}}, 0},
		{report.TraceFilter{From: "bob"}, 0},
		{report.TraceFilter{Source: netip.MustParsePrefix("192.0.2.0/24")}, 0},
		{report.TraceFilter{Server: "10.0.0.1"}, 0},
		{report.TraceFilter{Method: "BYE"}, 0},
	} {
		tr, read := trace(t, e, tt.filter)
		all, every := trace(t, e, report.TraceFilter{})
		id := fmt.Sprint("filter-", i)
		client.send(lb, client.request("INVITE", id, id, ""))
		m, from := server.recv()
		server.answer(m, from, 486, "Busy Here")
		client.recv()
		client.send(lb, strings.Replace(client.request("ACK", id, id, ""), "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=tag-of-server", 1))
		server.recv()
		every(3) // so workers have shown everything
		if len(read(tt.want)) != tt.want || !tt.filter.Before && more(tr) {
			t.Errorf("%v: not %d messages", tt.filter.Values(), tt.want)
		}
		tr.Close()
		all.Close()
	}
	if e.taps.Now() != nil {
		t.Error("nobody traces, and workers do not know")
	}
}

// more reports whether there is something to read.
func more(tr *tap.Tap) bool {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := tr.Read(ended)
	return err == nil
}

func TestTapsAreBounded(t *testing.T) {
	server := newPeer(t, "127.0.0.1:0")
	e, _ := start(t, quickSet(t, "127.0.0.1:0", server))
	tr, _ := trace(t, e, report.TraceFilter{})
	for range tap.MaxTaps - 1 {
		trace(t, e, report.TraceFilter{})
	}
	if _, err := e.Tap(report.TraceFilter{}); err != tap.ErrManyTaps {
		t.Errorf("one too many: %v", err)
	}
	w := tapWorker(t, e)
	w.msg.Parse([]byte(strings.ReplaceAll(server.request("OPTIONS", "c", "x", ""), "\n", "\r\n")))
	if a := alloctest.PerRun(100, func() { w.tapped(report.TraceMessageCame, &proxy.Verdict{}, nil) }); a != 0 {
		t.Errorf("%v allocations a message", a)
	}
	e.taps.Close()
	if _, _, err := tr.Read(t.Context()); err == nil {
		if _, _, err = tr.Read(t.Context()); err != tap.ErrClosed {
			t.Errorf("a closed tap: %v", err)
		}
	}
}

// tapWorker is a worker that reads no socket, and knows the taps there are.
func tapWorker(t testing.TB, e *Engine) *worker {
	w := newWorker(e, e.live.Load().groups[0], new(lane))
	if err := w.pickUp(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.layDown)
	w.begin()
	w.input.From = netip.MustParseAddrPort("192.0.2.7:5060")
	return w
}

// Messages on connections are traced like datagrams, also those of a server that has connected to us itself.
func TestTapSeesStreams(t *testing.T) {
	client, server := newUA(t, sip.TLS, "127.0.0.1"), newUA(t, sip.TCP, "127.0.0.1")
	e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.TCP, server.addr))
	lb := listenerFor(e)
	_, read := trace(t, e, report.TraceFilter{CallID: "in"})
	call(client, server, lb, lb, "sip:bob@example.com", "in", true)
	want := []string{"tls>tcp INVITE from_client", "tcp>tls 180 from_server", "tcp>tls 200 from_server", "tls>tcp ACK from_client", "tcp>tls BYE from_server", "tls>tcp 200 from_client"}
	for i, m := range read(len(want)) {
		what := m.Method
		if m.Status > 0 {
			what = fmt.Sprint(m.Status)
		}
		if got := fmt.Sprintf("%s>%s %s %s", m.Transport, m.OutTransport, what, m.Direction); got != want[i] {
			t.Errorf("%d: %s, want %s\n%+v", i, got, want[i], m)
		}
	}
}
