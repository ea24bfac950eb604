//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// Answerer is a small SIP server for tests in which SIPp would be in the way: it keeps nothing, is not bothered by
// rubbish, and can be made silent.
type Answerer struct {
	Addr     netip.AddrPort
	Requests atomic.Int64 // received, of any kind but OPTIONS and ACK
	conn     *net.UDPConn
	invite   atomic.Pointer[[]byte] // the newest
	silent   bool
}

// StartAnswerer starts a server that answers INVITE with 180 and 200 and everything else but ACK with 200. A silent
// one answers only the balancer's own OPTIONS (which have one Via), so that it counts as up.
func StartAnswerer(t testing.TB, addr netip.AddrPort, silent bool) *Answerer {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadBuffer(4 << 20)
	a := &Answerer{Addr: addr, conn: conn, silent: silent}
	t.Cleanup(func() { conn.Close() })
	go a.serve()
	return a
}

func (a *Answerer) serve() {
	buf, out := make([]byte, 65535), make([]byte, 0, 65535)
	for {
		n, from, err := a.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		method, _, _ := bytes.Cut(buf[:n], []byte(" "))
		switch string(method) {
		case "ACK", "SIP/2.0":
			continue
		case "OPTIONS":
		case "INVITE":
			a.Requests.Add(1)
			invite := bytes.Clone(buf[:n])
			a.invite.Store(&invite)
			if !a.silent {
				out = a.answer(out[:0], buf[:n], "180 Ringing")
				a.conn.WriteToUDPAddrPort(out, from)
			}
		default:
			a.Requests.Add(1)
		}
		if !a.silent || string(method) == "OPTIONS" && bytes.Count(buf[:n], []byte("\r\nVia: ")) == 1 {
			out = a.answer(out[:0], buf[:n], "200 OK")
			a.conn.WriteToUDPAddrPort(out, from)
		}
	}
}

// Invite is the newest INVITE the server got, nil if there was none.
func (a *Answerer) Invite() []byte {
	if p := a.invite.Load(); p != nil {
		return *p
	}
	return nil
}

// Stop closes the server's socket: from then on the kernel answers with ICMP.
func (a *Answerer) Stop() { a.conn.Close() }

// Send sends a datagram from the server's own address.
func (a *Answerer) Send(t testing.TB, data []byte, to netip.AddrPort) {
	t.Helper()
	if _, err := a.conn.WriteToUDPAddrPort(data, to); err != nil {
		t.Fatalf("server %v: %v", a.Addr, err)
	}
}

func (a *Answerer) answer(out, request []byte, status string) []byte {
	return respond(out, request, status, fmt.Sprintf("a%d", a.Addr.Port()), "sip:"+a.Addr.String())
}

// respond builds a response from the request's lines. It copies what a response takes over, folded lines included, and
// does not understand any of it.
func respond(out, request []byte, status, tag, contact string) []byte {
	out = fmt.Appendf(out, "SIP/2.0 %s\r\n", status)
	head, _, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	_, head, _ = bytes.Cut(head, []byte("\r\n"))
	copying := false
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		if len(line) == 0 || line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			copying = copied[string(bytes.ToLower(bytes.TrimRight(name, " \t")))]
		}
		if !copying {
			continue
		}
		out = append(out, line...)
		if isTo(line) && !bytes.Contains(line, []byte(";tag=")) {
			out = append(append(out, ";tag="...), tag...)
		}
		out = append(out, "\r\n"...)
	}
	return fmt.Appendf(out, "Contact: <%s>\r\nContent-Length: 0\r\n\r\n", contact)
}

var copied = map[string]bool{
	"via": true, "v": true, "from": true, "f": true, "to": true, "t": true, "call-id": true, "i": true, "cseq": true,
	"record-route": true,
}

func isTo(line []byte) bool {
	name, _, _ := bytes.Cut(line, []byte(":"))
	name = bytes.ToLower(bytes.TrimRight(name, " \t"))
	return string(name) == "to" || string(name) == "t"
}
