package engine

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/quick"
	"github.com/carillon-sip/carillon/internal/sip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a SIP element of the test: one UDP socket.
type peer struct {
	t    *testing.T
	conn *net.UDPConn
	addr netip.AddrPort
}

func newPeer(t *testing.T, addr string) *peer {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{t, c, c.LocalAddr().(*net.UDPAddr).AddrPort()}
}

func (p *peer) send(to netip.AddrPort, text string) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort([]byte(strings.ReplaceAll(text, "\n", "\r\n")), to); err != nil {
		p.t.Fatal(err)
	}
}

// recv waits for a datagram; waiting longer than any test may take is a failure.
func (p *peer) recv() (*sip.Msg, netip.AddrPort) {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 65536)
	n, from, err := p.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		p.t.Fatalf("%s got nothing: %v", p.addr, err)
	}
	m := new(sip.Msg)
	if m.Parse(buf[:n]) != sip.NoFault {
		p.t.Fatalf("%s got what does not parse: %v\n%s", p.addr, m.Err, buf[:n])
	}
	return m, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// answer sends a response to the request m, which came from an address.
func (p *peer) answer(m *sip.Msg, to netip.AddrPort, status int, reason string) {
	p.t.Helper()
	r := sip.Reply{Status: status, Reason: reason, ToTag: []byte("tag-of-server"), Received: to}
	if _, err := p.conn.WriteToUDPAddrPort(m.AppendReply(nil, &r), to); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) request(method, callID, branch, extra string) string {
	return fmt.Sprintf("%s sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\nMax-Forwards: 70\n"+
		"From: <sip:alice@example.com>;tag=a\nTo: <sip:bob@example.com>\nCall-ID: %s\nCSeq: 1 %s\n%sContent-Length: 0\n\n",
		method, p.addr, branch, callID, method, extra)
}

func quickSet(t *testing.T, listen string, servers ...*peer) *object.Set {
	t.Helper()
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.addr.String())
	}
	set, err := quick.Set([]string{"udp://" + listen}, addrs, quick.Options{NoMonitor: true})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func start(t *testing.T, set *object.Set) (*Engine, netip.AddrPort) {
	t.Helper()
	e, err := Start(Config{Set: set, Revision: 1, Strict: true, Secret: []byte("a secret for tests"), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e, e.Status().Services[0].Listeners[0].Addr
}

// next is the revision after the one that is applied.
func next(e *Engine) uint64 { return e.Status().Revision + 1 }

func TestCallBothWays(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, lb := start(t, quickSet(t, "127.0.0.1:0", server))
	client.send(lb, client.request("INVITE", "call-1", "x1", ""))
	m, from := server.recv()
	if from != lb || m.NVia != 2 || m.MaxForwards != 69 {
		t.Fatalf("the server got, from %s: %s", from, m.Buf)
	}
	server.answer(m, from, 180, "Ringing")
	server.answer(m, from, 200, "OK")
	for _, want := range []int{180, 200} {
		r, from := client.recv()
		if r.Status != want || from != lb || r.NVia != 1 {
			t.Fatalf("the client got, from %s: %s", from, r.Buf)
		}
	}
	// STUN on the SIP port (O6)
	client.conn.WriteToUDPAddrPort([]byte("\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"), lb)
	buf := make([]byte, 100)
	client.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := client.conn.Read(buf); err != nil || n != 32 || buf[0] != 1 || buf[1] != 1 {
		t.Fatalf("STUN: %x, %v", buf[:n], err)
	}
	st := e.Status()
	s := st.Services[0]
	if s.Requests["INVITE"] != 1 || s.Responses[180] != 1 || s.Responses[200] != 1 || s.Reasons["stun_answered"] != 1 || s.Latency.Count != 1 {
		t.Errorf("status: %+v", s)
	}
	sv := st.Pools[0].Servers[0]
	if sv.Requests["INVITE"] != 1 || sv.Responses[200] != 1 || sv.OpenTransactions != 0 || sv.Calls != 1 || sv.HashShare != 1 || sv.State != "up" {
		t.Errorf("server: %+v", sv)
	}
}

// A wildcard listener answers from the address it was asked at (N1).
func TestWildcardAnswersFromWhereItWasAsked(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	_, lb := start(t, quickSet(t, "0.0.0.0:0", server))
	lb = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), lb.Port())
	client.send(lb, client.request("OPTIONS", "call-1", "x1", ""))
	m, from := server.recv()
	if from != lb {
		t.Fatalf("the request left from %s", from)
	}
	server.answer(m, from, 200, "OK")
	if _, from := client.recv(); from != lb {
		t.Fatalf("the response left from %s", from)
	}
}

