package health

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func tcpMonitor(request, response, maintenance string) Monitor {
	return Monitor{
		Name: "tcp", Type: TCP, Interval: 10 * time.Second, Timeout: 4 * time.Second, Rise: 2, Fall: 2,
		Request: request, Response: response, Maintenance: maintenance,
	}
}

func udpMonitor(request, response, maintenance string) Monitor {
	mon := tcpMonitor(request, response, maintenance)
	mon.Name, mon.Type = "udp", UDP
	return mon
}

// says answers whatever comes with the texts, one write each, and waits for the other side to close.
func says(texts ...string) func(net.Conn) {
	return func(c net.Conn) {
		var b [64]byte
		if _, err := c.Read(b[:]); err != nil {
			return
		}
		for _, s := range texts {
			io.WriteString(c, s)
		}
		io.Copy(io.Discard, c)
	}
}

func TestTCP(t *testing.T) {
	t.Parallel()
	var rows cases
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	for _, test := range []struct {
		name   string
		serve  func(net.Conn)
		mon    Monitor
		state  State
		reason Code
		detail string
	}{
		{"connect only", silent, tcpMonitor("", "", ""), Up, Success, ""},
		{"request, any answer", silent, tcpMonitor("PING\n", "", ""), Up, Success, ""},
		{"expected text", says("PONG\n"), tcpMonitor("PING\n", "PONG", ""), Up, Success, ""},
		{"expected text in pieces", says("PO", "NG\n"), tcpMonitor("PING\n", "PONG", ""), Up, Success, ""},
		{"greeting without request", func(c net.Conn) { io.WriteString(c, "220 ready\r\n"); silent(c) }, tcpMonitor("", "220", ""), Up, Success, ""},
		{"other text", says("no idea\n"), tcpMonitor("PING\n", "PONG", ""), Down, PayloadContentMismatch, "answered no idea"},
		{"other text, and a lot of it", says(strings.Repeat("x", 5000) + "PONG"), tcpMonitor("PING\n", "PONG", ""), Down, PayloadContentMismatch, "xxx"},
		{"maintenance", says("going down\n"), tcpMonitor("PING\n", "down", "going"), Down, MaintenanceMatch, "going down"},
		{"no maintenance, silence", silent, tcpMonitor("PING\n", "", "going"), Up, Success, ""},
		{"no maintenance", says("fine\n"), tcpMonitor("PING\n", "", "going"), Up, Success, ""},
		{"silence", silent, tcpMonitor("PING\n", "PONG", ""), Down, PayloadTimeout, ""},
		{"closed early", func(c net.Conn) { io.ReadFull(c, make([]byte, 5)) }, tcpMonitor("PING\n", "PONG", ""), Down, ConnectionReset, "closed"},
		{"reset", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }, tcpMonitor("PING\n", "PONG", ""), Down, ConnectionReset, ""},
	} {
		rows.add(test.name, newWatch(t, Config{}, at(tcpServer(t, test.serve), paced(test.mon, test.state, test.reason))), test.state, test.reason, test.detail)
	}
	rows.run(t)
}

func TestTCPRefused(t *testing.T) {
	w := newWatch(t, Config{}, at(closedPort(t, "tcp", loopback4), once(tcpMonitor("", "", ""))))
	w.expect(t, Down, ConnectionRefused, "refused")
}

// TestTCPTimeout: a listener whose queue is full drops SYNs, as a dead machine does.
func TestTCPTimeout(t *testing.T) {
	t.Parallel()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback4.As4()}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(loopback4, uint16(sa.(*unix.SockaddrInet4).Port))
	for range 4 { // more than the queue takes
		c, err := net.DialTimeout("tcp", addr.String(), 300*time.Millisecond)
		if err == nil {
			defer c.Close()
		}
	}
	newWatch(t, Config{}, at(addr, brief(tcpMonitor("", "", "")))).expect(t, Down, ConnectionTimeout, "")
}

