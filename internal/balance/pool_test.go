package balance

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/alloctest"
)

var algorithms = []Algorithm{ConsistentHash, RoundRobin, Random, LeastConnections, FewestTasks}

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 5060)
}

// newPool returns a pool of servers that are up, with these ratios.
func newPool(a Algorithm, ratios ...uint32) *Pool {
	c := &Config{Algorithm: a, Secret: [2]uint64{1, 2}}
	for i, r := range ratios {
		c.Servers = append(c.Servers, ServerConfig{Addr: addr(i), Ratio: r, Condition: Up})
	}
	return New(c, nil)
}

func equal(n int) []uint32 { return slices.Repeat([]uint32{1}, n) }

func TestSharesFollowTheRatio(t *testing.T) {
	ratios := []uint32{1, 2, 3, 5, 8, 20, 1}
	for _, a := range algorithms {
		t.Run(a.String(), func(t *testing.T) {
			p := newPool(a, ratios...)
			const calls = 40_000
			got := make([]float64, len(ratios))
			for k := range uint64(calls) {
				got[p.Pick(mix(k), nil)]++
			}
			for i, share := range p.Shares() {
				want := share * calls
				if math.Abs(got[i]-want) > 5*math.Sqrt(want)+1 {
					t.Errorf("server %d of ratio %d got %.0f of %d calls, want %.0f", i, ratios[i], got[i], calls, want)
				}
				if math.Abs(share-float64(ratios[i])/40) > 0.01*share {
					t.Errorf("server %d of ratio %d is meant to have a share of %.4f", i, ratios[i], share)
				}
			}
		})
	}
}

func TestLeastLoadedFollowsTheRatioUnderLoad(t *testing.T) {
	for _, n := range []int{7, maxLooks, 1000} {
		for _, a := range []Algorithm{LeastConnections, FewestTasks} {
			ratios := equal(n)
			total := uint32(0)
			for i := range ratios {
				ratios[i] += uint32(i % 4)
				total += ratios[i]
			}
			p := newPool(a, ratios...)
			for k := range 20 * total {
				s := p.Server(p.Pick(uint64(k), nil)).State
				s.Calls.Add(1)
				s.OpenTransactions.Add(1)
			}
			for i := range p.Servers() {
				got, want := p.Server(int32(i)).State.Calls.Load(), int64(20*ratios[i])
				if n <= maxLooks && got != want || got < want-9 || got > want+9 {
					t.Errorf("%v, %d servers: server %d of ratio %d has %d calls, want %d", a, n, i, ratios[i], got, want)
				}
			}
		}
	}
}

func TestRoundRobinIsSmooth(t *testing.T) {
	ratios := []uint32{6, 4, 2, 2, 2, 20}
	p := newPool(RoundRobin, ratios...)
	last := map[int32]int{}
	for k := range 200 {
		i := p.Pick(0, nil)
		if before, ok := last[i]; ok {
			if gap, mean := k-before, 36/float64(ratios[i]); float64(gap) > 2*mean+1 {
				t.Errorf("server %d waits %d turns, in the mean %.1f", i, gap, mean)
			}
		}
		last[i] = k
	}
	if len(p.turns) != 18 {
		t.Errorf("a round has %d turns, want 18: the ratios have 2 in common", len(p.turns))
	}
}

func TestTurnsAreBounded(t *testing.T) {
	ratios := equal(500)
	for i := range ratios {
		ratios[i] = uint32(999 + i)
	}
	ratios[0] = 1
	if n := len(newPool(RoundRobin, ratios...).turns); n > maxTurns+len(ratios) {
		t.Errorf("%d turns", n)
	}
}

func TestPickFindsOneIffOneFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(algorithms).Draw(t, "algorithm")
		n := rapid.IntRange(0, 4).Draw(t, "servers")
		if a != ConsistentHash {
			n = rapid.IntRange(0, maxLooks).Draw(t, "more servers")
		}
		c := &Config{Algorithm: a, MaxOpenTransactions: rapid.Int64Range(0, 3).Draw(t, "limit")}
		for i := range n {
			c.Servers = append(c.Servers, ServerConfig{
				Addr:      addr(i),
				Ratio:     rapid.Uint32Range(0, 20).Draw(t, "ratio"),
				Condition: rapid.SampledFrom([]Condition{0, Up, Up, Up, Up | Draining, Disabled, Up | Disabled, Up | Backoff}).Draw(t, "condition"),
			})
		}
		p := New(c, nil)
		tried := rapid.SliceOfN(rapid.Int32Range(0, int32(max(0, n-1))), 0, 3).Draw(t, "tried")
		fits := 0
		for i := range p.Servers() {
			s := p.Server(int32(i))
			s.State.OpenTransactions.Store(rapid.Int64Range(-1, 3).Draw(t, "open"))
			if p.Condition(int32(i)).Selectable() && p.fits(int32(i), tried) {
				fits++
			}
		}
		for range 5 {
			i := p.Pick(rapid.Uint64().Draw(t, "h"), tried)
			if (i < 0) != (fits == 0) {
				t.Fatalf("%d servers fit, picked %d", fits, i)
			}
			if i >= 0 && (p.Condition(i) != Up || !p.fits(i, tried)) {
				t.Fatalf("picked %d: %v, tried %v", i, p.Condition(i), tried)
			}
		}
	})
}

