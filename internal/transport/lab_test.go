package transport

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(runtime.NumCPU() + 4) // as workers are to have it
	goleak.VerifyTestMain(m)
}

// patience bounds what has to happen; nothing waits for it when all is well.
const patience = 30 * time.Second

var (
	lo4 = netip.MustParseAddrPort("127.0.0.1:0")
	lo6 = netip.MustParseAddrPort("[::1]:0")
)

// open opens one socket and closes it with the test.
func open(t testing.TB, addr netip.AddrPort, opt Options) *Socket {
	t.Helper()
	ss, err := ListenUDP(addr, 1, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ss[0].Close() })
	return ss[0]
}

func newBatch(t testing.TB, slots int) *Batch {
	t.Helper()
	b, err := NewBatch(slots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// got is a received datagram, copied.
type got struct {
	data  string
	from  netip.AddrPort
	local netip.Addr
}

// recvN receives n datagrams, or fails.
func recvN(t testing.TB, s *Socket, b *Batch, n int) []got {
	t.Helper()
	var all []got
	for end := time.Now().Add(patience); len(all) < n; {
		if time.Now().After(end) {
			t.Fatalf("%d datagrams of %d came", len(all), n)
		}
		k, err := s.Recv(b, 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for b.Next() {
			d := b.Datagram()
			all = append(all, got{string(d.Data), d.From, d.Local})
			k--
		}
		if k != 0 {
			t.Fatalf("Recv's number is off by %d from what Next gave", k)
		}
	}
	return all
}

// send sends one datagram by itself.
func send(t testing.TB, s *Socket, data string, to netip.AddrPort) {
	t.Helper()
	o := NewOut(0, 1)
	if !o.Add([]byte(data), to, netip.Addr{}, 0) {
		t.Fatal("no room in an empty queue")
	}
	if n := s.Flush(o); n != 0 {
		t.Fatalf("send to %v: %v", to, o.Failures())
	}
}

// echo answers every datagram until the socket is closed.
func echo(s *Socket, b *Batch) {
	o := NewOut(0, 0)
	for {
		if _, err := s.Recv(b, time.Second); err != nil {
			return
		}
		for b.Next() {
			d := b.Datagram()
			if !o.Add(d.Data, d.From, d.Local, 0) {
				s.Flush(o)
				o.Add(d.Data, d.From, d.Local, 0)
			}
		}
		s.Flush(o)
	}
}

// startEcho runs echo beside the test. The socket has to be closed by the test.
func startEcho(t testing.TB, s *Socket) {
	b, done := newBatch(t, MaxBatch), make(chan struct{})
	go func() {
		defer close(done)
		echo(s, b)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
}

// plain is a socket of package net, as others have it.
func plain(t testing.TB, addr netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(t testing.TB, c *net.UDPConn, to netip.AddrPort, text string) (answer string, from netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(text), to); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, MaxDatagram)
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
