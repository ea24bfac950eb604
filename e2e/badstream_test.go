package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

const options = "OPTIONS sip:a@example.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx\r\nMax-Forwards: 70\r\nCall-ID: bad\r\n" +
	"From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCSeq: 1 OPTIONS\r\n"

// What is not SIP, not on its transport or never ends is refused or closed with a reason that is counted, while calls over
// TCP and TLS go on.
func TestBadStreams(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in speaks UDP")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	lab.Require(t, "sipp", "openssl")
	server := lab.Addr(t, "127.0.0.11")
	lab.StartSIPp(t, lab.SIPpSpec{Name: "server", Scenario: "server", Local: server, Transport: "t1"})
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Secure: lab.Addr(t, "127.0.0.1"), Cert: lab.MakeCert(t, nil, time.Now().Add(time.Hour), "example.test"),
		Pools: []lab.EdgePool{{Name: "pool", Over: "tcp", Servers: []lab.PoolServer{{Addr: server}}}}}
	b := e.Start(t, lab.Setup{})
	var callers []*lab.SIPp
	for transport, to := range map[string]netip.AddrPort{"t1": e.Listen, "l1": e.Secure} {
		callers = append(callers, lab.StartSIPp(t, lab.SIPpSpec{Name: transport, Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: to, Calls: 1_000_000, Rate: 30,
			Transport: transport, Hold: 50 * time.Millisecond}))
	}
	slow := startDrips(t, e)
	for _, c := range []struct {
		name   string
		at     netip.AddrPort
		send   string
		answer string
		reason string
	}{
		{"plain SIP at the port of TLS", e.Secure, options + "Content-Length: 0\r\n\r\n", "", "not_tls"},
		{"TLS at the plain port", e.Listen, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "", "tls_on_plain"},
		{"HTTP", e.Listen, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n", "", "http"},
		{"HTTP at the port of TLS", e.Secure, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n", "", "not_tls"},
		{"2 GB announced", e.Listen, options + "Content-Length: 2147483648\r\n\r\n", "SIP/2.0 513 ", "framing_lost"},
		{"no Content-Length", e.Listen, options + "\r\n", "SIP/2.0 400 ", "framing_lost"},
		{"a negative Content-Length", e.Listen, options + "Content-Length: -1\r\n\r\n", "SIP/2.0 400 ", "framing_lost"},
		{"noise", e.Listen, "\x00\xff\x01 nothing \x80\r\n\r\n", "", "framing_lost"},
		{"a head without end", e.Listen, options + "X: " + strings.Repeat("x", 200_000), "", "framing_lost"},
	} {
		before := b.Sum("connections_closed_total", `reason="`+c.reason+`"`)
		conn, _ := dialEdge(t, "127.0.0.3", c.at, false)
		conn.SetDeadline(time.Now().Add(lab.Patience))
		io.WriteString(conn, c.send) // the end may come before all is written
		got, err := io.ReadAll(conn)
		if errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: not closed: %v", c.name, err)
		}
		if !strings.HasPrefix(string(got), c.answer) {
			t.Errorf("%s: answered %q, want %q", c.name, got, c.answer)
		}
		lab.Until(t, c.name+" is counted as "+c.reason, func() bool { return b.Sum("connections_closed_total", `reason="`+c.reason+`"`) == before+1 })
	}
	before := b.Sum("connections_closed_total", `reason="handshake_failed"`)
	renegotiate(t, e)
	lab.Until(t, "the renegotiation is counted", func() bool { return b.Sum("connections_closed_total", `reason="handshake_failed"`) == before+1 })
	slow.finish(b)
	for _, caller := range callers {
		if tally := caller.Quit(); tally.Failed > 0 || tally.Succeeded < 100 {
			t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
		}
	}
}

