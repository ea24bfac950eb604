package engine

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/selfsigned"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/transport"
)

var testCert = sync.OnceValues(func() ([2]string, tls.Certificate) {
	certPEM, keyPEM, err := selfsigned.Make("example.com", []string{"example.com"}, nil)
	if err != nil {
		panic(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		panic(err)
	}
	return [2]string{string(certPEM), string(keyPEM)}, cert
})

// ua is a SIP element of any transport: it listens on an address, and over a stream also reads on connections it made.
type ua struct {
	t    *testing.T
	tr   sip.Transport
	addr netip.AddrPort
	udp  *net.UDPConn
	in   chan heard
	done chan struct{}

	mu    sync.Mutex
	seen  map[string]bool             // requests that recv gave; the test's goroutine alone has it
	also  net.Listener                // see listenAt
	conns map[netip.AddrPort]net.Conn // by where they lead
	all   []net.Conn
}

// heard is a message, and the way back.
type heard struct {
	text string
	back func(string)
}

func newUA(t *testing.T, tr sip.Transport, host string) *ua {
	t.Helper()
	return newUAAt(t, tr, netip.AddrPortFrom(netip.MustParseAddr(host), 0))
}

func newUAAt(t *testing.T, tr sip.Transport, at netip.AddrPort) *ua {
	t.Helper()
	u := &ua{t: t, tr: tr, in: make(chan heard, 100), done: make(chan struct{}), conns: map[netip.AddrPort]net.Conn{}, seen: map[string]bool{}}
	t.Cleanup(func() { close(u.done) })
	if tr == sip.UDP {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		u.udp, u.addr = c, c.LocalAddr().(*net.UDPAddr).AddrPort()
		t.Cleanup(func() { c.Close() })
		go u.readUDP()
		return u
	}
	ln, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	u.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	t.Cleanup(func() {
		ln.Close()
		u.hangUp()
	})
	if tr == sip.TLS {
		_, cert := testCert()
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.keep(c)
			go u.readStream(c)
		}
	}()
	return u
}

func (u *ua) keep(c net.Conn) {
	u.mu.Lock()
	u.all = append(u.all, c)
	u.mu.Unlock()
}

// hangUp closes all connections.
func (u *ua) hangUp() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.all {
		c.Close()
	}
	u.all, u.conns = nil, map[netip.AddrPort]net.Conn{}
}

func (u *ua) put(h heard) {
	select {
	case u.in <- h:
	case <-u.done:
	}
}

func (u *ua) readUDP() {
	buf := make([]byte, 65536)
	for {
		n, from, err := u.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		u.put(heard{string(buf[:n]), func(s string) { u.udp.WriteToUDPAddrPort([]byte(s), from) }})
	}
}

func (u *ua) readStream(c net.Conn) {
	var f sip.Framer
	var have []byte
	r := bufio.NewReader(c)
	for {
		b := make([]byte, 4096)
		n, err := r.Read(b)
		if err != nil {
			return
		}
		have = append(have, b[:n]...)
		for {
			fr := f.Next(have)
			if fr.Kind == sip.FrameMore {
				break
			}
			if fr.Kind == sip.FrameLost {
				u.put(heard{"framing lost: " + string(have), nil})
				return
			}
			u.put(heard{string(have[:fr.Len]), func(s string) { io.WriteString(c, s) }})
			have = have[fr.Len:]
		}
	}
}

func (u *ua) send(to netip.AddrPort, text string) {
	u.t.Helper()
	text = strings.ReplaceAll(text, "\n", "\r\n")
	if u.tr == sip.UDP {
		u.udp.WriteToUDPAddrPort([]byte(text), to)
		return
	}
	io.WriteString(u.to(to), text)
}

// to is the connection to an address.
func (u *ua) to(to netip.AddrPort) net.Conn {
	u.mu.Lock()
	c := u.conns[to]
	u.mu.Unlock()
	if c != nil {
		return c
	}
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		u.t.Fatal(err)
	}
	if u.tr == sip.TLS {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	u.keep(c)
	u.mu.Lock()
	u.conns[to] = c
	u.mu.Unlock()
	go u.readStream(c)
	return c
}

