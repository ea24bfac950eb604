package e2e

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// neighbour is a socket beside the balancer that says word for word what a test gives it.
type neighbour struct {
	*sinks
	conn *net.UDPConn
	addr netip.AddrPort
}

func (s *sinks) neighbour(host string) *neighbour {
	s.t.Helper()
	addr := lab.Addr(s.t, host)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return &neighbour{sinks: s, conn: conn, addr: addr}
}

// write fills {lb} and {me} in and turns line ends into CRLF; the empty line and Content-Length: 0 are added.
func (n *neighbour) write(text string) []byte {
	text = strings.NewReplacer("{lb}", n.balancer.Addr.String(), "{me}", n.addr.String(), "\n", "\r\n").Replace(strings.TrimSpace(text))
	return []byte(text + "\r\nContent-Length: 0\r\n\r\n")
}

func (n *neighbour) send(text string) {
	n.t.Helper()
	if _, err := n.conn.WriteToUDPAddrPort(n.write(text), n.balancer.Addr); err != nil {
		n.t.Fatal(err)
	}
}

// awaits returns the first message of the Call-ID from the balancer to one of the addresses that has the word (method
// of a request, status code of a response).
func (n *neighbour) awaits(id, word string, at ...netip.AddrPort) lab.Message {
	n.t.Helper()
	var found lab.Message
	n.wire.Await(word+" of "+id, func(p lab.Packet) bool {
		m, ok := lab.ReadMessage(p)
		found = m
		return ok && p.Src == n.balancer.Addr && slices.Contains(at, p.Dst) && m.CallID == id && m.Word() == word
	})
	return found
}

// server is the one of ours that a message went to.
func (n *neighbour) server(m lab.Message) *lab.Answerer {
	return n.servers[slices.Index(n.addrs, m.Dst)]
}

// Header fields of the IP Multimedia Subsystem that pass a balancer unchanged (TS 24.229 5.7).
const imsHeaders = `P-Charging-Vector: icid-value="x;y";orig-ioi=home1.test
P-Asserted-Identity: "A, B" <sip:a@home1.test>, <tel:+1>
P-Served-User: <sip:a@home1.test>;sescase=orig;regstate=reg
P-Access-Network-Info: 3GPP-UTRAN-TDD;utran-cell-id-3gpp=1
Accept-Contact: *;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"
Session-ID: 7aff65a9a8e5eb1eb4f1b1f6b8e4b2d1
History-Info: <sip:b@home1.test>;index=1`

// An S-CSCF calls an application server by two Routes: the balancer's, and its own with the original dialog identifier.
// The server gets the second untouched, and what it sends on by it goes back to the S-CSCF, not into the pool. When the
// call comes again with another identifier (a spiral) it reaches the same server.
func TestServiceControl(t *testing.T) {
	for name, routes := range map[string]string{
		"two lines": "Route: <sip:{lb};lr>\nRoute: <sip:odi_1ca5@{me};lr;s=1>;x=\"a,b\"",
		"one line":  "Route: <sip:{lb};lr>, <sip:odi_1ca5@{me};lr;s=1>;x=\"a,b\"",
	} {
		t.Run(name, func(t *testing.T) {
			s := startSinks(t, lab.Setup{}, true)
			cscf := s.neighbour("127.0.0.3")
			const id = "isc-1"
			invite := func(branch, odi string) string {
				return "INVITE sip:b@home1.test SIP/2.0\nVia: SIP/2.0/UDP {me};branch=z9hG4bK" + branch + "\nMax-Forwards: 68\n" +
					strings.Replace(routes, "odi_1ca5", odi, 1) + "\n" + imsHeaders + "\nFrom: <sip:a@home1.test>;tag=1\nTo: <sip:b@home1.test>\n" +
					"Call-ID: " + id + "\nCSeq: 1 INVITE\nContact: <sip:{me}>"
			}
			cscf.send(invite("1", "odi_1ca5"))
			got := cscf.awaits(id, "INVITE", s.addrs...)
			odi := "<sip:odi_1ca5@" + cscf.addr.String() + `;lr;s=1>;x="a,b"`
			if routes := got.Headers("Route"); !slices.Equal(routes, []string{odi}) {
				t.Errorf("Route %q, want %q\n%s", routes, odi, got.Data)
			}
			if want := strings.ReplaceAll(imsHeaders, "\n", "\r\n"); !bytes.Contains(got.Data, []byte("\r\n"+want+"\r\n")) {
				t.Errorf("header fields of the IMS did not pass unchanged:\n%s", got.Data)
			}
			// The server sends the call on, as a proxy does.
			server := cscf.server(got)
			server.Send(t, cscf.write("INVITE sip:b@home1.test SIP/2.0\nVia: SIP/2.0/UDP "+server.Addr.String()+";branch=z9hG4bKas\n"+
				"Max-Forwards: 66\nRoute: "+odi+"\nFrom: <sip:a@home1.test>;tag=1\nTo: <sip:b@home1.test>\nCall-ID: "+id+"\nCSeq: 1 INVITE"), s.balancer.Addr)
			back := cscf.awaits(id, "INVITE", cscf.addr)
			if routes := back.Headers("Route"); !slices.Equal(routes, []string{odi}) {
				t.Errorf("on the way back Route %q, want %q", routes, odi)
			}
			// The next turn of the spiral.
			cscf.send(invite("2", "odi_2ca5"))
			s.wire.Await("the spiral at a server", func(p lab.Packet) bool {
				return slices.Contains(s.addrs, p.Dst) && bytes.Contains(p.Data, []byte("odi_2ca5"))
			})
			for _, m := range s.forwarded(id) {
				if m.Dst != got.Dst {
					t.Errorf("the call went to two servers\n%s", s.wire.Names.Ladder(s.wire.Calls().ByID[id]))
				}
			}
		})
	}
}

