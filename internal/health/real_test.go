package health

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A test with real sockets waits this long for what must come; nothing is ever slept for.
const patience = 20 * time.Second

// watch runs a real Manager on one target, and returns what it decides, one change at a time.
type watch struct {
	*Manager
	changes chan Change
}

func newWatch(t *testing.T, cfg Config, targets ...Target) *watch {
	t.Helper()
	w := &watch{changes: make(chan Change, 100)}
	cfg.OnChange = func(c Change) { w.changes <- c }
	w.Manager = New(cfg)
	t.Cleanup(w.Close)
	apply(t, w.Manager, targets...)
	return w
}

func (w *watch) next(t *testing.T) Change {
	t.Helper()
	select {
	case c := <-w.changes:
		return c
	case <-time.After(patience):
		t.Fatalf("no change of state within %v: %+v", patience, w.Status())
		return Change{}
	}
}

// expect waits for the first decision and checks state, reason and a part of the detail.
func (w *watch) expect(t *testing.T, state State, reason Code, detail string) {
	t.Helper()
	c := w.next(t)
	if c.State != state || c.Reason != reason || !strings.Contains(c.Detail, detail) {
		t.Errorf("%v %v %q, want %v %v %q", c.State, c.Reason, c.Detail, state, reason, detail)
	}
}

// cases are watches that run side by side, so that a table takes no longer than its slowest row.
type cases []func(*testing.T)

func (c *cases) add(name string, w *watch, state State, reason Code, detail string) {
	*c = append(*c, func(t *testing.T) {
		t.Run(name, func(t *testing.T) { w.expect(t, state, reason, detail) })
	})
}

func (c cases) run(t *testing.T) {
	for _, expect := range c {
		expect(t)
	}
}

// once makes one check decide. It has all the time that the test has patience for.
func once(mon Monitor) Monitor {
	mon.Rise, mon.Fall, mon.Timeout = 1, 1, patience*3/4
	return mon
}

// brief is once with little time, for what is decided by the end of it.
func brief(mon Monitor) Monitor {
	mon = once(mon)
	mon.Timeout = time.Second
	return mon
}

// paced is once with the time that a row needs: little where silence is expected, and more where what comes is looked at when time is up.
func paced(mon Monitor, state State, reason Code) Monitor {
	switch {
	case reason == NoResponse || reason == ConnectionTimeout:
		return brief(mon)
	case reason == PayloadContentMismatch || reason == PayloadTimeout || reason == ServerUnreachable,
		state == Up && mon.Maintenance != "" && mon.Response == "":
		mon = once(mon)
		mon.Timeout = 3 * time.Second
		return mon
	}
	return once(mon)
}

func at(server netip.AddrPort, mon Monitor) Target {
	return Target{Pool: "p", Server: server, Monitors: []Monitor{mon}}
}

var loopback4, loopback6 = netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")

// udpServer answers each datagram with what reply returns: n counts them from 0.
func udpServer(t *testing.T, on netip.Addr, reply func(n int, request string, from netip.AddrPort) []string) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(on, 0)))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		buf := make([]byte, 65535)
		for n := 0; ; n++ {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, r := range reply(n, string(buf[:size]), from) {
				conn.WriteToUDPAddrPort([]byte(r), from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return plain(conn.LocalAddr().(*net.UDPAddr).AddrPort())
}

// tcpServer hands each connection to serve, and closes it when that returns.
func tcpServer(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return plain(ln.Addr().(*net.TCPAddr).AddrPort())
}

// closedPort returns an address where nobody listens: a port that was just given back.
func closedPort(t *testing.T, network string, on netip.Addr) netip.AddrPort {
	t.Helper()
	if network == "tcp" {
		ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(on, 0)))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return plain(ln.Addr().(*net.TCPAddr).AddrPort())
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(on, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return plain(c.LocalAddr().(*net.UDPAddr).AddrPort())
}

var copied = regexp.MustCompile(`(?m)^(Via|From|To|Call-ID|CSeq): .*\r\n`)

// answerTo builds a response as a server would, without the code under test.
func answerTo(request, status string, more ...string) string {
	lines := strings.Join(copied.FindAllString(request, -1), "")
	lines = strings.Replace(lines, ">\r\nCall-ID", ">;tag=server\r\nCall-ID", 1)
	body := ""
	if len(more) > 1 {
		body = more[1]
	}
	extra := ""
	if len(more) > 0 {
		extra = more[0]
	}
	return "SIP/2.0 " + status + "\r\n" + lines + extra + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}