// recv gives the next message, which is to begin with what. Requests over UDP that came before are passed over, as by any
// element: what is not answered in 500 ms the balancer sends again, and the machine may stand still for longer.
func (u *ua) recv(what string) heard {
	u.t.Helper()
	for {
		if h := u.recvAny(what); u.fresh(h) {
			return h
		}
	}
}

// fresh reports whether a message is none that came before, and remembers it.
func (u *ua) fresh(h heard) bool {
	if u.tr != sip.UDP || strings.HasPrefix(h.text, "SIP/2.0") {
		return true
	}
	before := u.seen[h.text]
	u.seen[h.text] = true
	return !before
}

// recvAny gives the next message, also one that came before. That one may begin with something else.
func (u *ua) recvAny(what string) heard {
	u.t.Helper()
	select {
	case h := <-u.in:
		if !strings.HasPrefix(h.text, what) && !u.seen[h.text] {
			u.t.Fatalf("%s %s wants %s, got\n%s", u.tr, u.addr, what, h.text)
		}
		return h
	case <-time.After(20 * time.Second):
		u.t.Fatalf("%s %s wants %s, got nothing", u.tr, u.addr, what)
		panic("")
	}
}

// values are the values of a header field, a line each.
func values(text, name string) (out []string) {
	for line := range strings.SplitSeq(text, "\r\n") {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			out = append(out, v)
		}
	}
	return out
}

func (u *ua) contact() string {
	return fmt.Sprintf("sip:%s@%s;transport=%s", "u", u.addr, strings.ToLower(u.tr.String()))
}

