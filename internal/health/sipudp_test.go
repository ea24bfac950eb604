package health

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/sip"
)

// TestSIPAnswers: what a server answers to OPTIONS over UDP, and what is made of it (standards: design point 24, naive error 23).
func TestSIPAnswers(t *testing.T) {
	t.Parallel()
	var rows cases
	only200 := func(m *Monitor) { m.Codes = CodeSet{}; m.Codes.Add(200, 200) }
	for _, test := range []struct {
		name   string
		reply  func(n int, request string) []string
		edit   func(*Monitor)
		state  State
		reason Code
		detail string
	}{
		{"200", status("200 OK"), nil, Up, Success, ""},
		{"401, as Asterisk to a peer it does not know", status("401 Unauthorized"), nil, Up, Success, ""},
		{"404", status("404 Not Found"), nil, Up, Success, ""},
		{"405", status("405 Method Not Allowed"), nil, Up, Success, ""},
		{"483", status("483 Too Many Hops"), nil, Up, Success, ""},
		{"500", status("500 Server Internal Error"), nil, Up, Success, ""},
		{"501", status("501 Not Implemented"), nil, Up, Success, ""},
		{"603", status("603 Decline"), nil, Up, Success, ""},
		{"503", status("503 Service Unavailable"), nil, Down, ResponseCodeMismatch, "SIP/2.0 503 Service Unavailable"},
		{"408", status("408 Request Timeout"), nil, Down, ResponseCodeMismatch, "SIP/2.0 408 Request Timeout"},
		{"404 where 200 is wanted", status("404 Not Found"), only200, Down, ResponseCodeMismatch, "404"},
		{"200 where 200 is wanted", status("200 OK"), only200, Up, Success, ""},
		{"503 where 503 is good", status("503 Busy"), func(m *Monitor) { m.Codes.Add(503, 503) }, Up, Success, ""},
		{"text that is there", status("200 OK", "X-Node: blue\r\n"), func(m *Monitor) { m.SIPResponse = "blue" }, Up, Success, ""},
		{"text in the body", status("200 OK", "Content-Type: text/plain\r\n", "all is well"), func(m *Monitor) { m.SIPResponse = "is well" }, Up, Success, ""},
		{"text that is not there", status("200 OK"), func(m *Monitor) { m.SIPResponse = "blue" }, Down, PayloadContentMismatch, `no "blue" in SIP/2.0 200 OK`},
		{"text beyond 2 KB", status("200 OK", "X: "+strings.Repeat("x", 2048)+"\r\n", "blue"), func(m *Monitor) { m.SIPResponse = "blue" },
			Down, PayloadContentMismatch, "blue"},
		{"any text", status("200 OK"), func(m *Monitor) { m.SIPResponse = "" }, Up, Success, ""},
		{"garbage", func(int, string) []string { return []string{"HTTP/1.1 400 \x1b[2J\r\n\r\n"} }, nil, Down, PayloadContentMismatch, "HTTP/1.1 400 ?[2J"},
		{"keep-alive only", func(int, string) []string { return []string{"\r\n"} }, nil, Down, NoResponse, ""},
		{"another branch", edited("z9hG4bK.hm.", "z9hG4bK.hm.0"), nil, Down, NoResponse, ""},
		{"a branch of nobody", edited("z9hG4bK.hm.", "z9hG4bK"), nil, Down, NoResponse, ""},
		{"another method in CSeq", edited("1 OPTIONS", "1 INVITE"), nil, Down, NoResponse, ""},
		{"its own request back", func(_ int, r string) []string { return []string{r} }, nil, Down, NoResponse, ""},
		{"provisional only", status("100 Trying"), nil, Down, NoResponse, ""},
		{"provisional, then final", func(_ int, r string) []string { return []string{answerTo(r, "183 Wait"), answerTo(r, "200 OK")} }, nil, Up, Success, ""},
		{"silence", func(int, string) []string { return nil }, nil, Down, NoResponse, ""},
		{"the first lost", func(n int, r string) []string {
			if n < 1 {
				return nil
			}
			return []string{answerTo(r, "200 OK")}
		}, nil, Up, Success, ""},
	} {
		mon := paced(sipMonitor("a"), test.state, test.reason)
		if test.edit != nil {
			test.edit(&mon)
		}
		server := udpServer(t, loopback4, func(n int, r string, _ netip.AddrPort) []string { return test.reply(n, r) })
		rows.add(test.name, newWatch(t, Config{}, at(server, mon)), test.state, test.reason, test.detail)
	}
	rows.run(t)
}