// TestTCPFromService: the connection leaves from the service's address.
func TestTCPFromService(t *testing.T) {
	from := make(chan net.Addr, 10)
	server := tcpServer(t, func(c net.Conn) { from <- c.RemoteAddr() })
	target := at(server, once(tcpMonitor("", "", "")))
	target.Local = netip.MustParseAddrPort("127.0.0.9:5060")
	newWatch(t, Config{}, target).expect(t, Up, Success, "")
	if a := (<-from).String(); !strings.HasPrefix(a, "127.0.0.9:") {
		t.Errorf("came from %s", a)
	}
}

func TestUDP(t *testing.T) {
	t.Parallel()
	var rows cases
	for _, test := range []struct {
		name   string
		reply  []string
		mon    Monitor
		state  State
		reason Code
		detail string
	}{
		{"silence is good", nil, udpMonitor("", "", ""), Up, Success, ""},
		{"silence is good after a request", nil, udpMonitor("hi", "", ""), Up, Success, ""},
		{"any answer", []string{"what?"}, udpMonitor("", "", ""), Up, Success, ""},
		{"expected text", []string{"pong"}, udpMonitor("ping", "pong", ""), Up, Success, ""},
		{"expected text in the second", []string{"wait", "pong"}, udpMonitor("ping", "pong", ""), Up, Success, ""},
		{"other text", []string{"no idea"}, udpMonitor("ping", "pong", ""), Down, PayloadContentMismatch, "answered no idea"},
		{"maintenance", []string{"going down"}, udpMonitor("ping", "", "going"), Down, MaintenanceMatch, "going down"},
		{"silence", nil, udpMonitor("ping", "pong", ""), Down, NoResponse, ""},
	} {
		server := udpServer(t, loopback4, func(_ int, r string, _ netip.AddrPort) []string {
			if r != test.mon.Request {
				t.Errorf("request %q", r)
			}
			return test.reply
		})
		rows.add(test.name, newWatch(t, Config{}, at(server, paced(test.mon, test.state, test.reason))), test.state, test.reason, test.detail)
	}
	rows.run(t)
}

// TestSilenceHasNoLatency: how long nothing was heard is no response time.
func TestSilenceHasNoLatency(t *testing.T) {
	t.Parallel()
	server := udpServer(t, loopback4, func(int, string, netip.AddrPort) []string { return nil })
	w := newWatch(t, Config{}, at(server, once(udpMonitor("", "", ""))))
	w.expect(t, Up, Success, "")
	st, _ := w.ServerStatus("p", server)
	if m := st.Monitors[0]; m.Checks == 0 || m.LatencyLast != 0 || w.Stats().Monitors[0].Latency.Count != 0 {
		t.Errorf("%+v", m)
	}
}

func TestUDPPortUnreachable(t *testing.T) {
	for _, on := range []netip.Addr{loopback4, loopback6} {
		newWatch(t, Config{}, at(closedPort(t, "udp", on), once(udpMonitor("", "", "")))).expect(t, Down, PortUnreachable, "ICMP")
	}
}

// TestMonitorPort: the probe goes to monitor_port, the state is the server's.
func TestMonitorPort(t *testing.T) {
	server := udpServer(t, loopback4, func(int, string, netip.AddrPort) []string { return []string{"pong"} })
	mon := once(udpMonitor("ping", "pong", ""))
	mon.Port = server.Port()
	w := newWatch(t, Config{}, at(netip.MustParseAddrPort("127.0.0.1:1"), mon))
	if c := w.next(t); c.State != Up || c.Server.Port() != 1 {
		t.Errorf("%+v", c)
	}
}