func TestLimitInALargePool(t *testing.T) {
	for _, a := range algorithms {
		const n = 1000
		c := &Config{Algorithm: a, MaxOpenTransactions: 2}
		for i := range n {
			c.Servers = append(c.Servers, ServerConfig{Addr: addr(i), Condition: Up})
		}
		p := New(c, nil)
		var taken int
		for k := range uint64(20 * n) {
			i := p.Pick(mix(k), []int32{7})
			if i < 0 {
				continue
			}
			if i == 7 || p.Server(i).State.OpenTransactions.Add(1) > 2 {
				t.Fatalf("%v: picked %d with %d open", a, i, p.Server(i).State.OpenTransactions.Load())
			}
			taken++
		}
		if taken != 2*(n-1) {
			t.Errorf("%v: %d of %d places taken", a, taken, 2*(n-1))
		}
	}
}

// TestLimitOfManyWorkers: workers that pick at the same moment exceed the limit by one each at the most.
func TestLimitOfManyWorkers(t *testing.T) {
	const workers, limit, n = 4, 3, 5
	for _, a := range algorithms {
		c := &Config{Algorithm: a, MaxOpenTransactions: limit}
		for i := range n {
			c.Servers = append(c.Servers, ServerConfig{Addr: addr(i), Condition: Up})
		}
		p := New(c, nil)
		var wg sync.WaitGroup
		refused := make([]uint64, workers)
		for w := range workers {
			wg.Go(func() {
				var open []int32
				for k := range uint64(3000) {
					i := p.Pick(mix(k+uint64(w)<<32), nil)
					if i < 0 {
						refused[w]++
					} else {
						open = append(open, i)
						if got := p.Server(i).State.OpenTransactions.Add(1); got > limit+workers-1 {
							t.Errorf("%v: server %d has %d open", a, i, got)
						}
					}
					if len(open) > 0 && k%2 == 1 {
						p.Server(open[0]).State.OpenTransactions.Add(-1)
						open = open[1:]
					}
				}
			})
		}
		wg.Wait()
		var sum uint64
		for _, n := range refused {
			sum += n
		}
		if sum == 0 || p.Full() != sum {
			t.Errorf("%v: %d refused, %d counted", a, sum, p.Full())
		}
	}
}

// TestFullCountsWhatTheLimitRefused: not servers that are down or were tried, and over changes of the configuration.
func TestFullCountsWhatTheLimitRefused(t *testing.T) {
	for _, a := range algorithms {
		c := &Config{Algorithm: a, MaxOpenTransactions: 1, Servers: []ServerConfig{{Addr: addr(0), Condition: Up}, {Addr: addr(1), Condition: Up}}}
		p := New(c, nil)
		p.Pick(1, []int32{0, 1})
		p.With(Change{Index: 0, Clear: Up}, Change{Index: 1, Clear: Up}).Pick(1, nil)
		if n := p.Full(); n != 0 {
			t.Errorf("%v: %d counted without anybody at the limit", a, n)
		}
		for range 2 {
			p.Server(p.Pick(1, nil)).State.OpenTransactions.Add(1)
		}
		if i := p.Pick(1, nil); i != -1 || p.Full() != 1 {
			t.Errorf("%v: picked %d, counted %d", a, i, p.Full())
		}
		if a == ConsistentHash && (p.Home(1) < 0 || p.Full() != 1) {
			t.Errorf("the key lives at %d, counted %d", p.Home(1), p.Full())
		}
		c.MaxOpenTransactions = 2
		if p = New(c, p); p.Pick(1, nil) < 0 || p.Full() != 1 {
			t.Errorf("%v: no room with a higher limit, or %d counted", a, p.Full())
		}
	}
}

