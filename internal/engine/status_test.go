package engine

import (
	"net/netip"
	"testing"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/quick"
)

// large starts an engine with a pool of n servers under a monitor that hardly ever probes.
func large(t testing.TB, n int) *Engine {
	t.Helper()
	var servers []string
	for i := range n {
		servers = append(servers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 5060).String())
	}
	set, err := quick.Set([]string{"udp://127.0.0.1:0"}, servers, quick.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hm := object.New[object.HealthMonitor]("rare")
	hm.Type, hm.SendIntervalS, hm.DisableQuickstart = object.MonitorSIP, 3600, true
	set.HealthMonitors = append(set.HealthMonitors, &hm)
	set.Pools[0].HealthMonitorRefs = []string{"rare"}
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	e, err := Start(Config{Set: set, Revision: 1, Secret: []byte("a secret for tests"), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

func BenchmarkStatus10000Servers(b *testing.B) {
	e := large(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if st := e.Status(); len(st.Pools[0].Servers) != 10_000 {
			b.Fatal(len(st.Pools[0].Servers))
		}
	}
}

// What the monitors know of a server is with that server, whatever pools there are beside its own.
func TestStatusHasTheHealthOfEachServer(t *testing.T) {
	a, b := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", a, b)
	other := *set.Pools[0]
	other.Name, other.Servers = "other", []object.Server{object.NewServer(b.addr)}
	other.HealthMonitorRefs = []string{"rare"}
	hm := object.New[object.HealthMonitor]("rare")
	hm.Type, hm.SendIntervalS, hm.DisableQuickstart = object.MonitorPing, 3600, true
	set.Pools, set.HealthMonitors = append(set.Pools, &other), []*object.HealthMonitor{&hm}
	e, _ := start(t, set)
	for _, p := range e.Status().Pools {
		for _, sv := range p.Servers {
			want, state := 0, "NO_MONITOR"
			if p.Name == "other" {
				want, state = 1, "not probed yet"
			}
			if h := sv.Health; h.Pool != p.Name || h.Server != sv.Addr || len(h.Monitors) != want || sv.Reason != state {
				t.Errorf("%s in %s: %s, health %+v", sv.Addr, p.Name, sv.Reason, h)
			}
		}
	}
}
