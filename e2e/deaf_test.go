package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// startDeaf takes connections and never reads from them.
func startDeaf(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	l, err := lc.Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan []net.Conn)
	t.Cleanup(func() {
		l.Close()
		for _, c := range <-done {
			c.Close()
		}
	})
	go func() {
		var all []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				done <- all
				return
			}
			all = append(all, c)
		}
	}()
}

// mostStuck is what a peer that does not read may cost, in kilobytes: its queue of 1 MB, for each of two connections, what is
// on the way, and what the collector leaves behind.
const mostStuck = 64 << 10

// longMessage is a request of some kilobytes, in its Via, so that the answer is as long.
func longMessage(from net.Addr, over string, n int) string {
	return fmt.Sprintf("MESSAGE sip:b@example.test SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK-long-%d;x=%s\r\nMax-Forwards: 70\r\n"+
		"From: <sip:a@example.test>;tag=a\r\nTo: <sip:b@example.test>\r\nCall-ID: long-%d\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
		over, from, n, strings.Repeat("x", 8000), n)
}

// A server that takes connections and never reads: calls go on, at the others, what waits for it is bounded and given up,
// and that is counted.
func TestDeafServer(t *testing.T) {
	t.Parallel()
	pool := lab.EdgePool{Name: "pool", Over: "tcp", Fields: "inline_health_monitor: false, retry_budget_percent: 100"}
	for i := range 2 {
		s := lab.StartCallee(t, "tcp", lab.Addr(t, fmt.Sprintf("127.0.0.%d", 11+i)), nil)
		pool.Servers = append(pool.Servers, lab.PoolServer{Addr: s.Addr})
	}
	deaf := lab.Addr(t, "127.0.0.13")
	startDeaf(t, deaf)
	pool.Servers = append(pool.Servers, lab.PoolServer{Addr: deaf})
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Pools: []lab.EdgePool{pool}}
	b := e.Start(t, lab.Setup{})
	const calls = 600
	caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: b.Addr, Calls: calls, Rate: 100,
		T1: 300 * time.Millisecond})
	before := b.ResidentKB()
	most := before
	flood, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)}, net.UDPAddrFromAddrPort(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	stuck := func() float64 {
		return b.Sum("connections_closed_total", `reason="slow_peer"`) + b.Sum("connections_closed_total", `reason="write_timeout"`)
	}
	n := 0
	lab.Until(t, "a connection is given up", func() bool {
		for range 50 {
			fmt.Fprint(flood, longMessage(flood.LocalAddr(), "UDP", n))
			n++
		}
		most = max(most, b.ResidentKB())
		return stuck() > 0
	})
	finishCalls(t, caller, calls)
	t.Logf("given up after %d messages of 8 KB, a third of them to the server; at most %d KB more are resident", n, most-before)
	if most-before > mostStuck {
		t.Errorf("%d KB more are resident, at most %d are expected", most-before, mostStuck)
	}
}

// A client over TCP that sends and never reads loses its connection; others do not notice.
func TestDeafClient(t *testing.T) {
	t.Parallel()
	s := lab.StartCallee(t, "tcp", lab.Addr(t, "127.0.0.11"), nil)
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Pools: []lab.EdgePool{{Name: "pool", Over: "tcp", Servers: []lab.PoolServer{{Addr: s.Addr}}}}}
	b := e.Start(t, lab.Setup{})
	const calls = 300
	caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: b.Addr, Calls: calls, Rate: 100, Transport: "t1"})
	before := b.ResidentKB()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", b.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(lab.Patience))
	closed := func() float64 { return b.Sum("connections_closed_total", `reason="slow_peer"`) }
	n, most := 0, before
	for ; err == nil; n++ {
		_, err = fmt.Fprint(c, longMessage(c.LocalAddr(), "TCP", n))
		if n%100 == 0 {
			most = max(most, b.ResidentKB())
		}
		lab.Until(t, "the server keeps up", func() bool { return int64(n)-s.Requests.Load() <= 50 || closed() > 0 })
	}
	lab.Until(t, "the connection is given up", func() bool { return closed() == 1 })
	finishCalls(t, caller, calls)
	t.Logf("given up after %d requests; at most %d KB more are resident", n, most-before)
	if most-before > mostStuck {
		t.Errorf("%d KB more are resident, at most %d are expected", most-before, mostStuck)
	}
}
