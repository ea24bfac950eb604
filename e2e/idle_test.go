package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// manyClients is how many clients are connected at a time: by default as many as one source may have.
const manyClients = 10_000

// What an idle connection may cost the balancer, resident.
const (
	mostIdleTCP = 12 << 10
	mostIdleTLS = 32 << 10
)

// crowd is many connections.
type crowd struct {
	t     *testing.T
	conns []net.Conn
}

// gather connects n clients from so many sources, beginning with 127.0.1.1.
func gather(t *testing.T, n, sources int, to netip.AddrPort, secure bool) *crowd {
	t.Helper()
	c := &crowd{t: t, conns: make([]net.Conn, n)}
	t.Cleanup(func() {
		for _, conn := range c.conns {
			if conn != nil {
				conn.Close()
			}
		}
	})
	c.each("connect", func(i int) error {
		d := net.Dialer{Timeout: lab.Patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%sources))}}
		conn, err := d.Dial("tcp", to.String())
		if err != nil {
			return err
		}
		c.conns[i] = conn
		if !secure {
			return nil
		}
		s := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: nil})
		c.conns[i] = s
		return s.Handshake()
	})
	return c
}

// each does something for every connection, several at a time, and fails the test at the first error.
func (c *crowd) each(what string, do func(i int) error) {
	c.t.Helper()
	const abreast = 16
	var wg sync.WaitGroup
	errs := make([]error, abreast)
	for k := range abreast {
		wg.Go(func() {
			for i := k; i < len(c.conns) && errs[k] == nil; i += abreast {
				if err := do(i); err != nil {
					errs[k] = fmt.Errorf("%s, client %d: %w", what, i, err)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatal(err)
	}
}

// ping has every client send a keep-alive and await the answer (RFC 5626 4.4.1).
func (c *crowd) ping() {
	c.t.Helper()
	c.each("ping", func(i int) error {
		if _, err := io.WriteString(c.conns[i], "\r\n\r\n"); err != nil {
			return err
		}
		c.conns[i].SetReadDeadline(time.Now().Add(lab.Patience))
		var pong [2]byte
		if _, err := io.ReadFull(c.conns[i], pong[:]); err != nil || string(pong[:]) != "\r\n" {
			return fmt.Errorf("answered %q, %w", pong, err)
		}
		return nil
	})
}

// ended waits until the balancer has closed every connection.
func (c *crowd) ended() {
	c.t.Helper()
	c.each("end", func(i int) error {
		c.conns[i].SetReadDeadline(time.Now().Add(lab.Patience))
		if n, err := c.conns[i].Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			return fmt.Errorf("%d octets, %w", n, err)
		}
		return nil
	})
}

// startIdle is the balancer on UDP, TCP and TLS before one SIPp.
func startIdle(t *testing.T) (*lab.Edge, *lab.Balancer) {
	t.Helper()
	lab.Require(t, "sipp")
	lab.RequireFiles(t, manyClients+4000)
	server := lab.Addr(t, "127.0.0.11")
	lab.StartSIPp(t, lab.SIPpSpec{Name: "server", Scenario: "server", Local: server, Transport: "t1"})
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Secure: lab.Addr(t, "127.0.0.1"), Cert: lab.MakeCert(t, nil, time.Now().Add(time.Hour), "one.example.test"),
		Pools: []lab.EdgePool{{Name: "pool", Over: "tcp", Servers: []lab.PoolServer{{Addr: server}}}}}
	return e, e.Start(t, lab.Setup{})
}

// expectMemory checks what idle connections cost.
func expectMemory(t *testing.T, b *lab.Balancer, before, n, most int) {
	t.Helper()
	each := (b.ResidentKB() - before) << 10 / n
	t.Logf("%d octets resident for each of %d idle connections", each, n)
	if each > most {
		t.Errorf("%d octets resident for an idle connection, at most %d are allowed", each, most)
	}
}

func finishCalls(t *testing.T, caller *lab.SIPp, calls int) {
	t.Helper()
	if tally := caller.Finish(loadLimit); tally.Succeeded != calls || tally.Failed != 0 {
		t.Errorf("SIPp: %+v of %d calls\n%s", tally, calls, caller.Errors())
	}
}

// Ten thousand idle clients: they stay connected over keep-alives, calls and a new certificate, and cost little.
func TestIdleClients(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in speaks UDP")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	t.Run("TLS", idleTLS)
	t.Run("TCP from one source", idleTCP)
}

func idleTLS(t *testing.T) {
	e, b := startIdle(t)
	const calls, sources = 200, 10
	call := lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: e.Secure, Calls: calls, Rate: 100, Transport: "ln",
		Hold: 20 * time.Millisecond, Args: []string{"-max_socket", "1000"}}
	finishCalls(t, lab.StartSIPp(t, call), calls) // what the first calls cost is not the clients'
	before, others := b.ResidentKB(), b.Sum("connections_open")
	c := gather(t, manyClients, sources, e.Secure, true)
	c.ping()
	expectMemory(t, b, before, manyClients, mostIdleTLS)
	// Calls and keep-alives at a time.
	call.Name, call.Local = "another", lab.Addr(t, "127.0.0.2") // other Call-IDs
	caller := lab.StartSIPp(t, call)
	c.ping()
	// Another certificate: who comes sees it, who is there stays.
	e.Cert = lab.MakeCert(t, nil, time.Now().Add(time.Hour), "two.example.test")
	mark := b.Mark()
	b.Rewrite(e.YAML())
	b.WaitLineAfter(mark, "configuration applied")
	last, err := tls.Dial("tcp", e.Secure.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	if name := last.ConnectionState().PeerCertificates[0].Subject.CommonName; name != "two.example.test" {
		t.Errorf("after the change a client is shown the certificate of %s", name)
	}
	last.Close()
	c.ping()
	finishCalls(t, caller, calls)
	lab.Until(t, "the clients, and nobody else, are connected", func() bool { return b.Sum("connections_open") == manyClients+others })
	if gone := b.Sum("connections_closed_total") - b.Sum("connections_closed_total", `reason="peer_closed"`); gone != 0 {
		t.Errorf("%g connections ended otherwise than by their clients", gone)
	}
	// A half goes by itself, the others when the balancer does.
	closed := b.Sum("connections_closed_total", `reason="peer_closed"`)
	rest := &crowd{t: t, conns: c.conns[manyClients/2:]}
	(&crowd{t: t, conns: c.conns[:manyClients/2]}).each("close", func(i int) error { return c.conns[i].Close() })
	lab.Until(t, "half of the clients are gone", func() bool {
		return b.Sum("connections_closed_total", `reason="peer_closed"`)-closed == manyClients/2
	})
	b.Signal(syscall.SIGTERM)
	rest.ended()
	if code := b.WaitExit(lab.Patience); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// One source has all the connections that it may have: more are refused and counted, and others go on as if nothing was.
func idleTCP(t *testing.T) {
	e, b := startIdle(t)
	const calls, more = 200, 1000
	call := lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: e.Listen, Calls: calls, Rate: 100, Transport: "tn",
		Hold: 20 * time.Millisecond, Args: []string{"-max_socket", "1000"}}
	finishCalls(t, lab.StartSIPp(t, call), calls)
	before := b.ResidentKB()
	c := gather(t, manyClients, 1, e.Listen, false)
	c.ping()
	expectMemory(t, b, before, manyClients, mostIdleTCP)
	call.Name, call.Local = "another", lab.Addr(t, "127.0.0.2") // other Call-IDs
	caller := lab.StartSIPp(t, call)
	for range more {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}
		conn, err := d.Dial("tcp", e.Listen.String())
		if err != nil {
			continue // refused before the connection was there for us
		}
		conn.SetDeadline(time.Now().Add(lab.Patience))
		if n, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, net.ErrClosed) {
			t.Fatalf("a connection too many got %d octets", n)
		}
		conn.Close()
	}
	c.ping()
	finishCalls(t, caller, calls)
	if n := b.Sum("connections_closed_total", `reason="too_many_from_source"`); n != more {
		t.Errorf("%g connections were counted as too many, of %d", n, more)
	}
	// With room again the source may connect again.
	closed := b.Sum("connections_closed_total", `reason="peer_closed"`)
	(&crowd{t: t, conns: c.conns[:more]}).each("close", func(i int) error { return c.conns[i].Close() })
	lab.Until(t, "there is room", func() bool { return b.Sum("connections_closed_total", `reason="peer_closed"`)-closed == more })
	gather(t, more, 1, e.Listen, false).ping()
}
