package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// The program is replaced twice under load, by SIGUSR2: no call over UDP or TCP fails, one that stands on a connection of TLS goes
// on, nobody who connects is refused, neither at the listener of SIP nor at the API nor at the metrics, and systemd is told who
// serves. With a store, and without one.
func TestHotRestart(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in does not replace itself")
	}
	for name, api := range map[string]bool{"with a store": true, "file alone": false} {
		t.Run(name, func(t *testing.T) { hotRestart(t, api) })
	}
}

func hotRestart(t *testing.T, api bool) {
	l := startRestarting(t, api)
	knocks := l.knock()
	standing := l.callOverTLS()
	udp := l.caller("udp", "u1", 1600, 200, 300*time.Millisecond)
	tcp := l.caller("tcp", "t1", 160, 20, 2*time.Second)
	l.awaitCalls(300)
	l.super.Restart()
	l.awaitCalls(300)
	l.super.Restart()
	l.awaitCalls(100)
	for _, c := range []*lab.SIPp{udp, tcp} {
		tally := c.Finish(loadLimit)
		t.Logf("SIPp: %+v", tally)
		if tally.Failed != 0 || tally.Succeeded != tally.Created {
			t.Errorf("SIPp: %+v\n%s", tally, c.Errors())
		}
	}
	standing.hangUp()
	knocks()
	if n := l.b.Metrics()["carillon_handovers_total"]; n != 2 {
		t.Errorf("%g handovers are counted", n)
	}
	for line := range strings.Lines(l.super.Log()) {
		if strings.Contains(line, `"taken over"`) {
			t.Log(line)
		}
	}
	if api {
		l.b.API.Do("GET", "/api/pool", nil)
	}
}

// A new program that does not run, one that ends the talk, and one that fails when the store is its own already leave everything as it
// was. A right one then takes over, and another that somebody else starts.
func TestHotRestartFails(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in does not replace itself")
	}
	l := startRestarting(t, true)
	knocks := l.knock()
	standing := l.callOverTLS()
	udp := l.caller("udp", "u1", 1200, 200, 300*time.Millisecond)
	l.awaitCalls(100)
	programs := []string{"#!/bin/sh\nexit 1\n", "not a program\n", "#!/bin/sh\nexec 3<&-\n",
		fmt.Sprintf("#!/bin/sh\nexec %q \"$@\" --control 192.0.2.1:1\n", lab.Carillon(t))} // an address that it cannot have
	for i, text := range programs {
		file := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		l.super.Install(file)
		l.super.Signal(syscall.SIGUSR2)
		lab.Until(t, "the process goes on", func() bool { return strings.Count(l.super.Log(), "was not replaced") > i })
	}
	lab.Until(t, "its API is back", func() bool {
		status, _, err := l.b.API.Try("GET", "/api/pool", nil)
		return err == nil && status == 200
	})
	if n := l.b.Metrics()["carillon_handovers_failed_total"]; n != 4 {
		t.Errorf("%g failures are counted", n)
	}
	l.super.Install(lab.Carillon(t))
	idle := l.b.Knock() // somebody who says nothing holds up nobody
	defer idle.Close()
	l.b.Knock().Close()
	l.super.Restart()
	l.super.TakeOver(l.b)
	if tally := udp.Finish(loadLimit); tally.Failed != 0 || tally.Succeeded != tally.Created {
		t.Errorf("SIPp: %+v\n%s", tally, udp.Errors())
	}
	standing.hangUp()
	knocks()
}

// restarting is a balancer on all transports that replaces itself, before two SIPps.
type restarting struct {
	t       *testing.T
	b       *lab.Balancer
	super   *lab.Supervisor
	secure  netip.AddrPort
	servers []netip.AddrPort
	wire    *lab.Capture
	seen    int // calls that were waited for
}

func startRestarting(t *testing.T, api bool) *restarting {
	lab.Require(t, "sipp")
	l := &restarting{t: t, super: lab.NewSupervisor(t), servers: lab.Addrs(t, "127.0.0.11", "127.0.0.12"), wire: lab.StartCapture(t)}
	for i, a := range l.servers {
		lab.StartSIPp(t, lab.SIPpSpec{Name: fmt.Sprintf("server%d", i+1), Scenario: "server", Local: a})
	}
	listen := lab.Addr(t, "127.0.0.1")
	l.secure = lab.Addr(t, "127.0.0.1")
	l.b = lab.StartBalancer(t, lab.Setup{Listen: []netip.AddrPort{listen}, File: streamFile(t, listen, l.secure, "udp", l.servers), API: api, Supervisor: l.super})
	return l
}

