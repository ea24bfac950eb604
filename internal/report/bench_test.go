package report

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkSince is what a minute, and each report, costs an engine of 1,000 pools with 20 servers each, all with traffic.
func BenchmarkSince(b *testing.B) {
	e := &Engine{}
	for i := range 1000 {
		one := reportOf(1000, 10)
		one.Services[0].Name, one.Pools[0].Name = fmt.Sprint("vs", i), fmt.Sprint("p", i)
		for j := range 19 {
			s := one.Pools[0].Servers[0]
			s.Addr = netip.AddrPortFrom(s.Addr.Addr(), uint16(6000+j))
			one.Pools[0].Servers = append(one.Pools[0].Servers, s)
		}
		e.Services, e.Pools = append(e.Services, one.Services...), append(e.Pools, one.Pools...)
	}
	at := time.Now()
	b.Run("baseline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			NewBaseline(e, at)
		}
	})
	base := NewBaseline(e, at)
	b.Run("report", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Since(base, at)
		}
	})
}
