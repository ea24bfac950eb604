package balance

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// farm is ten servers, of which one is ten times as slow; each works on one request at a time. It is simulated: what is
// measured is how long requests wait, in its own time.
type farm struct {
	pool    *Pool
	service []time.Duration
	free    []time.Duration // when each is done with all that waits there
	ends    ends
}

type end struct {
	at, took time.Duration
	server   int32
}

type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }
func (e *ends) Pop() any          { x := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return x }

func newFarm(a Algorithm, servers int) *farm {
	f := &farm{pool: rampPool(a, slices.Repeat([]uint32{1}, servers)...), free: make([]time.Duration, servers)}
	for i := range servers {
		f.service = append(f.service, 2*time.Millisecond)
		if i == 3 {
			f.service[i] = 20 * time.Millisecond
		}
	}
	return f
}

// run gives the 99th percentile of the times to an answer of n requests, and how many the slow server had.
func (f *farm) run(n int, every time.Duration) (p99 time.Duration, slow int) {
	r := rand.New(rand.NewPCG(1, 2))
	var took []time.Duration
	now := time.Duration(0)
	for k := range n {
		now += time.Duration(r.ExpFloat64() * float64(every))
		for len(f.ends) > 0 && f.ends[0].at <= now {
			e := heap.Pop(&f.ends).(end)
			s := f.pool.servers[e.server].State
			s.OpenTransactions.Add(-1)
			s.Responded(uint64(e.took.Microseconds()))
		}
		i := f.pool.Pick(mix(uint64(k)), nil)
		if i == 3 {
			slow++
		}
		f.pool.servers[i].State.OpenTransactions.Add(1)
		f.free[i] = max(now, f.free[i]) + time.Duration(r.ExpFloat64()*float64(f.service[i]))
		took = append(took, f.free[i]-now)
		heap.Push(&f.ends, end{f.free[i], f.free[i] - now, i})
	}
	slices.Sort(took)
	return took[len(took)*99/100], slow
}

// Who goes by load keeps calls away from a server that is slow, and the 99th percentile low: docs/benchmarks.md has the
// figures.
func TestSlowServer(t *testing.T) {
	const n = 40000
	every := time.Second / 2000 // of 4,550 a second that they could do; a tenth is four times what the slow one can
	p99 := map[Algorithm]time.Duration{}
	for _, a := range []Algorithm{ConsistentHash, RoundRobin, Random, LeastConnections, LeastLoad, FastestResponse} {
		var slow int
		p99[a], slow = newFarm(a, 10).run(n, every)
		t.Logf("%-18s p99 %8.1f ms, the slow server had %4.1f %%", a, float64(p99[a].Microseconds())/1000, float64(slow)*100/n)
	}
	for _, a := range []Algorithm{LeastLoad, FastestResponse} {
		if p99[a]*20 > p99[ConsistentHash] {
			t.Errorf("%s: p99 %v, of the consistent hash %v", a, p99[a], p99[ConsistentHash])
		}
	}
}

// A server that was slow and is slow no more gets its share again.
func TestRecovers(t *testing.T) {
	for _, a := range []Algorithm{LeastLoad, FastestResponse} {
		f := newFarm(a, 4)
		f.run(20000, time.Second/800)
		f.service[3] = 2 * time.Millisecond
		f.free = make([]time.Duration, 4)
		f.ends = nil
		for _, s := range f.pool.servers {
			s.State.OpenTransactions.Store(0)
		}
		f.run(10000, time.Second/800)
		if _, slow := f.run(20000, time.Second/800); slow < 2000 {
			t.Errorf("%s: the server that recovered had %d of 20000", a, slow)
		}
	}
}

func BenchmarkPickOfTwo(b *testing.B) {
	p := rampPool(LeastLoad, slices.Repeat([]uint32{1}, 20)...)
	for range b.N {
		p.Pick(0, nil)
	}
}
