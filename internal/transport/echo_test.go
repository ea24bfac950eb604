package transport

import (
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestEcho(t *testing.T) {
	for name, addr := range map[string]netip.AddrPort{"IPv4": lo4, "IPv6": lo6} {
		for _, opt := range []Options{{}, {GRO: true}, {NoGSO: true}, {Spin: -1}, {Spin: 1}, {Spin: time.Millisecond}} {
			t.Run(name, func(t *testing.T) {
				s := open(t, addr, opt)
				startEcho(t, s)
				c := plain(t, addr)
				for _, text := range []string{"OPTIONS", "", strings.Repeat("x", 1400), strings.Repeat("y", 65507)} {
					answer, from := ask(t, c, s.LocalAddr(), text)
					if answer != text || from != s.LocalAddr() {
						t.Errorf("%d octets came back as %d from %v, want from %v", len(text), len(answer), from, s.LocalAddr())
					}
				}
			})
		}
	}
}

// The largest datagrams that there are: 65,507 octets over IPv4, 65,527 over IPv6.
func TestLargest(t *testing.T) {
	for addr, size := range map[netip.AddrPort]int{lo4: 65507, lo6: 65527} {
		a, b := open(t, addr, Options{}), open(t, addr, Options{GRO: true})
		text := strings.Repeat("SIP", 30000)[:size]
		send(t, a, text, b.LocalAddr())
		if d := recvN(t, b, newBatch(t, 2), 1)[0]; d.data != text || d.from != a.LocalAddr() {
			t.Errorf("%d octets came as %d from %v", size, len(d.data), d.from)
		}
		if st := b.Stats(); st.Truncated != 0 || st.InBytes != uint64(size) {
			t.Errorf("stats %+v", st)
		}
	}
}

// A Batch may serve sockets of different kinds one after the other.
func TestBatchChangesSockets(t *testing.T) {
	b := newBatch(t, 8)
	from := open(t, lo4, Options{})
	wild := open(t, netip.MustParseAddrPort("0.0.0.0:0"), Options{GRO: true})
	bound := open(t, lo4, Options{})
	six := open(t, lo6, Options{})
	for range 2 {
		send(t, from, "wild", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), wild.LocalAddr().Port()))
		if d := recvN(t, wild, b, 1)[0]; d.data != "wild" || tellsLocal && d.local != netip.MustParseAddr("127.0.0.9") {
			t.Errorf("wildcard: %+v", d)
		}
		send(t, from, "bound", bound.LocalAddr())
		if d := recvN(t, bound, b, 1)[0]; d.data != "bound" || d.local.IsValid() || d.from != from.LocalAddr() {
			t.Errorf("bound: %+v", d)
		}
		send(t, six, "six", six.LocalAddr())
		if d := recvN(t, six, b, 1)[0]; d.data != "six" || d.from != six.LocalAddr() {
			t.Errorf("IPv6: %+v", d)
		}
	}
}

func TestRecvWaitsNoLonger(t *testing.T) {
	s, b := open(t, lo4, Options{}), newBatch(t, 1)
	for _, wait := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond} {
		start := time.Now()
		n, err := s.Recv(b, wait)
		// A signal may end it early; that it ends at all is the point.
		if d := time.Since(start); n != 0 || err != nil || d > patience {
			t.Errorf("Recv(%v) gave %d, %v after %v", wait, n, err, d)
		}
	}
}

func TestCloseWakes(t *testing.T) {
	for name, addr := range map[string]netip.AddrPort{"IPv4": lo4, "IPv6": lo6, "wildcard": netip.MustParseAddrPort("0.0.0.0:0")} {
		t.Run(name, func(t *testing.T) {
			s, b := open(t, addr, Options{}), newBatch(t, 4)
			blocked := s.Stats().Blocked
			done := make(chan error, 1)
			go func() {
				for {
					if n, err := s.Recv(b, time.Hour); err != nil || n > 0 {
						done <- err
						return
					}
				}
			}()
			for s.Stats().Blocked == blocked {
				runtime.Gosched()
			}
			s.Close()
			select {
			case err := <-done:
				if !isClosed(err) {
					t.Errorf("Recv gave %v", err)
				}
			case <-time.After(patience):
				t.Fatal("Close did not wake Recv")
			}
			if _, err := s.Recv(b, 0); !isClosed(err) {
				t.Errorf("Recv after Close gave %v", err)
			}
			o := NewOut(0, 0)
			o.Add([]byte("late"), lo4, netip.Addr{}, 0)
			if n := s.Flush(o); n != 1 || len(o.Failures()) != 1 {
				t.Errorf("Flush after Close says %d failed, %v", n, o.Failures())
			}
			if _, ok := s.RecvErr(nil); ok {
				t.Error("RecvErr after Close gave something")
			}
			s.Close()
			s.Stats()
		})
	}
}

// Whoever closes, sends and receives at once: no descriptor is used after it was
// closed, which the race detector and EBADF would show.
func TestCloseAmidTraffic(t *testing.T) {
	for range 50 {
		s := open(t, lo4, Options{GRO: true})
		to := s.LocalAddr()
		start, done := make(chan struct{}), make(chan int)
		for range 2 {
			go func() {
				o := NewOut(0, 0)
				<-start
				for n := 0; ; n++ {
					o.Add([]byte("ping"), to, netip.Addr{}, uint64(n))
					if s.Flush(o) > 0 {
						done <- n
						return
					}
				}
			}()
		}
		b := newBatch(t, MaxBatch)
		go func() {
			close(start)
			n := 0
			for {
				k, err := s.Recv(b, time.Second)
				if n += k; err != nil {
					done <- n
					return
				}
				if n > 20 {
					s.Close()
				}
			}
		}()
		for range 3 {
			<-done
		}
	}
}

func TestLocalAddrFor(t *testing.T) {
	for _, a := range []string{"127.0.0.7", "::1", "::ffff:127.0.0.7"} {
		dst := netip.MustParseAddr(a)
		got, err := LocalAddrFor(dst)
		if want := dst.Unmap(); err != nil || got != want && got != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("LocalAddrFor(%v) gave %v, %v", dst, got, err)
		}
	}
	if a, err := LocalAddrFor(netip.Addr{}); err == nil {
		t.Errorf("the zero address has the local address %v", a)
	}
}

// A Recv that waits keeps a processor of Go's scheduler; neither the collector nor
// anybody else has to wait for that.
func TestWaitingStopsNobody(t *testing.T) {
	s, b, done := open(t, lo4, Options{}), newBatch(t, 1), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; n < 20; { // wait long after the last datagram
			k, _ := s.Recv(b, time.Hour)
			n += k
		}
	}()
	from := open(t, lo4, Options{})
	start := time.Now()
	for range 20 {
		runtime.GC()
		send(t, from, "go on", s.LocalAddr())
	}
	<-done
	if d := time.Since(start); d > patience {
		t.Errorf("20 collections took %v", d)
	}
}