func (l *restarting) caller(name, over string, calls, rate int, hold time.Duration) *lab.SIPp {
	return lab.StartSIPp(l.t, lab.SIPpSpec{Name: name, Scenario: "caller", Local: lab.Addr(l.t, "127.0.0.2"), Remote: l.b.Addr, Calls: calls, Rate: rate, Hold: hold, Transport: over})
}

// awaitCalls waits for so many more calls over UDP.
func (l *restarting) awaitCalls(n int) {
	l.t.Helper()
	l.seen += n
	prefix := fmt.Sprintf("Call-ID: %d.udp@", l.seen)
	l.wire.Await(fmt.Sprintf("call %d", l.seen), func(p lab.Packet) bool { return strings.Contains(string(p.Data), prefix) })
}

// knock connects to all listeners of TCP, again and again, until the function is called that it gives, which reports who was
// refused.
func (l *restarting) knock() func() {
	addrs := []string{l.b.Addr.String(), l.b.MetricsAddr()}
	if l.b.API != nil {
		addrs = append(addrs, l.b.API.Addr)
	}
	end := make(chan struct{})
	var wg sync.WaitGroup
	for _, a := range addrs {
		wg.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				c, err := net.DialTimeout("tcp", a, lab.Patience)
				if err != nil {
					l.t.Errorf("connection %d to %s: %v", n, a, err)
					return
				}
				c.Close()
				select {
				case <-end:
					l.t.Logf("%d connections to %s, none refused", n, a)
					return
				case <-tick.C:
				}
			}
		})
	}
	return func() { close(end); wg.Wait() }
}

// standing is a call on a connection of TLS.
type standing struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Reader
	route []string
	tag   string // of the other side, as a parameter; empty until it is known
}

// callOverTLS sets up a call that stands.
func (l *restarting) callOverTLS() *standing {
	l.t.Helper()
	c, err := tls.Dial("tcp", l.secure.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	s := &standing{t: l.t, conn: c, in: bufio.NewReader(c)}
	s.send("INVITE", 1)
	ok := s.final()
	for _, line := range ok {
		if v, is := strings.CutPrefix(line, "Record-Route: "); is {
			s.route = append(s.route, v)
		}
	}
	slices.Reverse(s.route)
	_, tag, _ := strings.Cut(strings.Join(ok, "\n"), "\nTo: ")
	tag, _, _ = strings.Cut(tag, "\n")
	_, tag, _ = strings.Cut(tag, ";tag=")
	s.tag = ";tag=" + tag
	s.send("ACK", 1)
	return s
}

// hangUp ends it, on the connection that it was set up on.
func (s *standing) hangUp() {
	s.t.Helper()
	s.send("BYE", 2)
	s.final()
}

func (s *standing) send(method string, cseq int) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s sip:standing@example.com SIP/2.0\r\nVia: SIP/2.0/TLS %s;branch=z9hG4bKstanding%s;rport\r\n", method, s.conn.LocalAddr(), method)
	for _, r := range s.route {
		b.WriteString("Route: " + r + "\r\n")
	}
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=a\r\nTo: <sip:standing@example.com>%s\r\nCall-ID: standing@example.com\r\n"+
		"CSeq: %d %s\r\nContact: <sip:a@%s;transport=tls>\r\nContent-Length: 0\r\n\r\n", s.tag, cseq, method, s.conn.LocalAddr())
	if _, err := io.WriteString(s.conn, b.String()); err != nil {
		s.t.Fatalf("%s on the connection of TLS: %v", method, err)
	}
}

// final reads responses up to a final one, which must be 200, and gives its lines.
func (s *standing) final() []string {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(lab.Patience))
	for {
		var lines []string
		length := 0
		for {
			line, err := s.in.ReadString('\n')
			if err != nil {
				s.t.Fatalf("on the connection of TLS: %v", errors.Join(err, fmt.Errorf("after %q", lines)))
			}
			if line = strings.TrimRight(line, "\r\n"); line == "" {
				break
			}
			fmt.Sscanf(line, "Content-Length: %d", &length)
			lines = append(lines, line)
		}
		s.in.Discard(length)
		switch {
		case strings.HasPrefix(lines[0], "SIP/2.0 1"):
		case strings.HasPrefix(lines[0], "SIP/2.0 200"):
			return lines
		default:
			s.t.Fatalf("on the connection of TLS: %s", lines[0])
		}
	}
}