// A client on IPv4, a server on IPv6 (M1).
func TestFamiliesBridged(t *testing.T) {
	server, client := newPeer(t, "[::1]:0"), newPeer(t, "127.0.0.1:0")
	_, lb := start(t, quickSet(t, "127.0.0.1:0", server))
	client.send(lb, client.request("INVITE", "call-1", "x1", ""))
	m, from := server.recv()
	if !from.Addr().Is6() || strings.Count(string(m.Buf), "Record-Route: ") != 2 {
		t.Fatalf("the server got, from %s: %s", from, m.Buf)
	}
	server.answer(m, from, 200, "OK")
	if r, from := client.recv(); from != lb || r.Status != 200 {
		t.Fatalf("the client got, from %s: %s", from, r.Buf)
	}
}

// What servers of another family reach us at has the service's own port, also
// after a restart, unless somebody else has it; and makes way for a VIP that is
// to listen there.
func TestEgressPort(t *testing.T) {
	server, client := newPeer(t, "[::1]:0"), newPeer(t, "127.0.0.1:0")
	own := freePorts(t, []string{"127.0.0.1", "::1"}, 1)[0]
	listen := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), own).String()
	call := func(lb netip.AddrPort, id string) netip.AddrPort {
		t.Helper()
		client.send(lb, client.request("INVITE", id, id, ""))
		m, from := server.recv()
		server.answer(m, from, 200, "OK")
		if r, from := client.recv(); r.Status != 200 || from != lb {
			t.Fatalf("the client got, from %s: %s", from, r.Buf)
		}
		return from
	}
	set := quickSet(t, listen, server)
	for _, id := range []string{"call-1", "call-2"} {
		e, lb := start(t, set)
		if from := call(lb, id); from.Port() != own {
			t.Errorf("the server is called from %s, want port %d", from, own)
		}
		e.Stop()
	}
	e, lb := start(t, set)
	both := quickSet(t, listen, server)
	both.VsVips[0].Vip = append(both.VsVips[0].Vip, object.Vip{Enabled: true, VipID: "6", IPAddress: netip.IPv6Loopback()})
	if err := e.Apply(both, next(e)); err != nil {
		t.Fatal(err)
	}
	if from := call(lb, "call-3"); from != netip.AddrPortFrom(netip.IPv6Loopback(), own) || len(e.Status().Services[0].Listeners) != 2 {
		t.Errorf("the server is called from %s, the listeners are %+v", from, e.Status().Services[0].Listeners)
	}
	e.Stop()
	newPeer(t, netip.AddrPortFrom(netip.IPv6Loopback(), own).String())
	_, lb = start(t, set)
	if from := call(lb, "call-4"); from.Port() == own {
		t.Errorf("the server is called from %s, which is somebody else's", from)
	}
}

// A server whose port is closed: the caller sees one call that works (X6).
func TestPortUnreachableIsNoCallersConcern(t *testing.T) {
	alive, dead, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, lb := start(t, quickSet(t, "127.0.0.1:0", alive, dead))
	dead.conn.Close()
	const calls = 20
	for i := range calls {
		client.send(lb, client.request("INVITE", fmt.Sprintf("call-%d", i), fmt.Sprintf("x%d", i), ""))
		m, from := alive.recv()
		alive.answer(m, from, 200, "OK")
		if r, _ := client.recv(); r.Status != 200 {
			t.Fatalf("call %d: %s", i, r.Buf)
		}
	}
	st := e.Status()
	if n := st.Services[0].Reasons["failed_over_icmp"]; n == 0 || n == calls {
		t.Errorf("%d of %d calls were moved from the dead server: %v", n, calls, st.Services[0].Reasons)
	}
	for _, sv := range st.Pools[0].Servers {
		if sv.OpenTransactions != 0 {
			t.Errorf("%s has %d open transactions", sv.Addr, sv.OpenTransactions)
		}
	}
}

// Changes apply live: sockets stay, known calls stay, a drained server gets no
// new ones, a listener that is gone answers what is under way.
func TestApply(t *testing.T) {
	a, b, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", a)
	e, lb := start(t, set)
	client.send(lb, client.request("INVITE", "call-1", "x1", ""))
	first, from := a.recv()

	two := quickSet(t, "127.0.0.1:0", a, b)
	two.Pools[0].Servers[0].Enabled = false // a drains
	if err := e.Apply(two, next(e)); err != nil {
		t.Fatal(err)
	}
	if got := e.Status().Services[0].Listeners[0].Addr; got != lb {
		t.Fatalf("the listener moved from %s to %s", lb, got)
	}
	client.send(lb, client.request("INVITE", "call-1", "x1", "")) // a retransmission
	a.recv()
	for i := range 10 {
		client.send(lb, client.request("OPTIONS", fmt.Sprintf("new-%d", i), fmt.Sprintf("n%d", i), ""))
		m, from := b.recv()
		b.answer(m, from, 200, "OK")
		client.recv()
	}
	if err := e.Apply(quickSet(t, "127.0.0.2:0", b), next(e)); err != nil {
		t.Fatal(err)
	}
	a.answer(first, from, 200, "OK") // its listener and its server have left
	if r, from := client.recv(); r.Status != 200 || from != lb {
		t.Fatalf("from %s: %s", from, r.Buf)
	}
	if st := e.Status(); st.Revision != 3 || st.Services[0].Listeners[0].Addr.Addr() != netip.MustParseAddr("127.0.0.2") {
		t.Errorf("status: revision %d, listeners %+v", st.Revision, st.Services[0].Listeners)
	}
}

