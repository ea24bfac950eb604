package engine

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/sip"
)

// A request that is too long for a datagram takes TCP to a server that takes connections, and a datagram to one that does
// not, or not any more. The service itself listens on UDP alone.
func TestX5_LargeRequests(t *testing.T) {
	port := freePorts(t, []string{"127.0.0.1"}, 1)[0] // of UDP, and of TCP later
	overUDP, client := newUAAt(t, sip.UDP, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)), newUA(t, sip.UDP, "127.0.0.1")
	set := streamSet(t, []string{"127.0.0.1"}, sip.UDP, overUDP.addr)
	set.VirtualServices[0].Services = set.VirtualServices[0].Services[:1]
	set.Pools[0].ServerTransport = object.ServerTransportAuto
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	e, _ := start(t, set)
	lb := listenerFor(e)
	large := func(id string) {
		text := client.request("MESSAGE", "sip:bob@example.com", "a", "", id, 1, nil)
		client.send(lb(client), strings.Replace(text, "Contact:", "X-Long: "+strings.Repeat("x", 2000)+"\nContact:", 1))
	}
	large("refused")
	if h := overUDP.recv("MESSAGE"); !strings.HasPrefix(values(h.text, "Via")[0], "SIP/2.0/UDP ") {
		t.Error(h.text)
	} else {
		overUDP.answer(h, "200 OK")
	}
	client.recv("SIP/2.0 200")

	overTCP := newUA(t, sip.TCP, "127.0.0.1")
	overTCP.listenAt(overUDP.addr)
	streams := func(want bool) {
		t.Helper()
		tr := e.live.Load().snap.Pools[0].Servers[0].Traffic
		for end := time.Now().Add(30 * time.Second); (tr.Streams.Load() > 0) != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("connections: ", tr.Streams.Load())
			}
		}
	}
	streams(true)
	large("taken")
	h := overTCP.recv("MESSAGE")
	if via := values(h.text, "Via"); !strings.HasPrefix(via[0], "SIP/2.0/TCP ") || !strings.HasPrefix(via[1], "SIP/2.0/UDP ") {
		t.Error(h.text)
	}
	overTCP.answer(h, "200 OK")
	client.recv("SIP/2.0 200")
	if n := e.Status().Pools[0].Servers[0].Large; n != 1 {
		t.Errorf("counted %d", n)
	}
	overTCP.close()
	streams(false)
	large("refused-again")
	overUDP.answer(overUDP.recv("MESSAGE"), "200 OK")
	client.recv("SIP/2.0 200")
}

// Between streams a message may be as long as there are any, less what we put in: the server takes no longer ones either.
func TestP8_StreamLongest(t *testing.T) {
	client, server := newUA(t, sip.TCP, "127.0.0.1"), newUA(t, sip.TCP, "127.0.0.1")
	e, _ := start(t, streamSet(t, []string{"127.0.0.1"}, sip.TCP, server.addr))
	text := client.request("MESSAGE", "sip:bob@example.com", "a", "", "longest", 1, nil)
	lines := strings.Count(text, "\n")
	filler := strings.Repeat("x", sip.MaxMessage-proxy.Growth-len(text)-lines-len("X-Long: \r\n"))
	client.send(listenerFor(e)(client), strings.Replace(text, "Contact:", "X-Long: "+filler+"\nContact:", 1))
	h := server.recv("MESSAGE")
	if values(h.text, "X-Long")[0] != filler || len(h.text) <= sip.MaxMessage-proxy.Growth {
		t.Errorf("%d octets came", len(h.text))
	}
	server.answer(h, "200 OK")
	client.recv("SIP/2.0 200")
}

// listenAt has a server listen for streams at another address than its own too.
func (u *ua) listenAt(at netip.AddrPort) {
	u.t.Helper()
	ln, err := net.Listen("tcp", at.String())
	if err != nil {
		u.t.Fatal(fmt.Errorf("the port of the other transport: %w", err))
	}
	u.also = ln
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
}

// close ends that, and all connections.
func (u *ua) close() {
	u.also.Close()
	u.hangUp()
}
