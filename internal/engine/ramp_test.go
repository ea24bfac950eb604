package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/object"
)

func TestRampStep(t *testing.T) {
	for _, c := range []struct {
		passed  time.Duration
		minutes int
		want    uint8
	}{
		{-time.Second, 10, 1}, {0, 10, 1}, {59 * time.Second, 10, 1}, {70 * time.Second, 10, 2}, {5 * time.Minute, 10, 5}, {9*time.Minute + 59*time.Second, 10, 9},
		{10 * time.Minute, 10, 10}, {time.Hour, 10, 10}, {0, 0, 10}, {150 * time.Minute, 300, 5},
	} {
		if got := rampStep(c.passed, c.minutes); got != c.want {
			t.Errorf("%v of %d min: step %d, want %d", c.passed, c.minutes, got, c.want)
		}
	}
}

const rampYAML = `
VirtualService: [{name: vs, vsvip_ref: vip, pool_ref: pool, services: [0]}]
VsVip: [{name: vip, vip: [127.0.0.1]}]
Pool:
- {name: pool, servers: ["127.0.0.1:1", "127.0.0.1:2"], lb_algorithm: consistent-hash, lb_algorithm_hash: call-id}
`

// startQuietly runs an engine of some objects.
func startQuietly(t *testing.T, set *object.Set) *Engine {
	t.Helper()
	e, err := Start(Config{Set: set, Secret: []byte("quiet"), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

// Shares grow after a server came up, was added or enabled; not at the start, and not after it asked to be left alone.
func TestRampStarts(t *testing.T) {
	set := load(t, rampYAML)
	e := startQuietly(t, set)
	e.mu.Lock()
	defer e.mu.Unlock()
	pool := func() *balance.Pool { return e.live.Load().snap.Pools[0].View.Load() }
	check := func(what string, want ...uint8) {
		t.Helper()
		for i, w := range want {
			if got := pool().Ramp(int32(i)); got != w {
				t.Errorf("%s: server %d has %d parts of its share, want %d", what, i, got, w)
			}
		}
	}
	flip := func(flag balance.Condition, on bool) {
		p := e.live.Load().snap.Pools[0]
		e.setCondition(p, p.Servers[0], flag, on)
	}
	check("at the start", 10, 10)
	flip(balance.Backoff, true)
	flip(balance.Backoff, false)
	check("after a back-off", 10, 10)
	flip(balance.Up, false)
	flip(balance.Up, true)
	check("it came up", 1, 10)
	e.stepRamps(time.Now().Add(5 * time.Minute))
	check("half-way", 5, 10)
	next, more := *set, *set.Pools[0]
	more.Servers = append(more.Servers[:2:2], object.NewServer(netip.MustParseAddrPort("127.0.0.1:3")))
	more.Servers[1].Enabled = false
	next.Pools = []*object.Pool{&more}
	if err := e.apply(&next, 2); err != nil {
		t.Fatal(err)
	}
	check("one was added", 5, 10, 1)
	e.stepRamps(time.Now().Add(time.Hour))
	check("all is over", 10, 10, 10)
	if len(e.ramps) > 0 {
		t.Errorf("remembered for nothing: %v", e.ramps)
	}
	if err := e.apply(set, 3); err != nil { // a third that goes, the second enabled again
		t.Fatal(err)
	}
	check("enabled again", 10, 1)
}
