package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// What is counted of a server takes it out, visibly, and it comes back; the last one standing stays; without the field
// nobody is out.
func TestEjection(t *testing.T) {
	set := load(t, strings.Replace(rampYAML, `"127.0.0.1:2"]`, `"127.0.0.1:2", "127.0.0.1:3"]`, 1))
	e := startQuietly(t, set)
	now := time.Now()
	second := func(requests uint64) {
		e.mu.Lock()
		defer e.mu.Unlock()
		p := e.live.Load().snap.Pools[0]
		p.Budget.Requests(int64(requests))
		p.Servers[0].Traffic.Unanswered.Add(requests)
		for _, sv := range p.Servers[1:] {
			sv.Traffic.Answer().Responses[snapshot.CodeIndex(200)].Add(requests)
		}
		now = now.Add(time.Second)
		e.stepPassive(now)
	}
	states := func() (out []string) {
		for _, s := range e.Status().Pools[0].Servers {
			out = append(out, s.State)
		}
		return out
	}
	expect := func(what, want string) {
		t.Helper()
		if got := strings.Join(states(), " "); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	second(1)
	expect("one request timed out", "up up up")
	second(12)
	expect("many", "ejected up up")
	s := e.Status().Pools[0].Servers[0]
	if want := "12 of 12 requests timed out in 10 s, the last 12 in a row, back at " + now.Add(10*time.Second).Format(time.TimeOnly); s.Reason != want && !strings.HasPrefix(s.Reason, "12 of 12 requests timed out in 10 s, back at ") {
		t.Errorf("the evidence is %q, want %q", s.Reason, want)
	}
	if s.Since.IsZero() || time.Since(s.Since) > time.Minute {
		t.Errorf("it is so since %v", s.Since)
	}
	if s.Ejections != 1 || s.HashShare != 0 {
		t.Errorf("%d ejections, %f of the keys", s.Ejections, s.HashShare)
	}
	for range 10 {
		second(0)
	}
	expect("10 s later", "up up up")
	second(20)
	expect("again", "ejected up up")
	e.mu.Lock()
	p := e.live.Load().snap.Pools[0]
	e.setCondition(p, p.Servers[1], balance.Up, false)
	e.setCondition(p, p.Servers[2], balance.Up, false)
	e.mu.Unlock()
	expect("the others went down", "up down down")
	e.mu.Lock()
	e.setCondition(p, p.Servers[1], balance.Up, true)
	e.setCondition(p, p.Servers[2], balance.Up, true)
	e.mu.Unlock()
	for range 20 {
		second(0)
	}
	second(20)
	expect("and again", "ejected up up")
	next, pool := *set, *set.Pools[0]
	pool.InlineHealthMonitor, next.Pools = false, []*object.Pool{&pool}
	if err := e.Apply(&next, 2); err != nil {
		t.Fatal(err)
	}
	second(20)
	expect("switched off", "up up up")
}

func TestMayBeOut(t *testing.T) {
	e := startQuietly(t, load(t, strings.Replace(rampYAML, `"127.0.0.1:2"]`, `"127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"]`, 1)))
	p := e.live.Load().snap.Pools[0]
	for _, c := range []struct{ percent, min, want int }{{50, 0, 2}, {0, 0, 0}, {100, 0, 3}, {100, 3, 1}, {50, 4, 0}, {20, 0, 0}, {25, 0, 1}} {
		pool := &snapshot.Pool{Object: &object.Pool{}, Servers: p.Servers}
		pool.View.Store(p.View.Load())
		pool.Object.MaxEjectedPercent, pool.Object.MinServersUp = c.percent, c.min
		if got := mayBeOut(pool); got != c.want {
			t.Errorf("%d %% of 4, at least %d up: %d, want %d", c.percent, c.min, got, c.want)
		}
	}
}
