package eyes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/view"
)

var (
	phone  = netip.MustParseAddrPort("192.0.2.7:5060")
	edge   = netip.MustParseAddrPort("10.0.0.10:5060")
	first  = netip.MustParseAddrPort("10.0.0.1:5060")
	second = netip.MustParseAddrPort("10.0.0.2:5060")
	began  = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
)

// message is one of a call; from and to are those of its way through the balancer.
func message(ms int, start string, from, to netip.AddrPort, reason string) *report.TraceMessage {
	names := map[netip.AddrPort]string{first: "pbx-1", second: "pbx-2"}
	m := &report.TraceMessage{At: began.Add(time.Duration(ms) * time.Millisecond), What: report.TraceMessageCame, Service: "edge", CallID: "call-1", From: "alice", To: "bob",
		Source: report.TraceParty{Addr: from, Server: names[from]}, Local: edge, Action: "forward", Reason: reason, Sentence: "It has a reason.",
		Came: start + "\r\nVia: x\r\n\r\n"}
	fmt.Sscanf(start, "SIP/2.0 %d", &m.Status)
	if to.IsValid() {
		m.Out, m.Target, m.Left = edge, &report.TraceParty{Addr: to, Server: names[to]}, m.Came
	} else {
		m.Action = "drop"
	}
	return m
}

func call() []*report.TraceMessage {
	invite := message(0, "INVITE sip:bob@example.com SIP/2.0", phone, first, "new_call")
	gone := message(900, "INVITE sip:bob@example.com SIP/2.0", first, netip.AddrPort{}, "failed_over_icmp")
	gone.What, gone.Action = report.TraceUnreachable, "resend"
	again := message(900, "", first, second, "failed_over_icmp")
	again.What, again.Came, again.Left = report.TraceResent, "", invite.Left
	ok := message(1000, "SIP/2.0 200 OK", second, phone, "response")
	ok.LatencyUS = 99_500
	options := message(1200, "OPTIONS sip:10.0.0.10 SIP/2.0", phone, phone, "options_answered")
	options.Action, options.Answer, options.Left = "answer", 200, "SIP/2.0 200 OK\r\n\r\n"
	return []*report.TraceMessage{invite, gone, again, ok, message(1100, "ACK sip:bob@example.com SIP/2.0", phone, second, "route_token"), options,
		message(1300, "SIP/2.0 200 O\x1b[31mK", phone, netip.AddrPort{}, "foreign_response")}
}

func TestLadder(t *testing.T) {
	var b bytes.Buffer
	l := newLadder(&view.Screen{Out: &b}, false)
	for _, m := range call() {
		l.draw(m)
	}
	want := `
Call-ID call-1   edge   alice -> bob
                                                   carillon                 pbx-1
                            192.0.2.7:5060      10.0.0.10:5060          10.0.0.1:5060
   0.000    +0.000             |--------INVITE-------->o---------------------->|  new call -> pbx-1
   0.900    +0.900             |                       |<-----unreachable------|  failed over icmp

Call-ID call-1   edge   alice -> bob
                                                   carillon                 pbx-1                   pbx-2
                            192.0.2.7:5060      10.0.0.10:5060          10.0.0.1:5060           10.0.0.2:5060
   0.900    +0.000             |                       |--------INVITE---------------------------------->|  failed over icmp: sent to pbx-2
   1.000    +0.100             |<----------------------o<-----------------------------200 OK-------------|  response, 99.5 ms after its request
   1.100    +0.100             |----------ACK--------->o---------------------------------------------->|  route token
   1.200    +0.100             |--------OPTIONS------->|                       |                       |
                               |<-------200 OK---------|                       |                       |  options answered: It has a reason.
   1.300    +0.100             |-----200 O[31mK------->x                       |                       |  foreign response: It has a reason.
`
	if got := b.String(); normal(got) != normal(want) {
		t.Errorf("%s", got)
	}
}

