package agent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/report"
)

// crowd is the status of an engine with so many pools of 20 servers.
func crowd(pools int) *engine.Status {
	st := &engine.Status{At: time.Now()}
	for i := range pools {
		name := fmt.Sprint("pool-", i)
		p := engine.PoolStatus{Name: name, State: "up", Up: 20, Total: 20, Enabled: 20}
		for j := range 20 {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(j)}), 5060)
			p.Servers = append(p.Servers, engine.ServerStatus{Name: addr.String(), Addr: addr, State: "up", Reason: "SUCCESS", Ratio: 1,
				Requests: map[string]uint64{"INVITE": 100, "BYE": 90}, Responses: map[int]uint64{180: 90, 200: 180},
				Health: health.ServerStatus{State: health.Up, Since: st.At, Monitors: []health.MonitorStatus{{Name: "hm", State: health.Up, Checks: 1000}}}})
		}
		st.Pools = append(st.Pools, p)
		st.Services = append(st.Services, engine.ServiceStatus{Name: name, Pool: name, Traffic: true})
	}
	return st
}

func BenchmarkReport(b *testing.B) {
	st := crowd(1000)
	b.Run("convert", func(b *testing.B) {
		for b.Loop() {
			Convert(st, report.Registration{Name: "se-1"})
		}
	})
	b.Run("json", func(b *testing.B) {
		r := Convert(st, report.Registration{Name: "se-1"})
		n := 0
		for b.Loop() {
			text, err := json.Marshal(r)
			if err != nil {
				b.Fatal(err)
			}
			n = len(text)
		}
		b.ReportMetric(float64(n)/1e6, "MB")
	})
}
