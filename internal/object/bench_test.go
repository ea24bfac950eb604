package object

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// manyServices is a farm: n virtual services, each with a VIP and a pool of 20 servers of its own.
func manyServices(n int) *Set {
	s := &Set{}
	m := New[HealthMonitor]("options")
	m.UUID, m.Type = "healthmonitor-1", MonitorSIP
	s.Add(AnyOf(&m))
	for i := range n {
		name := fmt.Sprintf("service-%d", i)
		vip, pool, vs := New[VsVip](name), New[Pool](name), New[VirtualService](name)
		vip.UUID, pool.UUID, vs.UUID = "vsvip-"+name, "pool-"+name, "virtualservice-"+name
		vip.Vip = []Vip{{VipID: "1", Enabled: true, IPAddress: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}}
		for j := range 20 {
			pool.Servers = append(pool.Servers, NewServer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2 + byte(j), byte(i >> 8), byte(i)}), 5060)))
		}
		pool.HealthMonitorRefs = []string{"options"}
		vs.VsVipRef, vs.PoolRef, vs.Services = name, name, []Service{{Port: 5060}}
		s.Add(AnyOf(&vip))
		s.Add(AnyOf(&pool))
		s.Add(AnyOf(&vs))
	}
	return s
}

func BenchmarkValidateTogether1000Services(b *testing.B) {
	s := manyServices(1000)
	if err := s.Validate(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.ValidateTogether(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckPool20Servers(b *testing.B) {
	a := AnyOf(manyServices(1).Pools[0])
	for b.Loop() {
		if err := Check(a); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePool20Servers(b *testing.B) {
	data := AnyOf(manyServices(1).Pools[0]).JSON(JSONOptions{})
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Decode("Pool", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONPool20Servers(b *testing.B) {
	a := AnyOf(manyServices(1).Pools[0])
	for b.Loop() {
		a.JSON(JSONOptions{MapRef: func(r Ref) string { return "https://host/api/x/" + r.Value }})
	}
}

// TestSpeed holds what a change of the store costs, several times what it takes; the best of five counts.
func TestSpeed(t *testing.T) {
	s := manyServices(1000)
	pool := AnyOf(s.Pools[0])
	data := pool.JSON(JSONOptions{})
	for _, c := range []struct {
		what  string
		bound time.Duration
		times int
		do    func() error
	}{
		{"ValidateTogether of 1,000 services with 20 servers each", 10 * time.Millisecond, 10, s.ValidateTogether},
		{"Check of a pool of 20 servers", 500 * time.Microsecond, 100, func() error { return Check(pool) }},
		{"Decode of a pool of 20 servers", 2500 * time.Microsecond, 100, func() error { _, err := Decode("Pool", data); return err }},
	} {
		best := time.Hour
		for range 5 {
			start := cpuTime(t)
			for range c.times {
				if err := c.do(); err != nil {
					t.Fatal(err)
				}
			}
			best = min(best, (cpuTime(t)-start)/time.Duration(c.times))
		}
		if best > c.bound && !raceEnabled {
			t.Errorf("%s takes %v", c.what, best)
		}
	}
}
