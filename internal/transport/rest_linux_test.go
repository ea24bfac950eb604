//go:build linux && (amd64 || arm64)

package transport

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A socket at rest wakes for a datagram, for an ICMP error and for its end, and takes no notice of having rested.
func TestRest(t *testing.T) {
	socks, err := ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"), 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := socks[0]
	in, err := NewBatch(1)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	client, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.LocalAddr()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	rested := make(chan bool)
	rest := func() {
		go func() { rested <- s.Rest() }()
		select {
		case <-rested:
			t.Fatal("it does not rest")
		case <-time.After(20 * time.Millisecond): // long enough to be in the poller, and no harm if not
		}
	}
	wake := func(what string) {
		t.Helper()
		select {
		case ok := <-rested:
			if !ok {
				t.Fatalf("%s: there was no wait", what)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s did not wake it", what)
		}
	}
	for range 3 {
		rest()
		client.Write([]byte("hello"))
		wake("a datagram")
		if n, err := s.Recv(in, time.Second); n != 1 || err != nil {
			t.Fatalf("received %d, %v", n, err)
		}
		var waited time.Duration
		for range 50 { // a signal to the thread ends a wait early, now and then
			begin := time.Now()
			if n, err := s.Recv(in, 50*time.Millisecond); n != 0 || err != nil {
				t.Fatalf("received %d, %v", n, err)
			}
			if waited = time.Since(begin); waited >= 40*time.Millisecond {
				break
			}
		}
		if waited < 40*time.Millisecond {
			t.Fatalf("it blocks no more: the last wait took %v", waited)
		}
	}
	client.Write([]byte("before"))
	if !s.Rest() {
		t.Fatal("a datagram that was there")
	}
	s.Recv(in, 0)

	nobody, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	to := nobody.LocalAddr().(*net.UDPAddr).AddrPort()
	nobody.Close()
	rest()
	out := NewOut(0, 1)
	out.Add([]byte("to nobody"), to, netip.Addr{}, 0)
	s.Flush(out)
	wake("an ICMP error")
	if s.Recv(in, 0); !s.ErrPending() {
		t.Error("no error is pending")
	}
	for s.ErrPending() {
		s.RecvErr(nil)
	}
	rest()
	s.Close()
	wake("the end")
	if _, err := s.Recv(in, time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