// A REGISTER by a third party (the S-CSCF's own, about a user) gets neither Record-Route nor Path.
func TestThirdPartyRegister(t *testing.T) {
	s := startSinks(t, lab.Setup{}, true)
	cscf := s.neighbour("127.0.0.3")
	cscf.send("REGISTER sip:as.home1.test SIP/2.0\nVia: SIP/2.0/UDP {me};branch=z9hG4bK1\nMax-Forwards: 70\nRoute: <sip:{lb};lr>\n" +
		"From: <sip:scscf.home1.test>;tag=1\nTo: <sip:a@home1.test>\nCall-ID: third-1\nCSeq: 1 REGISTER\nContact: <sip:{me}>\nExpires: 600")
	got := cscf.awaits("third-1", "REGISTER", s.addrs...)
	for _, name := range []string{"Record-Route", "Path", "Route"} {
		if value := got.Header(name); value != "" {
			t.Errorf("%s: %s", name, value)
		}
	}
}

// Phones that write a Via nobody can answer to (twinkle: 0.0.0.0) are answered where they are.
func TestAnswersReachTheSource(t *testing.T) {
	s := startSinks(t, lab.Setup{}, false)
	phone := s.neighbour("127.0.0.4")
	_, port, _ := strings.Cut(phone.addr.String(), ":")
	for id, via := range map[string]string{
		"rport":         "0.0.0.0;rport;branch=z9hG4bK1",
		"other-port":    "0.0.0.0:1;rport;branch=z9hG4bK2",
		"sent-by-port":  "0.0.0.0:" + port + ";branch=z9hG4bK3",
		"name":          "phone.invalid:" + port + ";branch=z9hG4bK4",
		"wrong-address": "192.0.2.1:" + port + ";received=192.0.2.2;branch=z9hG4bK5",
	} {
		phone.send("MESSAGE sip:x@{lb} SIP/2.0\nVia: SIP/2.0/UDP " + via + "\nMax-Forwards: 70\nFrom: <sip:p@{me}>;tag=1\nTo: <sip:x@{lb}>\n" +
			"Call-ID: source-" + id + "\nCSeq: 1 MESSAGE")
		phone.awaits("source-"+id, "200", phone.addr)
	}
}

