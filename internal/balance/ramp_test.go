package balance

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func rampPool(a Algorithm, ratios ...uint32) *Pool {
	c := &Config{Algorithm: a, Secret: [2]uint64{1, 2}}
	for i, r := range ratios {
		c.Servers = append(c.Servers, ServerConfig{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 5060), Ratio: r, Condition: Up})
	}
	return New(c, nil)
}

// While a server ramps up, keys only ever move to it, each once; in the end placement is what it would be without.
func TestRampMovesLittle(t *testing.T) {
	for _, ratios := range [][]uint32{{1, 1}, {1, 1, 1, 1, 1, 1, 1}, {3, 1, 20, 5, 5, 1}} {
		whole := rampPool(ConsistentHash, ratios...)
		const keys = 30000
		home := func(p *Pool) (out [keys]int32) {
			for k := range out {
				out[k] = p.Pick(mix(uint64(k)), nil)
			}
			return out
		}
		p := whole.With(Change{Index: 1, Clear: Up})
		before := home(p)
		for step := range uint8(RampSteps) {
			p = p.With(Change{Index: 1, Set: Up, Ramp: step + 1})
			now := home(p)
			count := 0
			for k := range now {
				if now[k] != before[k] && now[k] != 1 {
					t.Fatalf("ratios %v, step %d: key %d moves from %d to %d", ratios, step+1, k, before[k], now[k])
				}
				if now[k] == 1 {
					count++
				}
			}
			if want := p.Shares()[1] * keys; float64(count) < want*.9-40 || float64(count) > want*1.1+40 {
				t.Errorf("ratios %v, step %d: %d keys, want about %.0f", ratios, step+1, count, want)
			}
			before = now
		}
		if home(whole) != before || p.ramp != nil {
			t.Errorf("ratios %v: the placement in the end is another", ratios)
		}
	}
}

// Who takes turns has as many of them as the share says, spread over the rounds.
func TestRampTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "servers")
		ratios := make([]uint32, n)
		for i := range ratios {
			ratios[i] = rapid.Uint32Range(1, 5).Draw(t, "ratio")
		}
		p := rampPool(RoundRobin, ratios...)
		steps := make([]uint8, n)
		for i := range steps {
			steps[i] = rapid.Uint8Range(1, RampSteps).Draw(t, "step")
			p = p.With(Change{Index: int32(i), Ramp: steps[i]})
		}
		counts := make([]int, n)
		for range len(p.turns) {
			counts[p.Pick(0, nil)]++
		}
		common := counts[0] * int(ratios[n-1]) * int(steps[n-1])
		if other := counts[n-1] * int(ratios[0]) * int(steps[0]); common != other {
			t.Fatalf("ratios %v steps %v: turns %v", ratios, steps, counts)
		}
	})
}

// A change of the configuration keeps the ramp of the servers that stay.
func TestRampStays(t *testing.T) {
	p := rampPool(ConsistentHash, 1, 1, 1).With(Change{Index: 0, Ramp: 2}, Change{Index: 1, Ramp: 3}).With(Change{Index: 0, Ramp: 10})
	c := &Config{Secret: [2]uint64{1, 2}}
	for _, i := range rand.Perm(3) {
		c.Servers = append(c.Servers, ServerConfig{Addr: p.servers[i].Addr, Condition: Up})
	}
	q := New(c, p)
	for i := range q.servers {
		want := uint8(RampSteps)
		if q.servers[i].Addr == p.servers[1].Addr {
			want = 3
		}
		if q.Ramp(int32(i)) != want {
			t.Errorf("%s has %d parts, want %d", q.servers[i].Addr, q.Ramp(int32(i)), want)
		}
	}
}
