//go:build linux && (amd64 || arm64)

package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/handover"
)

// A datagram that comes while nobody reads, and one that was there before, is read by who has the socket then; that the
// first reader lets go, or who adopted it closes it before it is its own, does not disturb the other.
func TestSocketChangesHands(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		socks, err := ListenUDP(netip.MustParseAddrPort(addr), 1, Options{GRO: true})
		if err != nil {
			t.Fatal(err)
		}
		old := socks[0]
		adopt := func() *Socket {
			var fd int
			if err := old.Descriptor(func(n int) { fd, err = handover.Dup(n) }); err != nil {
				t.Fatal(err)
			}
			s, err := AdoptUDP(os.NewFile(uintptr(fd), "socket"), Options{GRO: true})
			if err != nil {
				t.Fatalf("%s: %v", addr, err)
			}
			return s
		}
		in, err := NewBatch(4)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		to := old.LocalAddr()
		if to.Addr().IsUnspecified() {
			to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
		}
		client, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		expect := func(s *Socket, want string) {
			t.Helper()
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
				n, err := s.Recv(in, 100*time.Millisecond)
				if err != nil {
					t.Fatalf("%s: %v", addr, err)
				}
				if n > 0 && in.Next() {
					if got := string(in.Datagram().Data); got != want {
						t.Fatalf("%s: %q, want %q", addr, got, want)
					}
					return
				}
			}
			t.Fatalf("%s: %q did not come", addr, want)
		}
		adopt().Close() // of a process that gave up
		client.Write([]byte("one"))
		expect(old, "one")
		client.Write([]byte("two"))
		next := adopt()
		if next.LocalAddr() != old.LocalAddr() {
			t.Errorf("%s, was %s", next.LocalAddr(), old.LocalAddr())
		}
		next.Own()
		old.Detach()
		if _, err := old.Recv(in, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: who has let go reads: %v", addr, err)
		}
		expect(next, "two")
		client.Write([]byte("three"))
		expect(next, "three")
		next.Close()
		if _, err := next.Recv(in, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: after the end: %v", addr, err)
		}
	}
}

// What waits to be sent, because the peer does not read, goes over whole: nothing twice and nothing left out.
func TestConnectionChangesHands(t *testing.T) {
	l, err := ListenStream(loop4, false, StreamOptions{MaxQueue: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil || c.Start() != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range 3 << 20 / 4 {
		want = append(want, byte(i), byte(i>>8), byte(i>>16), '\n')
	}
	half := len(want) / 2
	c.Queue(want[:half])
	c.Flush() // most of it waits for the peer
	c.Queue(want[half : half+10])
	unsent, ok := c.Hold()
	if !ok || len(unsent) < 10 {
		t.Fatalf("%d octets wait, %v", len(unsent), ok)
	}
	c.Release() // the other one was given up
	unsent, ok = c.Hold()
	if !ok {
		t.Fatal("it cannot be held again")
	}
	fd, _, ok := c.Share()
	if !ok {
		t.Fatal("it cannot be shared")
	}
	next, err := l.AdoptConn(os.NewFile(uintptr(fd), "connection"), c.Remote, c.Local, false)
	if err != nil {
		t.Fatal(err)
	}
	c.Forsake()
	next.Queue(unsent)
	next.Queue(want[half+10:])
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	peer.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("not what was sent: %v", err)
	}
	next.Close(ListenerClosed)
	if n, err := peer.Read(got); err != io.EOF {
		t.Errorf("behind it %d octets, %v", n, err)
	}
}

// A connection of TLS that is relayed brings what comes both ways, and each side's end to the other.
func TestRelay(t *testing.T) {
	cert, roots := certificate(t, "example.com")
	l, err := ListenStream(loop4, true, StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetTLS(&tls.Config{Certificates: []tls.Certificate{cert}})
	for _, first := range []string{"peer", "process"} {
		ended := make(chan Reason)
		fds := make(chan int)
		go func() {
			c, err := l.Accept()
			if err != nil || c.Start() != nil {
				close(fds)
				return
			}
			fd, ours, _ := c.Share()
			other, err := NewRelay(ours, l.Options())
			if err != nil {
				close(fds)
				return
			}
			fds <- fd
			c.Relay(other)
			ended <- c.Closed()
		}()
		peer, err := tls.Dial("tcp", l.LocalAddr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com"})
		if err != nil {
			t.Fatal(err)
		}
		fd, ok := <-fds
		if !ok {
			t.Fatal("no relay")
		}
		f := os.NewFile(uintptr(fd), "relay")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		limit := time.Now().Add(20 * time.Second)
		c.SetDeadline(limit)
		peer.SetDeadline(limit)
		text := bytes.Repeat([]byte("some text "), 20_000)
		for _, way := range [][2]net.Conn{{peer, c}, {c, peer}} {
			go way[0].Write(text)
			got := make([]byte, len(text))
			if _, err := io.ReadFull(way[1], got); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("not what was sent: %v", err)
			}
		}
		from, to := net.Conn(peer), c
		if first == "process" {
			from, to = c, peer
		}
		from.Close()
		if _, err := to.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the end of the %s: %v", first, err)
		}
		to.Close()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Errorf("the relay goes on after the %s has ended", first)
		}
	}
}