func TestHashSecondChoiceIsWhereTheKeyGoesWhenTheFirstIsDown(t *testing.T) {
	for _, n := range []int{3, 20, maxLooks + 20} {
		p := newPool(ConsistentHash, equal(n)...)
		for k := range uint64(30) {
			h := mix(k)
			first := p.Pick(h, nil)
			second := p.Pick(h, []int32{first})
			if k < 3 {
				if got := p.With(Change{Index: first, Clear: Up}).Pick(h, nil); got != second {
					t.Errorf("%d servers: %d after %d failed, %d once it is down", n, second, first, got)
				}
			}
			p.Server(first).State.OpenTransactions.Store(5)
			p.limit = 5
			if got := p.Pick(h, nil); got != second {
				t.Errorf("%d servers: %d after %d failed, %d when it is full", n, second, first, got)
			}
			p.Server(first).State.OpenTransactions.Store(0)
			p.limit = 0
		}
	}
}

func TestWith(t *testing.T) {
	p := newPool(ConsistentHash, equal(6)...)
	if p.With() != p || p.With(Change{Index: 2, Set: Up}) != p {
		t.Error("a change of nothing makes another view")
	}
	draining := p.With(Change{Index: 2, Set: Draining}, Change{Index: 3, Clear: Up})
	if p.Selectable() != 6 || draining.Selectable() != 4 {
		t.Errorf("selectable %d, then %d", p.Selectable(), draining.Selectable())
	}
	if got := draining.Condition(2).String() + " " + draining.Condition(3).String(); got != "draining down" {
		t.Error(got)
	}
	// A server that drains and goes down moves nothing: it had no new calls already.
	both := draining.With(Change{Index: 2, Clear: Up})
	if both.table != draining.table {
		t.Error("the table changed though the selectable servers did not")
	}
	back := both.With(Change{Index: 2, Set: Up, Clear: Draining}, Change{Index: 3, Set: Up})
	if n := back.table.Moved(p.table); n != 0 {
		t.Errorf("%d slots are not where they were", n)
	}
	if p.Server(2).State.Condition() != 0 {
		t.Error("With published")
	}
	draining.Publish()
	if got := p.Server(2).State.Condition(); got != Up|Draining {
		t.Errorf("published %v", got)
	}
}

func TestNewKeepsWhatIsKnown(t *testing.T) {
	for _, a := range algorithms {
		c := &Config{Algorithm: a, Secret: [2]uint64{3, 4}}
		for i := range 6 {
			c.Servers = append(c.Servers, ServerConfig{Addr: addr(i), Condition: Up})
		}
		old := New(c, nil).With(Change{Index: 1, Clear: Up}, Change{Index: 4, Set: Backoff | Draining})
		d := *c
		d.Servers = slices.Clone(c.Servers[1:])
		slices.Reverse(d.Servers) // 5 4 3 2 1, and one more
		d.Servers = append(d.Servers, ServerConfig{Addr: addr(77), Condition: Up})
		p := New(&d, old)
		for i := range p.Servers() {
			s := p.Server(int32(i))
			if s.PoolIndex != int32(i) || p.Find(s.ID) != int32(i) || p.FindAddr(s.Addr) != int32(i) {
				t.Errorf("server %d: index %d, found at %d and %d", i, s.PoolIndex, p.Find(s.ID), p.FindAddr(s.Addr))
			}
			if j := old.FindAddr(s.Addr); j >= 0 && (s.State != old.Server(j).State || s.ID != old.Server(j).ID) {
				t.Errorf("%v lost its state", s.Addr)
			}
		}
		// What was learnt stays; draining was not learnt but configured, and is not any more.
		if p.Condition(4) != 0 || p.Condition(1) != Up|Backoff || p.Condition(5) != Up {
			t.Errorf("conditions are %v, %v, %v", p.Condition(4), p.Condition(1), p.Condition(5))
		}
		if p.Find(1) != -1 || p.FindAddr(addr(0)) != -1 {
			t.Error("found what is not there")
		}
		if a != ConsistentHash {
			continue
		}
		fresh := New(&d, nil).With(Change{Index: 4, Clear: Up}, Change{Index: 1, Set: Backoff})
		if n := p.table.Moved(fresh.table); n != 0 {
			t.Errorf("%d slots depend on what was before", n)
		}
	}
}