// normal is a drawing without how long its arrows are.
func normal(s string) string {
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func TestLadderFull(t *testing.T) {
	var b bytes.Buffer
	l := newLadder(&view.Screen{Out: &b}, true)
	m := message(0, "INVITE sip:bob@example.com SIP/2.0", phone, first, "new_call")
	m.Left = strings.Replace(m.Came, "Via: x", "Via: y\r\nVia: x", 1)
	l.draw(m)
	if !strings.Contains(b.String(), "      INVITE sip:bob@example.com SIP/2.0\n    + Via: y\n      Via: x\n") {
		t.Errorf("%s", b.String())
	}
}

// A capture file has whole packets, with sums that are right.
func TestCapture(t *testing.T) {
	for _, at := range [][2]string{{"192.0.2.7:5060", "10.0.0.10:5061"}, {"[2001:db8::1]:5060", "[2001:db8::2]:5061"}} {
		for _, size := range []int{0, 1, 2, 1999} {
			p := packet{netip.MustParseAddrPort(at[0]), netip.MustParseAddrPort(at[1]), "udp", strings.Repeat("x", size)}
			data := p.datagram()[0]
			head, length := 20, binary.BigEndian.Uint16(data[2:])
			pseudo := append([]byte(nil), data[12:20]...)
			if data[0]>>4 == 6 {
				head, length = 40, binary.BigEndian.Uint16(data[4:])+40
				pseudo = append([]byte(nil), data[8:40]...)
			} else if checksum(data[:20]) != 0 {
				t.Errorf("%v: the sum of the IP header is wrong", at)
			}
			pseudo = binary.BigEndian.AppendUint32(append(pseudo, 0, 0, 0, 17), uint32(len(data)-head))
			if checksum(append(pseudo, data[head:]...)) != 0 || int(length) != len(data) {
				t.Errorf("%v, %d octets: the sum of UDP or the length is wrong", at, size)
			}
		}
	}
	var b bytes.Buffer
	c, err := newCapture(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range call() {
		if err := c.message(m); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[uint32]int{}
	for data := b.Bytes(); len(data) > 0; {
		n := le.Uint32(data[4:])
		if n%4 != 0 || le.Uint32(data[n-4:]) != n {
			t.Fatalf("a block of %d octets", n)
		}
		kinds[le.Uint32(data)]++
		data = data[n:]
	}
	// INVITE, 200, ACK and OPTIONS came and left, the INVITE left again, the last one only came
	if kinds[blockSection] != 1 || kinds[blockInterface] != 1 || kinds[blockPacket] != 10 {
		t.Errorf("blocks: %v", kinds)
	}
}

func TestTopTables(t *testing.T) {
	at := func(s int, n uint64, until time.Time) *sample {
		counts := report.Counts[string]{"INVITE": n, "BYE": n}
		return &sample{began.Add(time.Duration(s) * time.Second), report.Engine{Engines: []string{"a"}, Calls: 7,
			Services: []report.Service{{Name: "edge", Oper: report.Oper{State: report.Up}, Pool: "p", Requests: counts, Responses: report.Counts[int]{200: n, 4: n},
				Answers: report.Counts[int]{503: n}, Reasons: report.Counts[string]{"new_call": 2 * n, "response": 2 * n, "no_server": n, "junk": 3 * n}}},
			Pools: []report.Pool{{Name: "p", Up: 1, Total: 2, Servers: []report.Server{
				{Name: "b", Addr: second, State: "draining", Calls: 3, Requests: counts, DrainUntil: until, Latency: report.Latency{Count: n, SumUS: 2000 * n, P99US: 3000}},
				{Name: "a", Addr: first, State: "up", Calls: 4, HashShare: 1}}}}}}
	}
	was, is := at(0, 10, time.Time{}), at(2, 30, began.Add(92*time.Second))
	for _, tt := range []struct{ view, by, filter, want string }{
		{"servers", "", "", "a p up 100.0% 4 0 . . . . . - - - 0 |b p draining 0.0% 3 0 20 10 . . . 2.0 - 3.0 0 1m30s"},
		{"servers", "req/s", "", "b p draining 0.0% 3 0 20 10 . . . 2.0 - 3.0 0 1m30s|a p up 100.0% 4 0 . . . . . - - - 0 "},
		{"services", "", "", "edge up p 0 0 20 10 . 10 . . 10 30 - - -"},
		{"methods", "", "bye", "edge BYE 10 30"},
		{"codes", "Code", "", "edge 200 10 30|edge 4xx, others 10 30|edge 503 of the balancer 10 30"},
	} {
		g := table(tt.view, was, is)
		g.arrange(tt.by, tt.filter, false)
		var lines []string
		for _, r := range g.texts() {
			lines = append(lines, strings.Join(r, " "))
		}
		if got := strings.Join(lines, "|"); got != tt.want {
			t.Errorf("%s by %q: %s\nwant %s", tt.view, tt.by, got, tt.want)
		}
		if o := (&TopOptions{View: tt.view, Sort: tt.by}); o.Check() != nil {
			t.Error(o.Check())
		}
	}
	if (&TopOptions{View: "server"}).Check() == nil || (&TopOptions{View: "codes", Sort: "5xx"}).Check() == nil {
		t.Error("a view and a column that there are not")
	}
	if got := summary(was, is); got != "1 engine, 1 of 2 servers up, 7 calls, 0 transactions open, 20 requests/s, 10/s answered by the balancer" {
		t.Error(got)
	}
	for _, size := range [][2]int{{40, 10}, {80, 24}, {200, 5}} {
		m := topModel{o: TopOptions{View: "servers"}, was: was, is: is, width: size[0], height: size[1]}
		if lines := strings.Split(m.render(), "\n"); len(lines) != size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
	}
	m := topModel{o: TopOptions{View: "servers"}, by: "p50", was: was, is: is, width: 60, height: 30}
	text := ansi.Strip(m.render())
	for _, want := range []string{"State", "req/s", "5xx", "p99", "p50*", "requests/s, 10/s answered by\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("60 columns do not have %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Moved") || strings.Contains(text, "~") {
		t.Errorf("60 columns have what they have no room for:\n%s", text)
	}
	m.help = true
	if text := ansi.Strip(m.render()); !strings.Contains(text, "view: servers, virtual services,\n              methods, codes") {
		t.Errorf("help is cut:\n%s", text)
	}
}

func TestDrainWords(t *testing.T) {
	until, soon := began.Add(5*time.Minute), 40
	for _, tt := range []struct {
		d    draining
		over bool
		ok   bool
		want string
	}{
		{draining{State: "draining", Calls: 12, Up: 2, Open: 1, Recent: 3, PerMin: 18, Expected: &soon, LastS: 30, Until: &until}, false, true,
			"Draining: 12 calls left, 2 of them up, 3 heard of in the last minute, 1 transaction open; 18 a minute go; the last in some 40s; at the latest in 5m00s."},
		{draining{State: "draining", Calls: 1, LastS: 30}, false, true, "Draining: 1 call left, 0 of them up, 0 heard of in the last minute, 0 transactions open; in 30s if none is heard of again."},
		{draining{State: "up"}, false, true, ""},
		{draining{}, false, true, "No engine tells of it."},
		{draining{State: "draining"}, true, true, ""},
		{draining{State: "disabled"}, true, true, ""},
		{draining{State: "disabled", Calls: 3}, true, false, ""},
		{draining{State: "draining", Enabled: true, Calls: 3}, true, false, ""},
	} {
		over, err := tt.d.over()
		if over != tt.over || (err == nil) != tt.ok {
			t.Errorf("%+v: %v, %v", tt.d, over, err)
		}
		if got := tt.d.words(began); tt.want != "" && got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}

// What a client sends cannot move the cursor of who looks.
func FuzzLabel(f *testing.F) {
	f.Add("SIP/2.0 200 \x1b[2J\r\n\r\n")
	f.Add("INVITE \x9b x SIP/2.0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		var b bytes.Buffer
		m := message(0, "x", phone, first, "new_call")
		m.Came, m.Left, m.CallID, m.From = text, text+"y", text, text
		newLadder(&view.Screen{Out: &b}, true).draw(m)
		if strings.ContainsAny(b.String(), "\x1b\x07\x08\x7f\r") || strings.ContainsRune(b.String(), 0x9b) {
			t.Errorf("%q", b.String())
		}
	})
}