func status(line string, more ...string) func(int, string) []string {
	return func(_ int, request string) []string { return []string{answerTo(request, line, more...)} }
}

// edited answers 200 with one text of it replaced.
func edited(old, now string) func(int, string) []string {
	return func(_ int, request string) []string {
		return []string{strings.Replace(answerTo(request, "200 OK"), old, now, 1)}
	}
}

// TestSIPRetransmission: RFC 3261 section 17.1.2.2: a lost datagram is no failed check, and the second is the first again.
func TestSIPRetransmission(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	server := udpServer(t, loopback4, func(n int, r string, _ netip.AddrPort) []string {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r)
		if n == 0 {
			return nil
		}
		return []string{answerTo(r, "200 OK")}
	})
	w := newWatch(t, Config{}, at(server, once(sipMonitor("a"))))
	w.expect(t, Up, Success, "")
	mu.Lock()
	if len(got) < 2 || got[0] != got[1] {
		t.Errorf("retransmission differs:\n%q", got)
	}
	mu.Unlock()
	st, _ := w.ServerStatus("p", server)
	if m := st.Monitors[0]; m.Checks != 1 || m.Failed != 0 || m.LatencyLast < retransmitT1 {
		t.Errorf("%+v", m)
	}
	if n := w.Stats().Retransmissions; n == 0 { // more than one if the machine stood still; their times are TestQuickStartDown's
		t.Error("no retransmission is counted")
	}
}

// TestSIPSource: an answer counts from whatever port of the server, but not from another address.
func TestSIPSource(t *testing.T) {
	t.Parallel()
	answerFrom := func(t *testing.T, a netip.Addr) netip.AddrPort {
		other, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { other.Close() })
		return udpServer(t, loopback4, func(_ int, r string, from netip.AddrPort) []string {
			other.WriteToUDPAddrPort([]byte(answerTo(r, "200 OK")), from)
			return nil
		})
	}
	t.Run("another port", func(t *testing.T) {
		newWatch(t, Config{}, at(answerFrom(t, loopback4), once(sipMonitor("a")))).expect(t, Up, Success, "")
	})
	t.Run("another address", func(t *testing.T) {
		w := newWatch(t, Config{}, at(answerFrom(t, netip.MustParseAddr("127.0.0.2")), brief(sipMonitor("a"))))
		w.expect(t, Down, NoResponse, "")
		if w.Stats().Strays == 0 {
			t.Error("stray answers not counted")
		}
	})
}

