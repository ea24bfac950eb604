package engine

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/transport"
)

// Limits of connections are fields of objects, count for all listeners of a service together, and change while it runs.
// Whoever is over one is counted with its reason, and nobody else is disturbed.
func TestStreamLimits(t *testing.T) {
	server := newUA(t, sip.UDP, "127.0.0.1")
	set := streamSet(t, []string{"127.0.0.1"}, sip.UDP, server.addr)
	tcp := object.New[object.NetworkProfile]("limited")
	set.NetworkProfiles = []*object.NetworkProfile{&tcp}
	for i := range set.VirtualServices[0].Services[1:] {
		set.VirtualServices[0].Services[1+i].OverrideNetworkProfileRef = "limited"
	}
	e, _ := start(t, set)
	// apply gives the service other limits.
	apply := func(change func(*object.TCPProxyProfile, *object.VirtualService)) {
		t.Helper()
		next := *set
		p, vs := tcp, *set.VirtualServices[0]
		change(&p.Profile.TCPProxyProfile, &vs)
		next.NetworkProfiles, next.VirtualServices = []*object.NetworkProfile{&p}, []*object.VirtualService{&vs}
		if err := next.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := e.Apply(&next, e.Status().Revision+1); err != nil {
			t.Fatal(err)
		}
	}
	plain, secure := listenerFor(e)(&ua{tr: sip.TCP, addr: server.addr}), listenerFor(e)(&ua{tr: sip.TLS, addr: server.addr})
	counted := func(at netip.AddrPort, r transport.Reason) uint64 {
		for _, l := range e.Status().Services[0].Listeners {
			if l.Addr == at && l.Conns != nil {
				return l.Conns.Closed[r]
			}
		}
		return 0
	}
	dial := func(at netip.AddrPort) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			return nil // reset at once
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	// ends waits until the other side has closed a connection, and gives what it said before.
	ends := func(c net.Conn) string {
		t.Helper()
		if c == nil {
			return ""
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		b, err := io.ReadAll(c)
		if err, is := err.(net.Error); is && err.Timeout() {
			t.Fatal("the connection is open")
		}
		return string(b)
	}
	bystander := newUA(t, sip.TCP, "127.0.0.1")
	bystander.to(plain)
	check := func(what string, at netip.AddrPort, r transport.Reason, before uint64) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); counted(at, r) == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s: %d counted as %s", what, before, r)
				break
			}
		}
		bystander.send(plain, bystander.request("OPTIONS", "sip:bob@example.com", "a", "", what, 1, nil))
		server.answer(server.recv("OPTIONS"), "200 OK")
		bystander.recv("SIP/2.0 200")
	}

	apply(func(p *object.TCPProxyProfile, _ *object.VirtualService) { p.MessageTimeoutS = 1 })
	before := counted(plain, transport.ReadTimeout)
	slow := dial(plain)
	go func() { // an octet now and then
		for _, b := range []byte("OPTIONS sip:bob@example.com SIP/2.0\r\n") {
			if _, err := slow.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	ends(slow)
	check("slowloris", plain, transport.ReadTimeout, before)

	apply(func(p *object.TCPProxyProfile, _ *object.VirtualService) { p.HandshakeTimeoutS = 1 })
	before = counted(secure, transport.HandshakeTimeout)
	ends(dial(secure))
	check("handshake", secure, transport.HandshakeTimeout, before)

	apply(func(p *object.TCPProxyProfile, _ *object.VirtualService) { p.MaxMessageBytes = 1024 })
	before = counted(plain, transport.FramingLost)
	long := dial(plain)
	io.WriteString(long, strings.ReplaceAll(strings.Replace(bystander.request("MESSAGE", "sip:bob@example.com", "a", "", "long", 1, nil), "Content-Length: 0", "Content-Length: 1024", 1), "\n", "\r\n"))
	if got := ends(long); !strings.HasPrefix(got, "SIP/2.0 513 ") {
		t.Errorf("a long message got %q", got)
	}
	check("long", plain, transport.FramingLost, before)

	apply(func(p *object.TCPProxyProfile, _ *object.VirtualService) { p.LenientContentLength = true })
	bystander.send(plain, strings.Replace(bystander.request("OPTIONS", "sip:bob@example.com", "a", "", "lenient", 1, nil), "Content-Length: 0\n", "", 1))
	server.answer(server.recv("OPTIONS"), "200 OK")
	bystander.recv("SIP/2.0 200")

	apply(func(p *object.TCPProxyProfile, _ *object.VirtualService) { p.MaxConnectionsPerSource = 1 })
	before = counted(secure, transport.TooManyFromSource)
	ends(dial(secure)) // the bystander has one at the other listener
	check("per-source", secure, transport.TooManyFromSource, before)

	apply(func(_ *object.TCPProxyProfile, vs *object.VirtualService) {
		vs.PerformanceLimits.MaxConcurrentConnections = 1
	})
	before = counted(plain, transport.TooMany)
	ends(dial(plain))
	check("service", plain, transport.TooMany, before)

	apply(func(_ *object.TCPProxyProfile, vs *object.VirtualService) {
		vs.ConnectionsRateLimit.RateLimiter = object.RateLimiter{Count: 1, PeriodS: 3600}
	})
	before = counted(plain, transport.TooFast)
	dial(plain)
	ends(dial(plain))
	check("rate", plain, transport.TooFast, before)

	apply(func(_ *object.TCPProxyProfile, vs *object.VirtualService) { vs.MaxCPSPerClient = 10 })
	before = counted(plain, transport.TooFastFromSource)
	for range 100 { // more than fit into a second, unless it takes several
		dial(plain)
	}
	check("rate-per-source", plain, transport.TooFastFromSource, before)
}

// Of a flood from one source as many are served as may, and everybody else as before.
func TestConnectionFlood(t *testing.T) {
	server := newUA(t, sip.UDP, "127.0.0.1")
	set := streamSet(t, []string{"127.0.0.1"}, sip.UDP, server.addr)
	tcp := object.New[object.NetworkProfile]("limited")
	tcp.Profile.TCPProxyProfile.MaxConnectionsPerSource = 50
	set.NetworkProfiles = []*object.NetworkProfile{&tcp}
	set.VirtualServices[0].Services[1].OverrideNetworkProfileRef = "limited"
	e, _ := start(t, set)
	at := listenerFor(e)(&ua{tr: sip.TCP, addr: server.addr})
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	const many = 2000
	for range many {
		c, err := d.Dial("tcp", at.String())
		if err == nil {
			defer c.Close()
		}
	}
	conns := func() (st transport.ConnStats) {
		for _, l := range e.Status().Services[0].Listeners {
			if l.Addr == at && l.Conns != nil {
				st = *l.Conns
			}
		}
		return st
	}
	for end := time.Now().Add(10 * time.Second); conns().Closed[transport.TooManyFromSource] != many-50; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", conns())
		}
	}
	if st := conns(); st.Open != 50 {
		t.Errorf("%d are open", st.Open)
	}
	client := newUA(t, sip.TCP, "127.0.0.1")
	call(client, server, listenerFor(e), listenerFor(e), "sip:bob@example.com", "meanwhile", true)
}

// fail_action closes the connection of a request that no server may get, once it is answered, and counts that.
func TestFailActionCloses(t *testing.T) {
	server := newUA(t, sip.UDP, "127.0.0.1")
	set := streamSet(t, []string{"127.0.0.1"}, sip.UDP, server.addr)
	set.Pools[0].Servers[0].Enabled, set.Pools[0].GracefulDisableTimeoutMin = false, 0
	set.Pools[0].FailAction.Type = object.FailClose
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	e, _ := start(t, set)
	client := newUA(t, sip.TCP, "127.0.0.1")
	conn, err := net.Dial("tcp", listenerFor(e)(client).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, strings.ReplaceAll(client.request("INVITE", "sip:bob@example.com", "a", "", "none", 1, nil), "\n", "\r\n"))
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(got), "SIP/2.0 503 ") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	closed := func() (n uint64) {
		for _, l := range e.Status().Services[0].Listeners {
			if l.Conns != nil {
				n += l.Conns.Closed[transport.NoServer]
			}
		}
		return n
	}
	for end := time.Now().Add(10 * time.Second); closed() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d closed", closed())
		}
	}
}
