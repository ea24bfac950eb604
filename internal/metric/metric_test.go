package metric

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/alloctest"
)

func TestCountersAddUpOverWorkers(t *testing.T) {
	const workers, n, times = 4, 7, 1000
	c := NewCounters(workers, n)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			b := c.Worker(w)
			for i := range times {
				b.Inc(i % n)
				b.Add(0, 2)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for last := uint64(0); ; { // a reader beside them sees sums that only rise
		now := c.Sum(0)
		if now < last {
			t.Fatalf("counter fell from %d to %d", last, now)
		}
		last = now
		select {
		case <-done:
		default:
			continue
		}
		break
	}
	var sum uint64
	for i := range c.Len() {
		sum += c.Sum(i)
	}
	if want := uint64(workers * times * 3); sum != want {
		t.Errorf("sum of all counters is %d, want %d", sum, want)
	}
}

func TestGaugeAcrossWorkers(t *testing.T) {
	c := NewCounters(2, 1)
	c.Worker(0).Add(0, 3)
	c.Worker(1).Add(0, ^uint64(0)) // one worker opens, another closes
	if got := c.Sum(0); got != 2 {
		t.Errorf("3 up and 1 down gives %d, want 2", got)
	}
}

func TestBlocksShareNoCacheLine(t *testing.T) {
	c := NewCounters(8, 3)
	for a := range 8 {
		for b := range a {
			x, y := uintptr(unsafe.Pointer(&c.Worker(a).v[0])), uintptr(unsafe.Pointer(&c.Worker(b).v[0]))
			if d := max(x, y) - min(x, y); d < 128 {
				t.Errorf("workers %d and %d are %d bytes apart", a, b, d)
			}
		}
	}
}

func TestBucketsTouch(t *testing.T) {
	for i := range overflow {
		low, next := lowerNS(i), lowerNS(i+1)
		if next <= low {
			t.Fatalf("bucket %d starts at %d, the next at %d", i, low, next)
		}
		if bucketOf(low) != i || bucketOf(next-1) != i {
			t.Fatalf("bucket %d holds %d to %d, but these are in %d and %d", i, low, next-1, bucketOf(low), bucketOf(next-1))
		}
		if i > 0 && float64(next-low)/2 > 0.016*float64(low) {
			t.Errorf("bucket %d at %d ns is %d wide", i, low, next-low)
		}
	}
	if bucketOf(math.MaxUint64) != overflow || bucketOf(lowerNS(overflow)) != overflow {
		t.Error("long durations are not in the last bucket")
	}
	if lowerNS(overflow) < 128e9 || lowerNS(1) > 1100 {
		t.Errorf("range is %d to %d ns, want 1 µs to 128 s", lowerNS(1), lowerNS(overflow))
	}
}

// durations draws from 1 µs to 128 s, evenly over the orders of magnitude.
func durations(r *rand.Rand, n int) []int64 {
	d := make([]int64, n)
	for i := range d {
		d[i] = int64(1024 * math.Exp(r.Float64()*math.Log(125e6)))
	}
	return d
}

func TestQuantilesAreWithinThreePercent(t *testing.T) {
	for seed := range uint64(20) {
		d := durations(rand.New(rand.NewPCG(seed, 1)), 5000)
		h := NewHistogram(1)
		var sum uint64
		for _, ns := range d {
			h.Worker(0).Record(ns)
			sum += uint64(ns)
		}
		slices.Sort(d)
		s := h.Snapshot()
		if s.Count != uint64(len(d)) || s.SumNS != sum {
			t.Fatalf("seed %d: count %d sum %d, want %d %d", seed, s.Count, s.SumNS, len(d), sum)
		}
		for _, p := range []float64{0, .01, .25, .5, .9, .99, .999, 1} {
			want := float64(d[max(0, int(math.Ceil(p*float64(len(d))))-1)])
			if got := s.QuantileNS(p); math.Abs(got-want) > 0.0313*want {
				t.Errorf("seed %d: quantile %g is %.0f ns, want %.0f", seed, p, got, want)
			}
		}
	}
}

func TestExtremeDurations(t *testing.T) {
	h := NewHistogram(1)
	if q := h.Snapshot().QuantileNS(.5); q != 0 {
		t.Errorf("median of nothing is %v", q)
	}
	for _, ns := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		h.Worker(0).Record(ns)
	}
	s := h.Snapshot()
	if s.Count != 5 || s.QuantileNS(.5) > 1024 || s.QuantileNS(1) != float64(lowerNS(overflow)) {
		t.Errorf("count %d median %v maximum %v", s.Count, s.QuantileNS(.5), s.QuantileNS(1))
	}
}

func TestMergeIsAdditionAndSubUndoesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.SliceOf(rapid.Int64Range(-10, 300e9))
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		one, two, both := NewHistogram(1), NewHistogram(1), NewHistogram(2)
		for _, ns := range a {
			one.Worker(0).Record(ns)
			both.Worker(0).Record(ns)
		}
		for _, ns := range b {
			two.Worker(0).Record(ns)
			both.Worker(1).Record(ns)
		}
		sum := one.Snapshot()
		sum.Merge(two.Snapshot())
		if *sum != *both.Snapshot() {
			t.Fatal("the merged snapshots are not the snapshot of all")
		}
		sum.Sub(one.Snapshot())
		if *sum != *two.Snapshot() {
			t.Fatal("taking one of two away does not leave the other")
		}
	})
}

func TestBucketsAreCumulative(t *testing.T) {
	bounds := []float64{.0001, .001, .01, .1, .5, 1, 5, 32, 1000}
	d := durations(rand.New(rand.NewPCG(1, 2)), 10000)
	h := NewHistogram(1)
	for _, ns := range d {
		h.Worker(0).Record(ns)
	}
	got := h.Snapshot().Buckets(bounds)
	for _, bound := range bounds {
		var low, high uint64 // within the bucket that the bound cuts
		for _, ns := range d {
			if float64(ns) <= bound*1e9*.984 {
				low++
			}
			if float64(ns) <= bound*1e9*1.016 {
				high++
			}
		}
		if got[bound] < low || got[bound] > high {
			t.Errorf("%d durations up to %v s, want %d to %d", got[bound], bound, low, high)
		}
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	b, r := NewCounters(1, 4).Worker(0), NewHistogram(1).Worker(0)
	if n := alloctest.PerRun(100, func() { b.Inc(1); b.Add(2, 5); r.Record(123456) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkInc(b *testing.B) {
	block := NewCounters(1, 64).Worker(0)
	for i := 0; b.Loop(); i++ {
		block.Inc(i & 63)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := NewHistogram(1).Worker(0)
	d := durations(rand.New(rand.NewPCG(1, 1)), 1024)
	for i := 0; b.Loop(); i++ {
		r.Record(d[i&1023])
	}
}

func BenchmarkSnapshot(b *testing.B) {
	h := NewHistogram(4)
	for b.Loop() {
		h.Snapshot()
	}
}
