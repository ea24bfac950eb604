package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/quick"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
)

func (e *Engine) explained(t *testing.T, q report.ExplainRequest) *report.Explanation {
	t.Helper()
	x, err := e.Explain(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// world is what must not change by an explanation.
func (e *Engine) world() any {
	st := e.Status()
	s := st.Services[0]
	w := []any{s.Transactions, s.Calls, s.Requests, s.Responses, s.Answers, s.Reasons, s.Faults, s.Latency.Count}
	for _, p := range st.Pools {
		w = append(w, p.RetriesRefused, p.Full)
		for _, sv := range p.Servers {
			w = append(w, sv.State, sv.Requests, sv.Responses, sv.Failovers, sv.OpenTransactions, sv.Calls, sv.Finals)
		}
	}
	return w
}

// chat is random traffic of one client with the servers of an engine.
type chat struct {
	t       *testing.T
	r       *rand.Rand
	client  *peer
	servers []*peer
	lb      netip.AddrPort
	sent    []string          // requests of the client
	got     []gotten          // requests that servers have got
	routes  map[string]string // Record-Route by Call-ID
	peers   map[netip.AddrPort]*peer
}

type gotten struct {
	by *peer
	m  *sip.Msg
}

// next is a message, and who sends it.
func (c *chat) next(i int) (string, *peer) {
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	id := fmt.Sprintf("call-%d", c.r.IntN(12))
	branch := fmt.Sprintf("b%d", i)
	switch n := c.r.IntN(20); {
	case n < 3 && len(c.sent) > 0: // again
		return c.sent[c.r.IntN(len(c.sent))], c.client
	case n < 8 && len(c.got) > 0:
		g := c.got[c.r.IntN(len(c.got))]
		r := sip.Reply{Status: []int{100, 180, 200, 200, 404, 486, 503}[c.r.IntN(7)], Reason: "Reason", ToTag: []byte("tag"), Received: c.lb}
		return string(g.m.AppendReply(nil, &r)), g.by
	case n == 8:
		return crlf(strings.Replace(c.client.request("INVITE", id, branch, ""), "CSeq: 1 INVITE", "CSeq: 1 BYE", 1)), c.client
	case n == 9:
		return crlf(strings.Replace(c.client.request("MESSAGE", id, branch, ""), "Max-Forwards: 70", "Max-Forwards: 0", 1)), c.client
	case n == 10:
		return crlf(c.client.request("INVITE", id, branch, "Proxy-Require: magic\n")), c.client
	case n == 11:
		return "no SIP at all", c.client
	case n == 12:
		return "\r\n\r\n", c.client
	case n < 15 && len(c.routes) > 0:
		for id, route := range c.routes {
			text := c.client.request("BYE", id, branch, "Route"+strings.TrimPrefix(route, "Record-Route")+"\n")
			return crlf(strings.Replace(text, "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=x", 1)), c.client
		}
	}
	return crlf(c.client.request([]string{"INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE"}[c.r.IntN(4)], id, branch, "")), c.client
}

// What an explanation says is what then happens, to the octet; and explaining changes nothing.
func TestExplainTellsTheTruth(t *testing.T) {
	for _, algorithm := range []object.LBAlgorithm{object.ConsistentHash, object.RoundRobin, object.LeastConnections, object.Random, object.FewestTasks} {
		t.Run(string(algorithm), func(t *testing.T) {
			c := &chat{t: t, r: rand.New(rand.NewPCG(7, uint64(len(algorithm)))), client: newPeer(t, "127.0.0.1:0"), routes: map[string]string{}, peers: map[netip.AddrPort]*peer{}}
			for range 4 {
				c.servers = append(c.servers, newPeer(t, "127.0.0.1:0"))
			}
			set := quickSet(t, "127.0.0.1:0", c.servers...)
			set.Pools[0].LBAlgorithm = algorithm
			set.Pools[0].Servers[3].Enabled = false
			e, lb := start(t, set)
			c.lb = lb
			for _, p := range append(c.servers, c.client) {
				c.peers[p.addr] = p
			}
			for i := range 250 {
				text, from := c.next(i)
				c.step(e, text, from)
			}
		})
	}
}

func (c *chat) step(e *Engine, text string, from *peer) {
	before := e.world()
	q := report.ExplainRequest{Message: text, Source: from.addr}
	x := e.explained(c.t, q)
	again := e.explained(c.t, q)
	again.At = x.At
	for i := range x.Affinity { // which may have become a second older
		again.Affinity[i].LeftS, again.Affinity[i].Detail = x.Affinity[i].LeftS, x.Affinity[i].Detail
	}
	if !reflect.DeepEqual(x, again) {
		c.t.Fatalf("explained twice:\n%+v\n%+v", x, again)
	}
	if after := e.world(); !reflect.DeepEqual(before, after) {
		c.t.Fatalf("explaining has changed\n%v\nto\n%v", before, after)
	}
	reasons := e.Status().Services[0].Reasons
	if _, err := from.conn.WriteToUDPAddrPort([]byte(text), c.lb); err != nil {
		c.t.Fatal(err)
	}
	if x.Ack != "" {
		if m, _ := from.recv(); string(m.Buf) != x.Ack {
			c.t.Fatalf("explained the ACK\n%s\nit is\n%s", x.Ack, m.Buf)
		}
	}
	if x.Verdict.Action == "forward" || x.Verdict.Action == "answer" && x.Message != "" {
		to := c.peers[x.Verdict.To]
		if to == nil {
			c.t.Fatalf("it goes to %s, who is nobody: %+v", x.Verdict.To, x)
		}
		m, _ := to.recv()
		if string(m.Buf) != x.Message {
			c.t.Fatalf("explained:\n%s\nhappened:\n%s", x.Message, m.Buf)
		}
		c.learn(text, m, to)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		now := e.Status().Services[0].Reasons
		if now[x.Verdict.Reason] == reasons[x.Verdict.Reason]+1 {
			break
		}
		if time.Now().After(end) {
			c.t.Fatalf("explained %s, counted %v after %v\n%s", x.Verdict.Reason, now, reasons, text)
		}
	}
}

func (c *chat) learn(text string, m *sip.Msg, to *peer) {
	if !m.IsRequest {
		return
	}
	c.sent = append(c.sent, text)
	c.got = append(c.got, gotten{to, m})
	if rr := string(m.Bytes(m.FirstRecordRoute)); rr != "" {
		clear(c.routes)
		maps.Copy(c.routes, map[string]string{string(m.Bytes(m.CallID)): strings.TrimSpace(rr)})
	}
}

// The texts that people read.
func TestExplainWords(t *testing.T) {
	set := &object.Set{}
	for _, name := range []string{"first", "second"} {
		one, err := quick.Set([]string{"udp://127.0.0.1:0"}, []string{"192.0.2.1:5060", "192.0.2.2:5060"}, quick.Options{NoMonitor: true})
		if err != nil {
			t.Fatal(err)
		}
		vs, vip, pool := one.VirtualServices[0], one.VsVips[0], one.Pools[0]
		vs.Name, vs.VsVipRef, vs.PoolRef, vip.Name, pool.Name = name, name, name, name, name
		pool.Servers[0].Hostname = "sbc-1"
		if name == "second" {
			vip.Vip = []object.Vip{{VipID: "1", Enabled: true, IPAddress: netip.MustParseAddr("127.0.0.2")}}
		}
		set.ApplicationProfiles, set.NetworkProfiles = one.ApplicationProfiles, one.NetworkProfiles
		set.VirtualServices, set.VsVips, set.Pools = append(set.VirtualServices, vs), append(set.VsVips, vip), append(set.Pools, pool)
	}
	e, err := Start(Config{Set: set, Revision: 1, Secret: []byte("a secret for tests"), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	invite := "INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKx;rport\nMax-Forwards: 70\n" +
		"From: <sip:alice@example.com>;tag=a\nTo: <sip:bob@example.com>\nCall-ID: one\nCSeq: 1 INVITE\nContent-Length: 0\n"
	var b strings.Builder
	for _, c := range []struct {
		name string
		q    report.ExplainRequest
	}{
		{"a new call", report.ExplainRequest{Service: "first", Message: invite}},
		{"malformed", report.ExplainRequest{Service: "first", Message: strings.Replace(invite, "CSeq: 1 INVITE", "CSeq: one INVITE", 1)}},
		{"no hops left", report.ExplainRequest{Service: "first", Message: strings.Replace(invite, "s: 70", "s: 0", 1)}},
		{"a response of somebody else", report.ExplainRequest{Service: "second", Message: "SIP/2.0 200 OK\n" + invite[strings.Index(invite, "Via"):]}},
		{"a Call-ID", report.ExplainRequest{Service: "first", CallID: "one"}},
		{"not said for whom", report.ExplainRequest{Message: invite}},
		{"nobody of that name", report.ExplainRequest{Service: "third", Message: invite}},
	} {
		fmt.Fprintf(&b, "## %s\n", c.name)
		x, err := e.Explain(t.Context(), c.q)
		if err != nil {
			fmt.Fprintf(&b, "error: %v\n\n", err)
			continue
		}
		b.WriteString(story(x))
	}
	for _, s := range e.Status().Services { // ports that differ each time
		b2 := strings.ReplaceAll(b.String(), s.Listeners[0].Addr.String(), "{"+s.Name+"}")
		b.Reset()
		b.WriteString(b2)
	}
	golden(t, "testdata/explain.txt", stable(b.String()))
}

// stable takes out what is sealed with the port of the listener.
func stable(s string) string {
	for _, mark := range []string{"branch=z9hG4bK", "<sip:"} {
		var out strings.Builder
		for {
			before, after, found := strings.Cut(s, mark)
			out.WriteString(before)
			if !found {
				break
			}
			out.WriteString(mark)
			n := strings.IndexAny(after, ";>@\n\r \"")
			if n > 20 {
				out.WriteString("{sealed}")
				after = after[n:]
			}
			s = after
		}
		s = out.String()
	}
	return s
}

// story is an explanation as text.
func story(x *report.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nservice %s, chosen: %s; source %v: %s\n", x.Summary, x.Service, x.ChosenBy, x.Source, x.SourceBy)
	fmt.Fprintf(&b, "parse: %+v\n", x.Parse)
	for _, c := range x.Checks {
		fmt.Fprintf(&b, "check: %-11s %s (%s) %s\n", c.State, c.Name, c.Ref, c.Detail)
	}
	if x.Direction != "" {
		fmt.Fprintf(&b, "direction: %s\n", x.Direction)
	}
	for _, a := range x.Affinity {
		fmt.Fprintf(&b, "affinity: %s: found %v, decides %v: %s\n", a.Name, a.Found, a.Decides, a.Detail)
	}
	if x.Key != nil {
		fmt.Fprintf(&b, "key: %s %q\n", x.Key.Of, x.Key.Text)
	}
	for _, c := range x.Candidates {
		fmt.Fprintf(&b, "candidate: %s %s %s %s ratio %d share %.2f open %d calls %d %s\n", c.Server, c.Addr, c.State, c.Reason, c.Ratio, c.HashShare, c.OpenTransactions, c.Calls, c.Mark)
	}
	fmt.Fprintf(&b, "verdict: %s %s %d\n", x.Verdict.Action, x.Verdict.Reason, x.Verdict.Status)
	for _, c := range x.Changes {
		fmt.Fprintf(&b, "change: %s\n", c)
	}
	for _, l := range x.Edits {
		fmt.Fprintf(&b, "%s\n", l)
	}
	return b.String() + "\n"
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("CARILLON_UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s differs (CARILLON_UPDATE=1 writes it anew): %v\n%s", file, err, got)
	}
}