func TestSIPOverTCP(t *testing.T) {
	t.Parallel()
	var rows cases
	// answers reads one request and hands it to reply, which writes.
	answers := func(reply func(c net.Conn, request string)) func(net.Conn) {
		return func(c net.Conn) {
			var b [4096]byte
			n, err := io.ReadAtLeast(c, b[:], 1)
			for err == nil && !strings.Contains(string(b[:n]), "\r\n\r\n") {
				var m int
				m, err = c.Read(b[n:])
				n += m
			}
			if err != nil {
				return
			}
			reply(c, string(b[:n]))
			io.Copy(io.Discard, c)
		}
	}
	write := func(f func(r string) string) func(net.Conn) {
		return answers(func(c net.Conn, r string) { io.WriteString(c, f(r)) })
	}
	for _, test := range []struct {
		name   string
		serve  func(net.Conn)
		edit   func(*Monitor)
		state  State
		reason Code
		detail string
	}{
		{"200", write(func(r string) string { return answerTo(r, "200 OK") }), nil, Up, Success, ""},
		{"404", write(func(r string) string { return answerTo(r, "404 Not Found") }), nil, Up, Success, ""},
		{"503", write(func(r string) string { return answerTo(r, "503 No") }), nil, Down, ResponseCodeMismatch, "SIP/2.0 503 No"},
		{"100 and 200 in one segment", write(func(r string) string { return answerTo(r, "100 Trying") + answerTo(r, "200 OK") }), nil, Up, Success, ""},
		{"keep-alives and a request before", write(func(r string) string {
			return "\r\n\r\n" + "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKx\r\nFrom: <sip:x>;tag=1\r\nTo: <sip:x>\r\n" +
				"Call-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 3\r\n\r\nabc\r\n" + answerTo(r, "200 OK")
		}), nil, Up, Success, ""},
		{"octet by octet", answers(func(c net.Conn, r string) {
			for _, b := range []byte(answerTo(r, "100 Trying", "", "body") + answerTo(r, "200 OK", "", "is well")) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}), func(m *Monitor) { m.SIPResponse = "is well" }, Up, Success, ""},
		{"not SIP", write(func(string) string { return "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" }), nil, Down, PayloadContentMismatch, "not SIP"},
		{"another branch", write(func(r string) string { return strings.Replace(answerTo(r, "200 OK"), ".hm.", ".xx.", 1) }), nil, Down, NoResponse, ""},
		{"half a response", write(func(r string) string { return "SIP/2.0 200 OK\r\nVia: " }), nil, Down, PayloadTimeout, "SIP/2.0 200 OK"},
		{"silence", write(func(string) string { return "" }), nil, Down, NoResponse, ""},
		{"closed", func(c net.Conn) { io.ReadAtLeast(c, make([]byte, 4096), 100) }, nil, Down, ConnectionReset, ""},
	} {
		mon := paced(sipMonitor("a"), test.state, test.reason)
		mon.SIPOverTCP = true
		if test.edit != nil {
			test.edit(&mon)
		}
		rows.add(test.name, newWatch(t, Config{}, at(tcpServer(t, test.serve), mon)), test.state, test.reason, test.detail)
	}
	rows.run(t)
	t.Run("refused", func(t *testing.T) {
		mon := once(sipMonitor("a"))
		mon.SIPOverTCP = true
		newWatch(t, Config{}, at(closedPort(t, "tcp", loopback4), mon)).expect(t, Down, ConnectionRefused, "")
	})
	t.Run("request", func(t *testing.T) {
		got, from := make(chan string, 10), make(chan net.Addr, 10)
		mon := once(sipMonitor("a"))
		mon.SIPOverTCP = true
		server := tcpServer(t, answers(func(c net.Conn, r string) { got <- r; from <- c.RemoteAddr() }))
		newWatch(t, Config{}, at(server, mon))
		r, addr := <-got, plain((<-from).(*net.TCPAddr).AddrPort())
		checkOptions(t, r, addr, &mon)
		for _, want := range []string{"OPTIONS sip:" + server.String() + ";transport=tcp SIP/2.0\r\n", "Via: SIP/2.0/TCP ", ";transport=tcp>\r\n"} {
			if !strings.Contains(r, want) {
				t.Errorf("no %q in\n%s", want, r)
			}
		}
	})
}