// renegotiate has OpenSSL ask for another handshake within TLS 1.2.
func renegotiate(t *testing.T, e *lab.Edge) {
	t.Helper()
	cmd := exec.Command("openssl", "s_client", "-connect", e.Secure.String(), "-tls1_2")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(lab.Patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	io.WriteString(in, "R\n")
	out, err := cmd.CombinedOutput() // it ends when the connection does
	if !late.Stop() || !strings.Contains(string(out), "RENEGOTIATING") || err == nil {
		t.Errorf("renegotiation: %v\n%s", err, out)
	}
}

// drips are connections that send one octet a second.
type drips struct {
	t     *testing.T
	plain []net.Conn // a SIP message, octet by octet
	tls   []net.Conn // a handshake
	begun time.Time
}

// dripping is how many connections of each kind there are.
const dripping = 50

func startDrips(t *testing.T, e *lab.Edge) *drips {
	t.Helper()
	d := &drips{t: t, begun: time.Now()}
	for range dripping {
		c, _ := dialEdge(t, "127.0.0.4", e.Listen, false)
		d.plain = append(d.plain, c)
		c, _ = dialEdge(t, "127.0.0.4", e.Secure, false)
		d.tls = append(d.tls, c)
	}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		hello := append([]byte{0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3}, make([]byte, 300)...)
		for n := 0; ; n++ {
			for i := range dripping { // those that were closed take no more
				d.plain[i].Write([]byte{options[n%len(options)]})
				d.tls[i].Write([]byte{hello[n%len(hello)]})
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return d
}

// finish waits until all are closed: handshakes after 10 s, messages after 30.
func (d *drips) finish(b *lab.Balancer) {
	d.t.Helper()
	for _, c := range append(d.tls, d.plain...) {
		c.SetReadDeadline(d.begun.Add(time.Minute))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			d.t.Fatalf("a connection with an octet a second lives on after %v", time.Since(d.begun))
		}
	}
	if took := time.Since(d.begun); took < 25*time.Second {
		d.t.Errorf("slow messages were given up after %v", took)
	}
	for _, reason := range []string{"read_timeout", "handshake_timeout"} {
		if n := b.Sum("connections_closed_total", `reason="`+reason+`"`); n != dripping {
			d.t.Errorf("%g connections are counted as %s, of %d", n, reason, dripping)
		}
	}
}

// Servers whose certificate has expired, names somebody else, or is signed by nobody who is trusted get no message, which
// is counted; calls go to the one that is right (RFC 5922).
func TestBadCertificatesOfServers(t *testing.T) {
	t.Parallel()
	lab.Require(t, "sipp")
	ends := time.Now().Add(time.Hour)
	ca := lab.MakeCert(t, nil, ends, "authority")
	certs := map[string]lab.Cert{
		"right":   lab.MakeCert(t, &ca, ends, "right.example.test"),
		"expired": lab.MakeCert(t, &ca, time.Now().Add(-time.Hour), "expired.example.test"),
		"other":   lab.MakeCert(t, &ca, ends, "somebody.example.test"),
		"nobody":  lab.MakeCert(t, nil, ends, "nobody.example.test"),
	}
	pool := lab.EdgePool{Name: "pool", Over: "tls", Fields: "pki_profile_ref: trusted, retry_budget_per_second: 1000"}
	servers := make(map[string]*lab.Callee)
	for name, cert := range certs {
		s := lab.StartCallee(t, "tls", lab.Addr(t, fmt.Sprintf("127.0.0.%d", 11+len(servers))), &cert.TLS)
		s.Do(lab.Conduct{Keep: true})
		servers[name] = s
		pool.Servers = append(pool.Servers, lab.PoolServer{Addr: s.Addr, Name: name + ".example.test"})
	}
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Secure: lab.Addr(t, "127.0.0.1"), Cert: certs["right"], Pools: []lab.EdgePool{pool},
		More: "PKIProfile:\n- name: trusted\n  ca_certs:\n  - certificate: |\n" + strings.ReplaceAll("      "+strings.TrimSpace(string(ca.PEM)), "\n", "\n      ") + "\n"}
	b := e.Start(t, lab.Setup{})
	const calls = 200
	tally := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: b.Addr, Calls: calls, Rate: 100,
		T1: lab.Patient}).Finish(loadLimit)
	if tally.Failed > 2*mayBeLate { // as they wait for connections, too
		t.Errorf("SIPp: %+v", tally)
	}
	for name, s := range servers {
		if n := s.Calls(); name == "right" && n < tally.Succeeded || name != "right" && n != 0 {
			t.Errorf("the server whose certificate is %s got %d calls", name, n)
		}
		if n := len(s.Messages()); name != "right" && n != 0 {
			t.Errorf("the server whose certificate is %s got %d messages", name, n)
		}
	}
	if n := b.Sum("connections_closed_total", `reason="bad_certificate"`); n < 6 { // two to each
		t.Errorf("%g connections ended for bad certificates", n)
	}
}
