package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// A request that is sent again leaves as the same bytes (RFC 3261 16.11), to the same server, whatever its method, and
// whether or not it was answered in between: servers tell retransmissions by that.
func TestRetransmissionIsTheSame(t *testing.T) {
	for name, silent := range map[string]bool{"not answered": true, "answered": false} {
		t.Run(name, func(t *testing.T) {
			if lab.StandIn() {
				t.Skip("the stand-in absorbs retransmissions")
			}
			s := startSinks(t, lab.Setup{}, silent)
			conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(lab.Addr(t, "127.0.0.2")))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, method := range []string{"INVITE", "MESSAGE", "REGISTER", "BYE", "SUBSCRIBE"} {
				id := "again-" + method
				request := fmt.Appendf(nil, "%[1]s sip:x@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[4]s\r\nMax-Forwards: 70\r\n"+
					"From: <sip:t@%[3]s>;tag=t\r\nTo: <sip:x@%[2]s>\r\nCall-ID: %[4]s\r\nCSeq: 1 %[1]s\r\nContact: <sip:t@%[3]s>\r\n"+
					"Content-Length: 0\r\n\r\n", method, s.balancer.Addr, conn.LocalAddr(), id)
				for n := range 2 {
					if _, err := conn.WriteTo(request, net.UDPAddrFromAddrPort(s.balancer.Addr)); err != nil {
						t.Fatal(err)
					}
					s.awaitForwarded(id, n+1)
					if !silent {
						s.awaitAnswered(id, n+1)
					}
				}
				s.expectSame(id)
			}
		})
	}
}

// forwarded are the requests of a Call-ID that reached a server.
func (s *sinks) forwarded(id string) []lab.Message {
	s.t.Helper()
	var out []lab.Message
	for _, m := range s.wire.Calls().ByID[id] {
		if slices.Contains(s.addrs, m.Dst) && !m.IsResponse() {
			out = append(out, m)
		}
	}
	return out
}

func (s *sinks) awaitForwarded(id string, n int) {
	s.t.Helper()
	seen := 0
	s.wire.Await(fmt.Sprintf("request %d of %s at a server", n, id), func(p lab.Packet) bool {
		if slices.Contains(s.addrs, p.Dst) && bytes.Contains(p.Data, []byte("Call-ID: "+id+"\r\n")) {
			seen++
		}
		return seen >= n
	})
}

// awaitAnswered waits until so many final responses have left for the client.
func (s *sinks) awaitAnswered(id string, n int) {
	s.t.Helper()
	seen := 0
	s.wire.Await(fmt.Sprintf("answer %d of %s", n, id), func(p lab.Packet) bool {
		if m, ok := lab.ReadMessage(p); ok && p.Src == s.balancer.Addr && m.CallID == id && m.Status() == 200 {
			seen++
		}
		return seen >= n
	})
}

func (s *sinks) expectSame(id string) {
	s.t.Helper()
	sent := s.forwarded(id)
	var dst netip.AddrPort
	for i, m := range sent {
		if i > 0 && (m.Dst != dst || !bytes.Equal(m.Data, sent[0].Data)) {
			s.t.Errorf("sent again, it left differently:\nto %v:\n%s\nto %v:\n%s", dst, sent[0].Data, m.Dst, m.Data)
		}
		dst = m.Dst
	}
}
