package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// invitesBody looks like the end of a message, and like another.
const invitesBody = "v=0\r\n\r\nnot the end\r\nOPTIONS sip:x SIP/2.0\r\n\r\n"

// wholeCall is what a client writes in a call: a keep-alive, INVITE with a body, another keep-alive, ACK and BYE, and a last
// one. Without Record-Route it needs to know nothing of the answers.
func wholeCall(id int, from netip.AddrPort, over string) string {
	head := func(method string, cseq int, tag string) string {
		return fmt.Sprintf("%[1]s sip:b@example.test SIP/2.0\r\nVia: SIP/2.0/%[2]s %[3]s;branch=z9hG4bK-%[1]s-%05[4]d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:a@example.test>;tag=a\r\nTo: <sip:b@example.test>%[5]s\r\nCall-ID: cut-%05[4]d\r\nCSeq: %[6]d %[1]s\r\n"+
			"Contact: <sip:a@%[3]s;transport=%[2]s>\r\n", method, over, from, id, tag, cseq)
	}
	return "\r\n\r\n" + head("INVITE", 1, "") + fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(invitesBody)) + invitesBody +
		"\r\n\r\n" + head("ACK", 1, ";tag=callee") + "Content-Length: 0\r\n\r\n" + head("BYE", 2, ";tag=callee") + "l: 0\r\n\r\n\r\n\r\n"
}

// cutter is a connection that keeps back what is beyond a place of each write.
type cutter struct {
	net.Conn
	at   int // 0: nothing is kept back
	rest []byte
}

func (c *cutter) Write(b []byte) (int, error) {
	if c.at == 0 || c.at >= len(b) {
		return c.Conn.Write(b)
	}
	c.rest = bytes.Clone(b[c.at:])
	n, err := c.Conn.Write(b[:c.at])
	return n + len(c.rest), err
}

func addrOf(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// startCut is the balancer before a server over TCP that keeps what comes.
func startCut(t *testing.T) (*lab.Edge, *lab.Balancer, *lab.Callee) {
	t.Helper()
	server := lab.StartCallee(t, "tcp", lab.Addr(t, "127.0.0.11"), nil)
	server.Do(lab.Conduct{Keep: true})
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Secure: lab.Addr(t, "127.0.0.1"), Cert: lab.MakeCert(t, nil, time.Now().Add(time.Hour), "example.test"),
		Profile: "record_route: false", Pools: []lab.EdgePool{{Name: "pool", Over: "tcp", Servers: []lab.PoolServer{{Addr: server.Addr}}}}}
	return e, e.Start(t, lab.Setup{}), server
}

// dialEdge connects to a port of the balancer, with pieces cut at what cutter says.
func dialEdge(t *testing.T, host string, to netip.AddrPort, secure bool) (net.Conn, *cutter) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	cut := &cutter{Conn: c}
	if !secure {
		return cut, cut
	}
	s := tls.Client(cut, &tls.Config{InsecureSkipVerify: true})
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	return s, cut
}

var (
	ownVia  = regexp.MustCompile(`^([^\r]*\r\n)Via: [^\r]*\r\n`)
	numbers = regexp.MustCompile(`cut-\d{5}|-\d{5}\r\n|127\.0\.0\.2:\d+`)
)

var callNumber = regexp.MustCompile(`cut-\d{5}`)

// likeOthers is a message without what is the call's or the connection's own.
func likeOthers(m lab.Message) string {
	return numbers.ReplaceAllString(ownVia.ReplaceAllString(string(m.Data), "$1"), "N")
}

// Streams of clients are cut in two at every octet, of messages, bodies, keep-alives and TLS records: the server gets the
// same as from one that is not, in the same order, and the client its answers.
func TestStreamCut(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"TCP", "TLS"} {
		t.Run(over, func(t *testing.T) { cutStreams(t, over) })
	}
}

func cutStreams(t *testing.T, over string) {
	e, _, server := startCut(t)
	to := e.Listen
	if over == "TLS" {
		to = e.Secure
	}
	length := len(wholeCall(0, to, over))
	if over == "TLS" {
		length += 22 // header, type and tag of the record
	}
	conns, cuts := make([]net.Conn, length), make([]*cutter, length)
	for at := range length {
		conns[at], cuts[at] = dialEdge(t, "127.0.0.2", to, over == "TLS")
		cuts[at].at = at
		if _, err := io.WriteString(conns[at], wholeCall(at, addrOf(conns[at].LocalAddr()), over)); err != nil {
			t.Fatalf("cut at %d: %v", at, err)
		}
	}
	lab.AwaitRead(t, to)
	for at, c := range cuts {
		if _, err := c.Conn.Write(c.rest); err != nil {
			t.Fatalf("cut at %d: %v", at, err)
		}
	}
	for at, c := range conns {
		c.SetReadDeadline(time.Now().Add(lab.Patience))
		answers := bufio.NewReader(c)
		for final := 0; final < 2; { // of INVITE and BYE
			m, err := lab.ReadStream(answers)
			if err != nil {
				t.Fatalf("cut at %d: %v", at, err)
			}
			if bytes.HasPrefix(m, []byte("SIP/2.0 200 ")) {
				final++
			}
		}
	}
	got := make(map[string][]string)
	for _, m := range server.Messages() {
		got[m.CallID] = append(got[m.CallID], likeOthers(m))
	}
	whole := got["cut-00000"]
	if len(whole) != 3 || !strings.HasSuffix(whole[0], "\r\n\r\n"+invitesBody) {
		t.Fatalf("of the stream that was not cut the server got %q", whole)
	}
	for at := range length {
		if parts := got[fmt.Sprintf("cut-%05d", at)]; !slices.Equal(parts, whole) {
			t.Fatalf("cut at %d of %d the server got\n%s\nand whole\n%s", at, length, strings.Join(parts, ""), strings.Join(whole, ""))
		}
	}
	t.Logf("cut at each of %d octets", length)
}