// answer is a response to a request.
func (u *ua) answer(h heard, status string) {
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for _, name := range []string{"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"} {
		for _, v := range values(h.text, name) {
			if name == "To" && !strings.Contains(v, "tag=") {
				v += ";tag=" + "callee"
			}
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	b.WriteString("Contact: <" + u.contact() + ">\r\nContent-Length: 0\r\n\r\n")
	h.back(b.String())
}

func (u *ua) request(method, uri, from, to, call string, cseq int, routes []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s%s%d%s;rport\n", method, uri, u.tr, u.addr, call, method, cseq, u.addr.String()[len(u.addr.String())-4:])
	for _, r := range routes {
		b.WriteString("Route: " + r + "\n")
	}
	fmt.Fprintf(&b, "Max-Forwards: 70\nFrom: <sip:a@example.com>;tag=%s\nTo: <sip:b@example.com>", from)
	if to != "" {
		b.WriteString(";tag=" + to)
	}
	fmt.Fprintf(&b, "\nCall-ID: %s\nCSeq: %d %s\nContact: <%s>\nContent-Length: 0\n\n", call, cseq, method, u.contact())
	return b.String()
}

// call has one call another over the balancer, and one of them hang up.
func call(caller, callee *ua, lbCaller, lbCallee func(*ua) netip.AddrPort, uri, id string, calleeHangsUp bool) {
	caller.t.Helper()
	caller.send(lbCaller(caller), caller.request("INVITE", uri, "caller", "", id, 1, nil))
	invite := callee.recv("INVITE")
	callee.answer(invite, "180 Ringing")
	caller.recv("SIP/2.0 180")
	callee.answer(invite, "200 OK")
	ok := caller.recv("SIP/2.0 200")
	route := values(ok.text, "Record-Route")
	if len(values(ok.text, "Via")) != 1 {
		caller.t.Fatalf("Vias of the answer:\n%s", ok.text)
	}
	back := slices.Clone(route)
	slices.Reverse(route)
	caller.send(hop(route, lbCaller(caller)), caller.request("ACK", callee.contact(), "caller", "callee", id, 1, route))
	callee.recv("ACK")
	if calleeHangsUp {
		callee.send(hop(back, lbCallee(callee)), callee.request("BYE", caller.contact(), "callee", "caller", id, 7, back))
		caller.answer(caller.recv("BYE"), "200 OK")
		callee.recv("SIP/2.0 200")
		return
	}
	caller.send(hop(route, lbCaller(caller)), caller.request("BYE", callee.contact(), "caller", "callee", id, 2, route))
	callee.answer(callee.recv("BYE"), "200 OK")
	caller.recv("SIP/2.0 200")
}

// hop is the address of the first Route, which is where a request goes.
func hop(route []string, other netip.AddrPort) netip.AddrPort {
	if len(route) == 0 {
		return other
	}
	_, host, _ := strings.Cut(route[0], "@")
	host = host[:strings.IndexAny(host, ";>")]
	a, err := netip.ParseAddrPort(host)
	if err != nil {
		return other
	}
	return a
}

// streamSet is a virtual service on all transports, before servers of one.
func streamSet(t *testing.T, listens []string, serverTransport sip.Transport, servers ...netip.AddrPort) *object.Set {
	t.Helper()
	pems, _ := testCert()
	vs, vip, pool := object.New[object.VirtualService]("vs"), object.New[object.VsVip]("vip"), object.New[object.Pool]("pool")
	app, cert := object.New[object.ApplicationProfile]("app"), object.New[object.SSLKeyAndCertificate]("cert")
	app.Type, app.SIPServiceProfile.RecordRoute = object.ApplicationSIP, true
	cert.Certificate.Certificate, cert.Key = pems[0], pems[1]
	v := object.Vip{Enabled: true, VipID: "0"}
	for _, l := range listens {
		if a := netip.MustParseAddr(l); a.Is4() {
			v.IPAddress = a
		} else {
			v.IP6Address = a
		}
	}
	vip.Vip = append(vip.Vip, v)
	vs.VsVipRef, vs.PoolRef, vs.ApplicationProfileRef = "vip", "pool", "app"
	vs.SSLKeyAndCertificateRefs = []string{"cert"}
	tcp := "System-TCP-Proxy"
	ports := freePorts(t, listens, 3)
	vs.Services = []object.Service{{Port: ports[0]}, {Port: ports[1], OverrideNetworkProfileRef: tcp}, {Port: ports[2], OverrideNetworkProfileRef: tcp, EnableSSL: true}}
	pool.LBAlgorithm, pool.LBAlgorithmHash = object.ConsistentHash, object.HashCallID
	switch serverTransport {
	case sip.TLS:
		pool.SSLProfileRef = "System-Standard"
	default:
		pool.ServerTransport = "SERVER_TRANSPORT_" + serverTransport.String()
	}
	for _, s := range servers {
		pool.Servers = append(pool.Servers, object.NewServer(s))
	}
	set := &object.Set{VirtualServices: []*object.VirtualService{&vs}, VsVips: []*object.VsVip{&vip}, Pools: []*object.Pool{&pool},
		ApplicationProfiles: []*object.ApplicationProfile{&app}, SSLKeyAndCertificates: []*object.SSLKeyAndCertificate{&cert}}
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	return set
}

// freePorts finds ports that nobody has now at any of the hosts, neither of UDP nor of TCP.
func freePorts(t *testing.T, hosts []string, n int) (out []uint16) {
	t.Helper()
	var held []io.Closer
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for tries := 0; len(out) < n; tries++ {
		ln, err := net.Listen("tcp", net.JoinHostPort(hosts[0], "0"))
		if err != nil || tries > 1000 {
			t.Fatalf("%d tries: %v", tries, err)
		}
		held = append(held, ln)
		port := ln.Addr().(*net.TCPAddr).AddrPort().Port()
		free := true
		for i, host := range hosts {
			at := net.JoinHostPort(host, fmt.Sprint(port))
			u, err := net.ListenPacket("udp", at)
			if err == nil {
				held = append(held, u)
			}
			free = free && err == nil
			if i == 0 {
				continue
			}
			l, err := net.Listen("tcp", at)
			if err == nil {
				held = append(held, l)
			}
			free = free && err == nil
		}
		if free {
			out = append(out, port)
		}
	}
	return out
}

// listenerFor is where an element finds the balancer.
func listenerFor(e *Engine) func(u *ua) netip.AddrPort {
	return func(u *ua) netip.AddrPort {
		for _, l := range e.Status().Services[0].Listeners {
			if l.Transport == u.tr && l.Addr.Addr().Is4() == u.addr.Addr().Is4() {
				return l.Addr
			}
		}
		u.t.Fatal("no listener")
		return netip.AddrPort{}
	}
}

// Every pair of transports and families, called from both sides, hung up from both sides.
func TestX1_X7_E7_Bridges(t *testing.T) {
	for _, ct := range []sip.Transport{sip.UDP, sip.TCP, sip.TLS} {
		for _, st := range []sip.Transport{sip.UDP, sip.TCP, sip.TLS} {
			for _, hosts := range [][2]string{{"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"127.0.0.1", "::1"}, {"::1", "127.0.0.1"}} {
				t.Run(fmt.Sprintf("%s %s to %s %s", ct, hosts[0], st, hosts[1]), func(t *testing.T) {
					client, server := newUA(t, ct, hosts[0]), newUA(t, st, hosts[1])
					e, _ := start(t, streamSet(t, []string{"127.0.0.1", "::1"}, st, server.addr))
					lb := listenerFor(e)
					for i, serverHangsUp := range []bool{false, true} {
						call(client, server, lb, lb, "sip:bob@example.com", fmt.Sprint("in", i), serverHangsUp)
					}
					for i, clientHangsUp := range []bool{false, true} {
						call(server, client, lb, lb, client.contact(), fmt.Sprint("out", i), clientHangsUp)
					}
				})
			}
		}
	}
}

// What is no SIP, or not on the transport that it came by, is closed with a reason, and others are not disturbed.
func TestP7_StreamConfusion(t *testing.T) {
	server := newUA(t, sip.TCP, "127.0.0.1")
	e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.TCP, server.addr))
	plain, secure := listenerFor(e)(&ua{tr: sip.TCP, addr: server.addr}), listenerFor(e)(&ua{tr: sip.TLS, addr: server.addr})
	reason := func(a netip.AddrPort, r transport.Reason) uint64 {
		for _, l := range e.Status().Services[0].Listeners {
			if l.Addr == a && l.Conns != nil {
				return l.Conns.Closed[r]
			}
		}
		return 0
	}
	for _, c := range []struct {
		at     netip.AddrPort
		send   string
		answer string
		reason transport.Reason
	}{
		{plain, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "", transport.TLSOnPlain},
		{secure, "OPTIONS sip:a SIP/2.0\r\n", "", transport.NotTLS},
		{plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", transport.HTTP},
		{plain, "\x00\x01\x02", "", transport.FramingLost},
		{plain, "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP 1.2.3.4;branch=z9hG4bKx\r\nCall-ID: 1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\n" +
			"CSeq: 1 OPTIONS\r\nContent-Length: 2147483648\r\n\r\n", "SIP/2.0 513 ", transport.FramingLost},
		{plain, "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP 1.2.3.4;branch=z9hG4bKx\r\nCall-ID: 1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\n" +
			"CSeq: 1 OPTIONS\r\n\r\n", "SIP/2.0 400 Missing Content-Length", transport.FramingLost},
	} {
		before := reason(c.at, c.reason)
		conn, err := net.Dial("tcp", c.at.String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, c.send)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := io.ReadAll(conn)
		if !strings.HasPrefix(string(got), c.answer) || err != nil && !strings.Contains(err.Error(), "reset") || c.answer == "" && len(got) > 0 {
			t.Errorf("%q got %q, %v", c.send, got, err)
		}
		conn.Close()
		for end := time.Now().Add(5 * time.Second); reason(c.at, c.reason) != before+1; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%q: not counted as %s", c.send, c.reason)
				break
			}
		}
	}
	client := newUA(t, sip.TCP, "127.0.0.1")
	call(client, server, listenerFor(e), listenerFor(e), "sip:bob@example.com", "after", true)
}

