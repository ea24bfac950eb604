package health

import (
	"bytes"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/transport"
)

// loopbackFarm answers OPTIONS at every address of 127.0.0.0/8 on one port, each from the address that was asked.
func loopbackFarm(t testing.TB) uint16 {
	t.Helper()
	socks, err := transport.ListenUDP(netip.MustParseAddrPort("0.0.0.0:0"), 1, transport.Options{Spin: -1, RecvBuf: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	in, err := transport.NewBatch(transport.MaxBatch)
	if err != nil {
		t.Fatal(err)
	}
	s, out, done := socks[0], transport.NewOut(0, 0), make(chan bool)
	go func() {
		defer close(done)
		defer in.Close()
		for {
			if _, err := s.Recv(in, time.Hour); err != nil {
				return
			}
			for in.Next() {
				d := in.Datagram()
				// The least that is read: a status line instead of the request line.
				answer := append([]byte("SIP/2.0 200 OK"), d.Data[bytes.IndexByte(d.Data, '\r'):]...)
				if !out.Add(answer, d.From, d.Local, 0) {
					s.Flush(out)
					out.Add(answer, d.From, d.Local, 0)
				}
			}
			s.Flush(out)
		}
	}()
	t.Cleanup(func() { s.Close(); <-done })
	return s.LocalAddr().Port()
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestTenThousandServers: ten thousand real servers come up over one socket, with the real clock, within twice what MaxStarts needs.
func TestTenThousandServers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about ten seconds")
	}
	n := 10_000
	if raceDetector {
		n = 1000
	}
	port := loopbackFarm(t)
	targets := many(n, sipMonitor("a"))
	for i := range targets {
		a := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
		targets[i].Server, targets[i].Local = netip.AddrPortFrom(a, port), netip.MustParseAddrPort("127.0.0.1:5060")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	up := make(chan time.Time, n)
	m := New(Config{OnChange: func(c Change) {
		if c.State != Up {
			t.Errorf("%+v", c)
		}
		up <- time.Now()
	}})
	defer m.Close()
	start, cpu := time.Now(), cpuTime()
	apply(t, m, targets...)
	applied := time.Since(start)
	for i := range n {
		select {
		case <-up:
		case <-time.After(patience):
			t.Fatalf("%d of %d are up", i, n)
		}
	}
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	st, heap := m.Stats(), (int64(after.HeapAlloc)-int64(before.HeapAlloc))/int64(n) // what earlier tests left may go meanwhile
	t.Logf("applied in %v, all up after %v, %d checks, %d retransmissions, %v of CPU a check (both sides), %d octets of heap a server",
		applied, took, st.Started, st.Retransmissions, (cpuTime()-cpu)/time.Duration(st.Started), heap)
	if least := time.Duration(2*n-200) * time.Second / DefaultMaxStarts; took < least {
		t.Errorf("all up after %v: faster than MaxStarts allows", took)
	}
	if heap > 4096 && !raceDetector {
		t.Errorf("%d octets of heap a server", heap)
	}
}