// Streams of servers are cut in two at every octet of their answers: the client gets the same as from one that is not.
func TestServersStreamCut(t *testing.T) {
	t.Parallel()
	const servers = 750 // no fewer than there are octets in a 180 and a 200
	every := lab.StartCallee(t, "tcp", lab.Addr(t, "0.0.0.0"), nil)
	every.Hold()
	pool := lab.EdgePool{Name: "pool", Over: "tcp", Fields: "lb_algorithm: round-robin"}
	for i := range servers {
		a := netip.AddrFrom4([4]byte{127, 0, byte(2 + i/250), byte(1 + i%250)})
		pool.Servers = append(pool.Servers, lab.PoolServer{Addr: netip.AddrPortFrom(a, every.Addr.Port())})
	}
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Profile: "record_route: false", Pools: []lab.EdgePool{pool}}
	b := e.Start(t, lab.Setup{})
	lab.Until(t, "there are connections to all servers", func() bool { return b.Sum("connections_open") == 2*servers })
	conn, _ := dialEdge(t, "127.0.0.2", e.Listen, false)
	from := addrOf(conn.LocalAddr())
	for n := range servers {
		invite, _, _ := strings.Cut(wholeCall(n, from, "TCP"), "ACK ")
		io.WriteString(conn, invite)
	}
	lab.Until(t, "each server has a call", func() bool { return len(every.Holding()) == servers })
	cuts, length := every.Holding(), 0
	for at, h := range cuts {
		length = max(length, h.Waiting())
		if err := h.Send(at); err != nil {
			t.Fatal(err)
		}
	}
	lab.AwaitReadFrom(t, every.Addr)
	for _, h := range cuts {
		if err := h.Send(length); err != nil {
			t.Fatal(err)
		}
	}
	conn.SetReadDeadline(time.Now().Add(lab.Patience))
	answers, got := bufio.NewReader(conn), make(map[string]string)
	for range 2 * servers {
		m, err := lab.ReadStream(answers)
		if err != nil {
			t.Fatalf("after %d answers: %v", len(got), err)
		}
		id := callNumber.FindString(string(m))
		got[id] += numbers.ReplaceAllString(string(m), "N")
	}
	whole := got["cut-00000"]
	if !strings.HasPrefix(whole, "SIP/2.0 180 ") || !strings.Contains(whole, "\r\n\r\nSIP/2.0 200 ") || length > servers {
		t.Fatalf("%d octets were sent, of which came %q", length, whole)
	}
	for id, text := range got {
		if text != whole {
			t.Fatalf("the answers of %s came as\n%s\nand others'\n%s", id, text, whole)
		}
	}
	t.Logf("cut at each of %d octets", length)
}

// Connections that end at every octet, by a FIN or a reset: what was whole arrives, of the rest nothing, and of the
// connections only the counters are left.
func TestStreamEndsAnywhere(t *testing.T) {
	t.Parallel()
	e, b, server := startCut(t)
	first, _ := dialEdge(t, "127.0.0.2", e.Listen, false)
	io.WriteString(first, wholeCall(99999, addrOf(first.LocalAddr()), "TCP"))
	lab.Until(t, "a call before", func() bool { return len(server.Messages()) == 3 })
	const idle = 3 // the one before, and two to the server
	lab.Until(t, "both connections to the server", func() bool { return b.Sum("connections_open") == idle })
	routines := b.Metrics()["go_goroutines"]
	length := len(wholeCall(0, e.Listen, "TCP"))
	var resets []net.Conn
	for at := range length {
		c, cut := dialEdge(t, "127.0.0.2", e.Listen, false)
		io.WriteString(c, wholeCall(at, addrOf(c.LocalAddr()), "TCP")[:at])
		if at%2 == 0 {
			c.Close()
			continue
		}
		cut.Conn.(*net.TCPConn).SetLinger(0)
		resets = append(resets, c)
	}
	lab.AwaitRead(t, e.Listen) // a reset takes away what has not been read
	for _, c := range resets {
		c.Close()
	}
	lab.Until(t, "the connections are gone", func() bool { return b.Sum("connections_open") == idle })
	closed := b.Sum("connections_closed_total", `reason="peer_closed"`) + b.Sum("connections_closed_total", `reason="peer_reset"`)
	if closed != float64(length) {
		t.Errorf("%g connections ended, by the counters, of %d", closed, length)
	}
	whole := make(map[string][]string)
	for _, m := range server.Messages() {
		whole[m.CallID] = append(whole[m.CallID], likeOthers(m))
	}
	for at := range length {
		text := wholeCall(at, e.Listen, "TCP")[:at]
		want := 0 // messages that are there to their last octet
		for _, end := range []string{invitesBody, "Content-Length: 0\r\n\r\n", "l: 0\r\n\r\n"} {
			want += strings.Count(text, end)
		}
		got := whole[fmt.Sprintf("cut-%05d", at)]
		if len(got) != want || !slices.Equal(got, whole["cut-99999"][:min(want, 3)]) {
			t.Fatalf("of %q the server got %q", text, got)
		}
	}
	lab.Until(t, "nothing runs for them", func() bool { return b.Metrics()["go_goroutines"] <= routines })
}
