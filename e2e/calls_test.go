package e2e

import (
	"math"
	"net/netip"
	"testing"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// Ten thousand calls over three servers: none fails, each stays on one server, and the servers have equal shares.
func TestCalls(t *testing.T) {
	l := load{calls: 10000, rate: 1250}
	if testing.Short() {
		l.calls = 3000
	}
	f := startFarm(t, lab.Setup{}, "127.0.0.11", "127.0.0.12", "127.0.0.13")
	courses := f.finish(f.start(l, f.balancer.Addr), l)
	f.expectWhole(courses, l.calls)
	expectThirds(t, courses, f.addrs)
}

// The same calls while the balancer is not on the route of the dialogs: it finds the server of an ACK and a BYE by
// their Request-URI or their Call-ID.
func TestCallsWithoutRecordRoute(t *testing.T) {
	l := load{calls: 3000, rate: 1000}
	f := startFarm(t, lab.Setup{NoRecordRoute: true}, "127.0.0.11", "127.0.0.12", "127.0.0.13")
	courses := f.finish(f.start(l, f.balancer.Addr), l)
	f.expectWhole(courses, l.calls)
	faults := lab.Faults{Names: f.names}
	for _, c := range courses {
		for _, m := range c.Messages {
			if m.Header("Record-Route") != "" {
				faults.Add(c.Messages, "Record-Route in %s", m.Word())
			}
		}
	}
	faults.Report(t)
}

// Callers and servers with IPv6 addresses, and a pool of both kinds called from both.
func TestCallsIPv6(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		l := load{calls: 1000, rate: 1000}
		f := startFarm(t, lab.Setup{Listen: lab.Addrs(t, "::1")}, "::1", "::1", "::1")
		f.expectWhole(f.finish(f.start(l, f.balancer.Addr), l), l.calls)
	})
	for name, noRecordRoute := range map[string]bool{"mixed": false, "mixed without Record-Route": true} {
		t.Run(name, func(t *testing.T) {
			l := load{calls: 1000, rate: 1000}
			listen := lab.Addrs(t, "127.0.0.1", "::1")
			f := startFarm(t, lab.Setup{Listen: listen, NoRecordRoute: noRecordRoute}, "127.0.0.11", "::1", "127.0.0.12")
			for _, a := range listen {
				f.expectWhole(f.finish(f.start(l, a), l), l.calls)
			}
		})
	}
}

// expectThirds checks that the calls are spread equally. With n calls a fair hash gives a server n/3 with a deviation
// of sqrt(n*1/3*2/3); 5 % are allowed, or 5.5 deviations where they are more, which a fair hash exceeds once in ten
// million runs. TestShares holds the 5 % with as many Call-IDs as that takes.
func expectThirds(t *testing.T, courses []*lab.Course, servers []netip.AddrPort) {
	t.Helper()
	count := make(map[netip.AddrPort]int)
	for _, c := range courses {
		count[c.Server]++
	}
	n := float64(len(courses))
	allowed := math.Max(0.05*n/3, 5.5*math.Sqrt(n*2/9))
	for i, a := range servers {
		t.Logf("server%d: %d calls, %+.1f %% against an equal share", i+1, count[a], 100*(float64(count[a])/(n/3)-1))
		if math.Abs(float64(count[a])-n/3) > allowed {
			t.Errorf("server%d has %d of %.0f calls; %.0f +- %.0f expected", i+1, count[a], n, n/3, allowed)
		}
	}
}