// A ping between messages gets its pong at once; an empty line gets nothing (RFC 5626 3.5.1).
func TestO5_Pong(t *testing.T) {
	server := newUA(t, sip.UDP, "127.0.0.1")
	e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.UDP, server.addr))
	conn, err := net.Dial("tcp", listenerFor(e)(&ua{tr: sip.TCP, addr: server.addr}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for _, piece := range []string{"\r\n\r\n", "\r\nOPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bKx\r\nCall-ID: 1\r\nFrom: <sip:a@b>;tag=1\r\n" +
		"To: <sip:b@b>\r\nMax-Forwards: 0\r\nCSeq: 1 OPTIONS\r\nl: 0\r\n\r\n"} {
		io.WriteString(conn, piece)
		want := "\r\n"
		if len(piece) > 4 {
			want = "SIP/2.0 200"
		}
		b := make([]byte, len(want))
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != want {
			t.Fatalf("%q got %q, %v", piece, b, err)
		}
	}
}

// The stream of a client is cut at every octet.
func TestStreamCutAnywhere(t *testing.T) {
	server, client := newUA(t, sip.UDP, "127.0.0.1"), newUA(t, sip.TCP, "127.0.0.1")
	e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.UDP, server.addr))
	conn := client.to(listenerFor(e)(client))
	conn.(*net.TCPConn).SetNoDelay(true)
	text := strings.ReplaceAll("\n\n"+client.request("OPTIONS", "sip:b@example.com", "a", "", "cut", 1, nil), "\n", "\r\n")
	for i := range len(text) {
		io.WriteString(conn, text[:i])
		if i%16 == 0 {
			time.Sleep(100 * time.Microsecond) // that both parts are read for themselves is likely so
		}
		io.WriteString(conn, text[i:])
		if h := server.recvAny("OPTIONS"); len(values(h.text, "Call-ID")) != 1 {
			t.Fatal(h.text)
		}
	}
}