// A request within a dialog whose Request-URI is no address (GRUU, RFC 5627) follows the route to the dialog's server,
// also under another Call-ID hash.
func TestDialogFollowsTheRoute(t *testing.T) {
	s := startSinks(t, lab.Setup{}, false)
	phone := s.neighbour("127.0.0.4")
	for _, id := range []string{"gruu-1", "gruu-2", "gruu-3", "gruu-4"} {
		head := "Max-Forwards: 70\nFrom: <sip:p@{me}>;tag=1\nCall-ID: " + id + "\nContact: <sip:{me}>\n"
		phone.send("INVITE sip:x@example.test SIP/2.0\nVia: SIP/2.0/UDP {me};branch=z9hG4bK1" + id + "\n" + head + "To: <sip:x@example.test>\nCSeq: 1 INVITE")
		answer := phone.awaits(id, "200", phone.addr)
		routes := answer.Headers("Record-Route")
		slices.Reverse(routes)
		if len(routes) == 0 {
			t.Fatalf("no Record-Route in\n%s", answer.Data)
		}
		for n, method := range []string{"ACK", "BYE"} {
			phone.send(method + " sip:x@example.test;gr=urn:uuid:f81d4fae SIP/2.0\nVia: SIP/2.0/UDP {me};branch=z9hG4bK2" + method + id + "\n" + head +
				"Route: " + strings.Join(routes, ", ") + "\nTo: " + answer.Header("To") + "\nCSeq: " + []string{"1 ACK", "2 BYE"}[n])
		}
		phone.awaits(id, "BYE", s.addrs...)
		for _, m := range s.forwarded(id) {
			if m.Dst != s.forwarded(id)[0].Dst || m.Method() != "INVITE" && m.Header("Route") != "" {
				t.Errorf("not to the dialog's server, or with the balancer's Route\n%s%s", s.wire.Names.Ladder(s.wire.Calls().ByID[id]), m.Data)
			}
		}
	}
}

// Keep-alives are no messages: CRLF and other short things are ignored, a STUN Binding Request (RFC 5626 8) is answered
// with where it came from.
func TestKeepAlives(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in knows no STUN")
	}
	s := startSinks(t, lab.Setup{}, true)
	phone := s.neighbour("127.0.0.4")
	for _, data := range []string{"\r\n\r\n", "\r\n", "\x00\x00\x00\x00", " ", ""} {
		phone.conn.WriteToUDPAddrPort([]byte(data), s.balancer.Addr)
	}
	request := make([]byte, 20)
	binary.BigEndian.PutUint16(request, 1)
	binary.BigEndian.PutUint32(request[4:], 0x2112A442)
	copy(request[8:], "twelve bytes")
	phone.conn.WriteToUDPAddrPort(request, s.balancer.Addr)
	phone.conn.SetReadDeadline(time.Now().Add(lab.Patience))
	buf := make([]byte, 1500)
	n, err := phone.conn.Read(buf)
	if err != nil {
		t.Fatalf("no answer to STUN: %v", err)
	}
	// XOR-MAPPED-ADDRESS, RFC 8489 14.2: type, length 8, zero, family 1, port and address masked with the cookie.
	want := binary.BigEndian.AppendUint64(nil, 0x0020_0008_0001_0000|uint64(phone.addr.Port()^0x2112))
	ip := phone.addr.Addr().As4()
	want = binary.BigEndian.AppendUint32(want, binary.BigEndian.Uint32(ip[:])^0x2112A442)
	if answer := buf[:n]; !bytes.HasPrefix(answer, []byte{1, 1}) || !bytes.Equal(answer[4:20], request[4:20]) || !bytes.Contains(answer, want) {
		t.Errorf("answer to STUN %x, want a success with %x", answer, want)
	}
}

// OPTIONS to the balancer itself asks whether an INVITE would get through (RFC 3261 11.2): 200, and 503 when no server
// is up. A call gets 503 then, without Retry-After (RFC 7339 5.10.2).
func TestOptionsAndNoServer(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in answers 200 whatever happens")
	}
	s := startSinks(t, lab.Setup{HealthIntervalS: 2}, false)
	phone := s.neighbour("127.0.0.4")
	ask := func(method, uri, id string) {
		phone.send(method + " sip:" + uri + " SIP/2.0\nVia: SIP/2.0/UDP {me};branch=z9hG4bK" + id + "\nMax-Forwards: 70\nFrom: <sip:p@{me}>;tag=1\n" +
			"To: <sip:" + uri + ">\nCall-ID: " + id + "\nCSeq: 1 " + method)
	}
	ask("OPTIONS", "{lb}", "options-up")
	up := phone.awaits("options-up", "200", phone.addr)
	if up.Header("Accept") == "" || up.Header("Supported") == "" && !bytes.Contains(up.Data, []byte("\r\nSupported:")) || up.Header("Allow") != "" {
		t.Errorf("answer to OPTIONS (Accept and Supported, no Allow):\n%s", up.Data)
	}
	for _, server := range s.servers {
		server.Stop()
	}
	s.balancer.AwaitServers(0)
	ask("OPTIONS", "{lb}", "options-down")
	phone.awaits("options-down", "503", phone.addr)
	ask("INVITE", "x@{lb}", "invite-down")
	if down := phone.awaits("invite-down", "503", phone.addr); down.Header("Retry-After") != "" {
		t.Errorf("Retry-After in\n%s", down.Data)
	}
}
