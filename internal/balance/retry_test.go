package balance

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/alloctest"
)

const second = int64(time.Second)

func TestRetryBudgetFollowsTheRequests(t *testing.T) {
	for _, c := range []struct{ percent, perSecond, rate, want int }{ // want: retries in 100 s when all are tried again
		{20, 10, 0, 1000 + 100},
		{20, 0, 1000, 20_000},
		{20, 10, 1000, 21_000 + 100},
		{100, 0, 500, 50_000},
		{0, 0, 1000, 0},
	} {
		b := NewRetryBudget(c.percent, c.perSecond)
		now, allowed, asked := second, 0, 0
		for range 100 * 100 { // steps of 10 ms
			now += second / 100
			b.Requests(int64(c.rate) / 100)
			for range max(c.rate/100, 1) {
				asked++
				if b.Allow(now) {
					allowed++
				}
			}
		}
		if allowed < c.want*97/100 || allowed > c.want*103/100+1 {
			t.Errorf("%d%% and %d/s of %d requests/s: %d retries, want about %d", c.percent, c.perSecond, c.rate, allowed, c.want)
		}
		if got := int(b.Refused()); got != asked-allowed {
			t.Errorf("%d refused, want %d", got, asked-allowed)
		}
	}
}

func TestRetryBudgetForgets(t *testing.T) {
	b := NewRetryBudget(10, 0)
	b.Allow(second)
	b.Requests(1000)
	// An hour in which 1000 requests came: in the last ten seconds some three, which is no retry yet.
	if b.Allow(3600 * second) {
		t.Error("a retry for requests of an hour ago")
	}
	b.Requests(1000)
	now := 3601 * second
	if !b.Allow(now) {
		t.Error("none for the requests of the last second")
	}
	for i := range 600 { // time passes with nothing to do
		now = (3601 + int64(i)) * second
		b.update(now)
	}
	if b.Allow(now) {
		t.Error("a retry for requests of ten minutes ago")
	}
	if b.Allow(now - 100*second) {
		t.Error("a retry because the clock went back")
	}
}

func TestRetryBudgetNeverExceeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		percent, perSecond := rapid.IntRange(0, 100).Draw(t, "percent"), rapid.IntRange(0, 100).Draw(t, "perSecond")
		b := NewRetryBudget(percent, perSecond)
		start := rapid.Int64Range(1, 1<<60).Draw(t, "start")
		now, requests, allowed := start, int64(0), 0
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now += rapid.Int64Range(0, 20*second).Draw(t, "wait")
			n := rapid.Int64Range(0, 1000).Draw(t, "requests")
			b.Requests(n)
			requests += n
			for range rapid.IntRange(0, 300).Draw(t, "retries") {
				if b.Allow(now) {
					allowed++
				}
			}
			most := float64(requests)*float64(percent)/100 + float64(perSecond)*(float64(now-start)/1e9+10)
			if float64(allowed) > most+0.001 {
				t.Fatalf("%d retries after %d requests and %d ms", allowed, requests, (now-start)/1e6)
			}
		}
	})
}

func TestRetryBudgetOfManyWorkers(t *testing.T) {
	b := NewRetryBudget(50, 0)
	b.Requests(2000)
	var wg sync.WaitGroup
	got := make([]int, 4)
	for w := range got {
		wg.Go(func() {
			for k := range int64(1000) {
				if b.Allow(second + k) { // less than what brings it up to date twice
					got[w]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range got {
		sum += n
	}
	// One of them accounts for the requests while the others may ask already.
	if sum+int(b.Refused()) != 4000 || sum > 1000 {
		t.Errorf("%d allowed, %d refused", sum, b.Refused())
	}
}

func TestRetryBudgetAllocatesNothing(t *testing.T) {
	b := NewRetryBudget(50, 1)
	now := second
	if n := alloctest.PerRun(100, func() { now += second; b.Requests(1); b.Allow(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRetryBudget(b *testing.B) {
	r := NewRetryBudget(20, 10)
	b.Run("Requests", func(b *testing.B) {
		for b.Loop() {
			r.Requests(1)
		}
	})
	b.Run("Allow", func(b *testing.B) {
		now := second
		for b.Loop() {
			now += 1000
			r.Allow(now)
		}
	})
}

// The first moment has a budget already: an engine starts in less than a millisecond.
func TestBudgetFromTheFirstMoment(t *testing.T) {
	if b := NewRetryBudget(0, 10); !b.Allow(1) {
		t.Error("no retry in the first nanosecond")
	}
}