// A server that takes connections and never reads loses them; calls of other servers go on.
func TestServerNeverReads(t *testing.T) {
	good := newUA(t, sip.TCP, "127.0.0.1")
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	set := streamSet(t, []string{"127.0.0.1"}, sip.TCP, good.addr, deaf.Addr().(*net.TCPAddr).AddrPort())
	e, err := Start(Config{Set: set, Revision: 1, Strict: true, Secret: []byte("a secret for tests"), Workers: 2, Stream: transport.StreamOptions{MaxQueue: 200_000}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	client := newUA(t, sip.UDP, "127.0.0.1")
	lb := listenerFor(e)
	go func() {
		for {
			select {
			case h := <-good.in:
				if strings.HasPrefix(h.text, "OPTIONS") {
					good.answer(h, "200 OK")
				}
			case <-good.done:
				return
			}
		}
	}()
	filler := "X: " + strings.Repeat("x", 8000) + "\n"
	slow := func() (n uint64) {
		for _, l := range e.Status().Services[0].Listeners {
			if l.Conns != nil {
				n += l.Conns.Closed[transport.SlowPeer]
			}
		}
		return n
	}
	answered := 0
	for i := 0; slow() == 0 && i < 20000; i++ {
		client.send(lb(client), strings.Replace(client.request("OPTIONS", "sip:b@example.com", "a", "", fmt.Sprint("deaf", i), 1, nil), "Contact:", filler+"Contact:", 1))
		select {
		case h := <-client.in:
			if strings.HasPrefix(h.text, "SIP/2.0 200") {
				answered++
			}
		case <-time.After(2 * time.Millisecond):
		}
	}
	if slow() == 0 || answered == 0 {
		t.Errorf("%d connections lost for not reading, %d requests answered by the other server", slow(), answered)
	}
}

// The server is gone while it is called: the request goes to another at once, and with none left the client hears of it.
func TestStreamServerGone(t *testing.T) {
	a := newUA(t, sip.TCP, "127.0.0.1")
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	dead := gone.Addr().(*net.TCPAddr).AddrPort()
	client := newUA(t, sip.TCP, "127.0.0.1")
	e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.TCP, dead, a.addr))
	lb := listenerFor(e)
	for i := range 20 {
		client.send(lb(client), client.request("OPTIONS", "sip:b@example.com", "a", "", fmt.Sprint("gone", i), 1, nil))
		a.answer(a.recv("OPTIONS"), "200 OK")
		client.recv("SIP/2.0 200")
	}
	if err := e.Apply(streamSet(t, []string{"127.0.0.1"}, sip.TCP, dead), next(e)); err != nil {
		t.Fatal(err)
	}
	client.send(lb(client), client.request("OPTIONS", "sip:b@example.com", "a", "", "none", 1, nil))
	client.recv("SIP/2.0 503")
}
