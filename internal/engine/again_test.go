package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/sip"
)

// A datagram that is lost between us and a server is sent again by us, for the client on a stream won't; and so is one to a
// phone, of a server on a stream.
func TestT3_SentAgain(t *testing.T) {
	client, server := newUA(t, sip.TCP, "127.0.0.1"), newUA(t, sip.UDP, "127.0.0.1")
	e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.UDP, server.addr))
	lb := listenerFor(e)
	client.send(lb(client), client.request("INVITE", "sip:bob@example.com", "a", "", "lost", 1, nil))
	first := server.recv("INVITE") // lost, as far as anybody can tell
	again := server.recvAny("INVITE")
	if again.text != first.text {
		t.Errorf("sent again as\n%s\nnot\n%s", again.text, first.text)
	}
	server.answer(again, "200 OK")
	client.recv("SIP/2.0 200")
	st := e.Status().Services[0]
	if st.Reasons["sent_again"] == 0 || st.Repeats != 0 {
		t.Errorf("sent again %d times, %d are kept", st.Reasons["sent_again"], st.Repeats)
	}
	for range st.Reasons["sent_again"] - 1 { // the answer took so long
		server.recvAny("INVITE")
	}
	if len(server.in) > 0 {
		t.Errorf("sent again, and not counted: %s", (<-server.in).text)
	}

	phone, other := newUA(t, sip.UDP, "127.0.0.1"), newUA(t, sip.TCP, "127.0.0.1")
	e, _ = start(t, streamSet(t, []string{"127.0.0.1"}, sip.TCP, other.addr))
	other.send(listenerFor(e)(other), other.request("OPTIONS", phone.contact(), "a", "", "out", 1, nil))
	phone.recv("OPTIONS")
	phone.answer(phone.recvAny("OPTIONS"), "200 OK")
	other.recv("SIP/2.0 200")
}

// oneShot is a server that hangs up on the first connections with requests and answers on the ones after: mute says how many.
func oneShot(t *testing.T, mute int) (addr netip.AddrPort, got chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	got = make(chan string, 100)
	turn := make(chan int, 1)
	turn <- 0
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					var b strings.Builder
					for !strings.HasSuffix(b.String(), "\r\n\r\n") {
						line, err := r.ReadString('\n')
						if err != nil {
							return
						}
						b.WriteString(line)
					}
					got <- b.String()
					n := <-turn
					turn <- n + 1
					if n < mute {
						return
					}
					u := &ua{addr: addr, tr: sip.TCP}
					u.answer(heard{b.String(), func(s string) { io.WriteString(c, s) }}, "200 OK")
				}
			}()
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort(), got
}

// A connection to a server breaks before it has answered: it gets the request once more, and if that breaks too, another
// server does.
func TestX6_ConnectionBreaks(t *testing.T) {
	for _, c := range []struct {
		mute   int
		reason string
		status string
	}{{1, "sent_again", "200"}, {2, "server_unreachable", "503"}} {
		t.Run(fmt.Sprint(c.mute), func(t *testing.T) {
			addr, got := oneShot(t, c.mute)
			client := newUA(t, sip.TCP, "127.0.0.1")
			e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.TCP, addr))
			client.send(listenerFor(e)(client), client.request("INVITE", "sip:bob@example.com", "a", "", "broken", 1, nil))
			client.recv("SIP/2.0 " + c.status)
			first, second := <-got, <-got
			if !slices.Equal(values(first, "Via"), values(second, "Via")) {
				t.Errorf("%s\nand then\n%s", first, second)
			}
			if n := e.Status().Services[0].Reasons[c.reason]; n != 1 {
				t.Errorf("%s: %d", c.reason, n)
			}
		})
	}
	addr, _ := oneShot(t, 100)
	good, client := newUA(t, sip.TCP, "127.0.0.1"), newUA(t, sip.TCP, "127.0.0.1")
	e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.TCP, addr, good.addr))
	for i := range 10 {
		client.send(listenerFor(e)(client), client.request("INVITE", "sip:bob@example.com", "a", "", fmt.Sprint("two", i), 1, nil))
		good.answer(good.recv("INVITE"), "200 OK")
		client.recv("SIP/2.0 200")
	}
	if n := e.Status().Services[0].Reasons["failed_over_connection"]; n == 0 {
		t.Error("nothing failed over")
	}
}