// A change that can't be had leaves everything as it was.
func TestApplyRefused(t *testing.T) {
	a, taken := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, lb := start(t, quickSet(t, "127.0.0.1:0", a))
	err := e.Apply(quickSet(t, taken.addr.String(), a), next(e))
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("error: %v", err)
	}
	if st := e.Status(); st.Revision != 1 || st.Services[0].Listeners[0].Addr != lb {
		t.Errorf("status: %+v", st)
	}
	if _, err := Start(Config{Set: quickSet(t, lb.String(), a), Strict: true, Secret: []byte("another secret")}); err == nil {
		t.Error("a second engine started on the same address")
	}
}

// The engine restarts with the same secret: a dialog of before finds its server.
func TestTokensSurviveARestart(t *testing.T) {
	var servers []*peer
	for range 5 {
		servers = append(servers, newPeer(t, "127.0.0.1:0"))
	}
	client := newPeer(t, "127.0.0.1:0")
	// one server now; afterwards five: the hash alone would mostly err
	e, err := Start(Config{Set: quickSet(t, "127.0.0.1:0", servers[0]), Secret: []byte("a secret for tests")})
	if err != nil {
		t.Fatal(err)
	}
	lb := e.Status().Services[0].Listeners[0].Addr
	client.send(lb, client.request("INVITE", "call-1", "x1", ""))
	m, _ := servers[0].recv()
	e.Stop()
	route := string(m.Bytes(m.FirstRecordRoute))
	route = "Route" + strings.TrimSpace(strings.TrimPrefix(route, "Record-Route")) + "\n"
	_, again := start(t, quickSet(t, lb.String(), servers...))
	bye := strings.Replace(client.request("BYE", "call-1", "x2", route), "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=b", 1)
	client.send(again, bye)
	if m, _ := servers[0].recv(); m.Method.String() != "BYE" {
		t.Fatalf("%s", m.Buf)
	}
}

// Only a server's request may leave by a host name, and it waits for the resolver. It is
// counted once, when its name is known, and with its service.
func TestNames(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", server)
	other := quickSet(t, "127.0.0.2:0", server)
	other.VirtualServices[0].Name, other.VirtualServices[0].VsVipRef, other.VsVips[0].Name = "other", "other", "other"
	set.VirtualServices, set.VsVips = append(set.VirtualServices, other.VirtualServices...), append(set.VsVips, other.VsVips...)
	e, lb := start(t, set)
	req := strings.Replace(server.request("NOTIFY", "call-1", "x1", ""), "sip:bob@example.com SIP", fmt.Sprintf("sip:bob@localhost:%d SIP", client.addr.Port()), 1)
	server.send(lb, req)
	m, from := client.recv()
	if from != lb || m.NVia != 2 {
		t.Fatalf("from %s: %s", from, m.Buf)
	}
	server.send(lb, strings.Replace(server.request("NOTIFY", "call-2", "x2", ""), "sip:bob@example.com SIP", "sip:bob@nobody.invalid:5060 SIP", 1))
	if m, _ := server.recv(); m.Status != 404 {
		t.Fatalf("%s", m.Buf)
	}
	st := e.Status()
	if got, want := fmt.Sprint(st.Services[0].Reasons), "map[from_server:1 unresolvable:1]"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
	if got := st.Services[1].Reasons; len(got) != 0 {
		t.Errorf("the other service counted %v", got)
	}
}

// A name with addresses of both families goes to the one that its service speaks, in
// whatever order the resolver tells them.
func TestNameOfBothFamilies(t *testing.T) {
	for _, lb := range []string{"127.0.0.1", "::1"} {
		host := netip.MustParseAddr(lb)
		server, client := newPeer(t, netip.AddrPortFrom(host, 0).String()), newPeer(t, netip.AddrPortFrom(host, 0).String())
		e, at := start(t, quickSet(t, netip.AddrPortFrom(host, 0).String(), server))
		port := client.addr.Port()
		six, four := netip.AddrPortFrom(netip.IPv6Loopback(), port), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		for name, addrs := range map[string][]netip.AddrPort{"six-first": {six, four}, "four-first": {four, six}} {
			key := string(proxy.NameKey(nil, []byte(name+".test"), port, sip.UDP))
			e.resolver.learn(answer{key, addrs})
			server.send(at, strings.Replace(server.request("NOTIFY", name, name, ""), "sip:bob@example.com SIP", fmt.Sprintf("sip:bob@%s.test:%d SIP", name, port), 1))
			if m, from := client.recv(); from != at {
				t.Fatalf("%s at %s: from %s: %s", name, lb, from, m.Buf)
			}
		}
	}
}