// TestMinUp: with too few servers up nobody is picked, and nothing moves by it.
func TestMinUp(t *testing.T) {
	for _, a := range algorithms {
		c := &Config{Algorithm: a, Secret: [2]uint64{1, 2}, MinUp: 3}
		for i := range 5 {
			c.Servers = append(c.Servers, ServerConfig{Addr: addr(i), Condition: Up})
		}
		c.Servers[4].Condition |= Draining // is up to those it has, and counts no more
		p := New(c, nil)
		check := func(what string, q *Pool, up int, short bool) {
			t.Helper()
			i, selectable, share := q.Pick(7, nil), q.Selectable(), 0.0
			for _, s := range q.Shares() {
				share += s
			}
			if q.Up() != up || q.Short() != short || (i < 0) != short || (selectable == 0) != short || (share == 0) != short {
				t.Errorf("%v, %s: %d up, short %v, picked %d of %d, shares of %.2f in all", a, what, q.Up(), q.Short(), i, selectable, share)
			}
		}
		check("four up", p, 4, false)
		three := p.With(Change{Index: 0, Clear: Up})
		check("three up", three, 3, false)
		backoff := three.With(Change{Index: 1, Set: Backoff})
		check("one of the three backs off", backoff, 3, false)
		two := backoff.With(Change{Index: 1, Clear: Up}) // the same servers can be selected as before
		check("two up", two, 2, true)
		if a == ConsistentHash && two.Home(7) < 0 {
			t.Error("with too few up the key lives nowhere")
		}
		again := two.With(Change{Index: 1, Set: Up, Clear: Backoff})
		check("three again", again, 3, false)
		if a == ConsistentHash && again.table.Moved(three.table) != 0 {
			t.Errorf("%d slots are not where they were", again.table.Moved(three.table))
		}
		check("disabled", three.With(Change{Index: 2, Set: Disabled}), 2, true)
		check("drains", three.With(Change{Index: 2, Set: Draining}), 2, true)
		c.MinUp = 2
		check("fewer are enough", New(c, two), 2, false)
		c.MinUp = 0
		check("none need be", New(c, two), 2, false)
	}
}

func TestEmptyAndDownPools(t *testing.T) {
	for _, a := range algorithms {
		if i := New(&Config{Algorithm: a}, nil).Pick(1, nil); i != -1 {
			t.Errorf("%v: picked %d of none", a, i)
		}
		p := newPool(a, 1, 1).With(Change{Index: 0, Clear: Up}, Change{Index: 1, Set: Disabled})
		if i := p.Pick(1, nil); i != -1 {
			t.Errorf("%v: picked %d, %v", a, i, p.Condition(i))
		}
	}
}

// TestPickWhileHealthChanges is for the race detector: many pick, one swaps views.
func TestPickWhileHealthChanges(t *testing.T) {
	for _, a := range algorithms {
		t.Run(a.String(), func(t *testing.T) {
			var view atomic.Pointer[Pool]
			view.Store(newPool(a, 1, 2, 3, 4))
			var wg sync.WaitGroup
			var stop atomic.Bool
			for w := range 3 {
				wg.Go(func() {
					for k := uint64(w); !stop.Load(); k++ {
						p := view.Load()
						i := p.Pick(mix(k), nil)
						if i < 0 || !p.Condition(i).Selectable() {
							t.Errorf("picked %d", i)
							return
						}
						s := p.Server(i).State
						s.OpenTransactions.Add(1)
						s.Condition()
						s.OpenTransactions.Add(-1)
					}
				})
			}
			for k := range int32(300) {
				p := view.Load().With(Change{Index: k % 3, Clear: Up}, Change{Index: (k + 1) % 3, Set: Up})
				p.Publish()
				view.Store(p)
			}
			stop.Store(true)
			wg.Wait()
		})
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	for _, a := range algorithms {
		for _, n := range []int{3, 20, 300} {
			p := newPool(a, equal(n)...)
			p.limit = 1
			p.Server(0).State.OpenTransactions.Store(1)
			tried := []int32{1, 2}
			h := uint64(0)
			if got := alloctest.PerRun(200, func() { h++; p.Pick(mix(h), nil); p.Pick(mix(h), tried) }); got != 0 {
				t.Errorf("%v, %d servers: %v allocations", a, n, got)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, a := range algorithms {
		for _, n := range []int{3, 10, 100, 1000} {
			for name, limit := range map[string]int64{"": 0, "/limit": 1000} {
				b.Run(fmt.Sprintf("%v/%d%s", a, n, name), func(b *testing.B) {
					p := newPool(a, equal(n)...)
					p.limit = limit
					h := uint64(0)
					for b.Loop() {
						h += golden
						p.Pick(h, nil)
					}
				})
			}
		}
	}
}

func BenchmarkWith(b *testing.B) {
	for _, n := range []int{3, 10, 100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := newPool(ConsistentHash, equal(n)...)
			for b.Loop() {
				p.With(Change{Index: 1, Clear: Up})
			}
		})
	}
}
