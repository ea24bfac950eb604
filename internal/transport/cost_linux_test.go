//go:build linux && (amd64 || arm64)

package transport

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/alloctest"
)

// Nothing is allocated for a batch, whatever path it takes.
func TestNoAllocations(t *testing.T) {
	for name, opt := range map[string]Options{"plain": {NoGSO: true, Spin: -1}, "trains": {GRO: true}} {
		for _, addr := range []netip.AddrPort{lo4, lo6, netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("[::]:0")} {
			a, c := open(t, addr, opt), open(t, addr, opt)
			b, o, quote := newBatch(t, MaxBatch), NewOut(0, 0), make([]byte, 512)
			to, data := reachable(c.LocalAddr()), make([]byte, 700)
			nobody := reachable(closedPort(t, addr))
			round := func() {
				for i := range 20 {
					o.Add(data[:100*(1+i%3)], to, netip.Addr{}, uint64(i))
					if i == 7 {
						o.Add(data, nobody, netip.Addr{}, 1)
					}
				}
				a.Flush(o)
				for n := 0; n < 20; {
					k, _ := c.Recv(b, time.Millisecond)
					n += k
					for b.Next() {
						d := b.Datagram()
						o.Add(d.Data, d.From, d.Local, 0)
					}
				}
				c.Flush(o)
				for n := 0; n < 20; {
					k, _ := a.Recv(b, time.Millisecond)
					n += k
				}
				for a.ErrPending() {
					a.RecvErr(quote)
				}
				_, _ = a.Recv(b, time.Nanosecond) // blocks
			}
			if n := alloctest.PerRun(20, round); n != 0 {
				t.Errorf("%s %v: %v allocations a round", name, addr, n)
			}
		}
	}
}

// reachable gives an address for a socket that is bound to a wildcard.
func reachable(a netip.AddrPort) netip.AddrPort {
	switch a.Addr() {
	case netip.IPv4Unspecified():
		return netip.AddrPortFrom(lo4.Addr(), a.Port())
	case netip.IPv6Unspecified():
		return netip.AddrPortFrom(lo6.Addr(), a.Port())
	}
	return a
}

// The plan alone: a queue of so many datagrams to so many destinations, of so
// many sizes, for each datagram.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{1, 16, 64, 256} {
		for _, dests := range []int{1, 20} {
			for _, sizes := range []int{1, 7, 256} {
				b.Run(fmt.Sprintf("queue=%d/dests=%d/sizes=%d", n, dests, sizes), func(b *testing.B) {
					o := NewOut(1<<20, n)
					for i := range n {
						to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i * 7 % dests)}), 5060)
						o.Add(make([]byte, 400+i*11%sizes), to, netip.Addr{}, uint64(i)*0x9e3779b97f4a7c15)
					}
					for i := 0; i < b.N; i += n {
						o.wire.plan(o.queue, MaxDatagram)
					}
					trains := 0
					for _, tr := range o.wire.trains {
						if !tr.gone {
							trains++
						}
					}
					b.ReportMetric(float64(n)/float64(trains), "datagrams/train")
				})
			}
		}
	}
}

// A relay of 1 KB datagrams over loopback, in one goroutine: the sender's, the
// relay's and the receiver's share of the kernel are all in it.
func BenchmarkRelay(b *testing.B) {
	for _, bm := range []struct {
		name  string
		opt   Options
		batch int
		queue int
	}{
		{"single", Options{NoGSO: true}, 1, 1},
		{"batch=8", Options{NoGSO: true}, 8, 8},
		{"batch=32", Options{NoGSO: true}, 32, 32},
		{"batch=64", Options{NoGSO: true}, 64, 64},
		{"batch=64/gso", Options{}, 64, 64},
		{"batch=64/gso+gro", Options{GRO: true}, 64, 256},
	} {
		b.Run(bm.name, func(b *testing.B) {
			bm.opt.RecvBuf, bm.opt.SendBuf = 8<<20, 8<<20
			src, relay, dst := open(b, lo4, bm.opt), open(b, lo4, bm.opt), open(b, lo4, bm.opt)
			in, out, data := newBatch(b, bm.batch), NewOut(1<<20, bm.queue), make([]byte, 1024)
			b.ReportAllocs()
			b.SetBytes(1024)
			for left := b.N; left > 0; {
				n := min(left, 64)
				left -= n
				for i := range n {
					for !out.Add(data, relay.LocalAddr(), netip.Addr{}, uint64(i)) {
						src.Flush(out)
					}
				}
				src.Flush(out)
				for got := 0; got < n; {
					k, _ := relay.Recv(in, time.Second)
					got += k
					for in.Next() {
						for !out.Add(in.Datagram().Data, dst.LocalAddr(), netip.Addr{}, uint64(got)) {
							relay.Flush(out)
						}
					}
					relay.Flush(out)
				}
				for got := 0; got < n; {
					k, _ := dst.Recv(in, time.Second)
					got += k
				}
			}
		})
	}
}