// TestSIPPortUnreachable: ICMP fails the check at once, not at receive_timeout (RFC 3261 section 18.4), on both families, and does no
// harm to others probed from the same socket.
func TestSIPPortUnreachable(t *testing.T) {
	t.Parallel()
	for _, on := range []netip.Addr{loopback4, loopback6} {
		t.Run(on.String(), func(t *testing.T) {
			mon := sipMonitor("a")
			mon.Timeout, mon.Interval = 15*time.Second, 20*time.Second // twice this would be beyond patience
			dead := closedPort(t, "udp", on)
			alive := udpServer(t, on, func(_ int, r string, _ netip.AddrPort) []string { return []string{answerTo(r, "200 OK")} })
			w := newWatch(t, Config{}, at(dead, mon), at(alive, mon))
			for range 2 {
				switch c := w.next(t); {
				case c.Server == dead && c.State == Down && c.Reason == PortUnreachable && strings.Contains(c.Detail, "refused"):
				case c.Server == alive && c.State == Up:
				default:
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// TestSIPRequest: the OPTIONS as it stands on the wire.
func TestSIPRequest(t *testing.T) {
	for _, test := range []struct {
		name  string
		on    netip.Addr
		local netip.Addr
		edit  func(*Monitor)
		want  []string // header lines; @ stands for the prober's address and port, # for the server's
	}{
		{"plain", loopback4, netip.Addr{}, nil, []string{
			"OPTIONS sip:# SIP/2.0", "Max-Forwards: 70", "To: <sip:#>", "CSeq: 1 OPTIONS", "Contact: <sip:carillon@@>", "Accept: application/sdp",
			"User-Agent: carillon", "Content-Length: 0",
		}},
		{"IPv6", loopback6, loopback6, nil, []string{"OPTIONS sip:# SIP/2.0", "To: <sip:#>"}},
		{"from the service's address", loopback4, netip.MustParseAddr("127.0.0.9"), nil, []string{"Contact: <sip:carillon@@>"}},
		{"all of ours", loopback4, netip.Addr{}, func(m *Monitor) {
			m.RequestURI, m.From, m.MaxForwards = "sip:ping@example.com", `"The LB" <sip:lb@example.com>`, 1
			m.Headers = "X-Probe: yes\r\nuser-agent: mine\r\nm: <sip:me@example.com>\r\n"
		}, []string{
			"OPTIONS sip:ping@example.com SIP/2.0", "Max-Forwards: 1", "To: <sip:ping@example.com>", "X-Probe: yes", "user-agent: mine",
			"m: <sip:me@example.com>", "Accept: application/sdp",
		}},
		{"From as a bare URI with a parameter", loopback4, netip.Addr{}, func(m *Monitor) { m.From = "sip:lb@example.com;x=y" }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			mon := once(sipMonitor("a"))
			if test.edit != nil {
				test.edit(&mon)
			}
			requests, froms := make(chan string, 10), make(chan netip.AddrPort, 10)
			server := udpServer(t, test.on, func(_ int, r string, from netip.AddrPort) []string {
				requests <- r
				froms <- plain(from)
				return nil
			})
			target := at(server, mon)
			target.Local = netip.AddrPortFrom(test.local, 5060)
			newWatch(t, Config{}, target)
			request, from := <-requests, <-froms
			if test.local.IsValid() && from.Addr() != test.local {
				t.Errorf("came from %v", from)
			}
			checkOptions(t, request, from, &mon)
			for _, line := range test.want {
				line = strings.ReplaceAll(strings.Replace(line, "@@", "@"+from.String(), 1), "#", server.String())
				if strings.Count(request, line+"\r\n") != 1 {
					t.Errorf("no or several %q in\n%s", line, request)
				}
			}
		})
	}
}

// checkOptions holds a request against what RFC 3261 sections 8.1.1 and 11.1 and RFC 3581 want, with our own parser.
func checkOptions(t *testing.T, request string, from netip.AddrPort, mon *Monitor) {
	t.Helper()
	var m sip.Msg
	if f := m.Parse([]byte(request)); f != sip.NoFault {
		t.Fatalf("%v in\n%s", f, request)
	}
	via := &m.Via[0]
	sentBy := string(m.Bytes(via.Host))
	if a, ok := sip.HostAddr([]byte(sentBy)); !ok || netip.AddrPortFrom(a, via.Port) != from {
		t.Errorf("Via says %s %d, came from %v", sentBy, via.Port, from)
	}
	if !IsProbe(m.Bytes(via.Branch)) || !via.HasRport || !via.Rport.Empty() || m.NVia != 1 {
		t.Errorf("Via: %s", m.Bytes(via.Text))
	}
	if m.Method != sip.Options || m.CSeqMethod != sip.Options || m.MaxForwards != mon.MaxForwards || m.ContentLength != 0 || len(m.Body()) != 0 {
		t.Errorf("request:\n%s", request)
	}
	if m.From.Tag.Empty() || !m.To.Tag.Empty() || m.CallID.Empty() {
		t.Errorf("From, To, Call-ID:\n%s", request)
	}
	if strings.HasPrefix(mon.From, "sip:") && string(m.Bytes(m.From.URI)) != mon.From {
		t.Errorf("From URI is %s", m.Bytes(m.From.URI))
	}
	for _, name := range []string{"contact", "accept", "user-agent"} {
		if _, ok := m.HeaderValue(name); !ok {
			t.Errorf("no %s", name)
		}
	}
}

// TestSIPUnique: branch, tag and Call-ID of no two checks are alike (RFC 3261 sections 8.1.1.7 and 19.3).
func TestSIPUnique(t *testing.T) {
	t.Parallel()
	requests := make(chan string, 100)
	server := udpServer(t, loopback4, func(_ int, r string, _ netip.AddrPort) []string {
		requests <- r
		return []string{answerTo(r, "503 Not Yet")}
	})
	mon := sipMonitor("a")
	mon.Rise, mon.Fall = 1, 3
	w := newWatch(t, Config{}, at(server, mon))
	w.expect(t, Down, ResponseCodeMismatch, "")
	seen, last := map[string]bool{}, ""
	for range 3 {
		var m sip.Msg
		r := <-requests
		for r == last { // a retransmission: the machine is busy
			r = <-requests
		}
		last = r
		m.Parse([]byte(r))
		for _, s := range []sip.Span{m.Via[0].Branch, m.From.Tag, m.CallID} {
			if seen[string(m.Bytes(s))] {
				t.Errorf("%s seen before", m.Bytes(s))
			}
			seen[string(m.Bytes(s))] = true
		}
	}
}

// TestSender: SIP probes through the engine's socket, and what comes back handed in.
func TestSender(t *testing.T) {
	service, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback4, 0)))
	if err != nil {
		t.Fatal(err)
	}
	local := service.LocalAddr().(*net.UDPAddr).AddrPort()
	server := udpServer(t, loopback4, func(_ int, r string, from netip.AddrPort) []string {
		if from != local || !strings.Contains(r, "Via: SIP/2.0/UDP "+local.String()+";") {
			t.Errorf("from %v:\n%s", from, r)
		}
		return []string{answerTo(r, "200 OK")}
	})
	dead := netip.MustParseAddrPort("127.0.0.77:5060")
	target, gone := at(server, once(sipMonitor("a"))), at(dead, once(sipMonitor("a")))
	target.Local, gone.Local = local, local
	reached := make(chan bool, 1)
	w := newWatch(t, Config{Sender: func(from, to netip.AddrPort, b []byte) error {
		if from != local {
			t.Errorf("local %v", from)
		}
		if to == dead {
			reached <- true
			return nil
		}
		_, err := service.WriteToUDPAddrPort(b, to)
		return err
	}}, target)
	done := make(chan bool)
	go func() {
		defer close(done)
		buf := make([]byte, 65535)
		for {
			n, from, err := service.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var m sip.Msg
			if m.Parse(buf[:n]); IsProbe(m.Bytes(m.Via[0].Branch)) {
				w.Deliver(from, buf[:n])
			}
			clear(buf)
		}
	}()
	t.Cleanup(func() { service.Close(); <-done })
	w.expect(t, Up, Success, "")
	apply(t, w.Manager, target, gone)
	<-reached
	w.Unreachable(dead, syscall.ECONNREFUSED)
	w.expect(t, Down, PortUnreachable, "refused")
}

// TestSenderFails: an error of the Sender is the check's, but for want of buffers, which says nothing.
func TestSenderFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		state  State
		reason Code
	}{
		{&net.OpError{Op: "write", Err: syscall.ENETUNREACH}, Down, ServerUnreachable},
		{syscall.EPERM, Down, ServerUnreachable},
		{syscall.ENOBUFS, Unknown, ProbeNotSent},
		{errors.New("no socket"), Unknown, ProbeNotSent},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			tried := make(chan bool, 100)
			target := at(netip.MustParseAddrPort("127.0.0.77:5060"), brief(sipMonitor("a")))
			target.Local = netip.MustParseAddrPort("127.0.0.1:5060")
			w := newWatch(t, Config{Sender: func(_, _ netip.AddrPort, _ []byte) error { tried <- true; return test.err }}, target)
			if test.state == Down {
				w.expect(t, Down, test.reason, "")
				return
			}
			for range 4 { // two checks of two attempts, or more
				<-tried
			}
			st, _ := w.ServerStatus("p", target.Server)
			if m := st.Monitors[0]; m.State != Unknown || len(m.Counts) != 1 || m.Counts[0].Code != ProbeNotSent || m.Failed != 0 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// TestSIPLocalMissing: an address that this machine does not have says nothing about the server.
func TestSIPLocalMissing(t *testing.T) {
	target := at(closedPort(t, "udp", loopback4), once(sipMonitor("a")))
	target.Local = netip.MustParseAddrPort("192.0.2.99:5060")
	w := newWatch(t, Config{}, target)
	deadline := time.After(patience)
	for {
		st, _ := w.ServerStatus("p", target.Server)
		if m := st.Monitors[0]; m.Checks > 0 {
			if m.State != Unknown || m.Counts[0].Code != ProbeNotSent || !strings.Contains(m.Detail, "192.0.2.99") {
				t.Errorf("%+v", m)
			}
			return
		}
		select {
		case <-deadline:
			t.Fatal("no check")
		default:
		}
	}
}
