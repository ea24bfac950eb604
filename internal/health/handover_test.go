package health

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"
)

// What one process knew of a server counts in the next before a probe has come back, and probes go on from there.
func TestLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, _ := newFake(t, Config{})
		f.answer(failing)
		apply(t, m, server1(sipMonitor("a"), sipMonitor("b")))
		after(20 * time.Second)
		before, _ := m.ServerStatus("p", server1().Server)
		if before.State != Down {
			t.Fatalf("%v before", before.State)
		}
		text, err := json.Marshal(m.Known())
		if err != nil {
			t.Fatal(err)
		}
		m.Close()

		var known []Known
		if err := json.Unmarshal(text, &known); err != nil {
			t.Fatal(err)
		}
		next, f, log := newFake(t, Config{})
		f.answer(silent)
		apply(t, next, server1(sipMonitor("a"), sipMonitor("b")))
		next.Learn(known)
		now, _ := next.ServerStatus("p", server1().Server)
		if now.State != Down || now.Monitors[0].State != Down || !now.Monitors[1].Since.Equal(before.Monitors[1].Since) || now.Monitors[0].Reason != before.Monitors[0].Reason {
			t.Errorf("%+v, was %+v", now, before)
		}
		next.Learn([]Known{{Pool: "p", Server: server1().Server, Monitor: "a", State: Up}})
		if next.State("p", server1().Server) != Down {
			t.Error("what is known here was forgotten for what somebody else says")
		}
		f.answer(passing)
		after(20 * time.Second)
		if next.State("p", server1().Server) != Up {
			t.Errorf("it does not come up again: %v", log.take(time.Now()))
		}
	})
}

// A server that was out stays out for as long as it was to, and is judged by what it does then.
func TestPassiveLearn(t *testing.T) {
	good := slowly(10, 8)
	p := newPassivePool(3, 1)
	for range 3 {
		p.second(Seen{Unanswered: 3}, good, good)
	}
	until, why, ok := p.Out(p.sums[0].Server)
	if !ok {
		t.Fatal("it is not out")
	}
	next := newPassivePool(0, 1)
	next.Passive = Passive{}
	next.Learn(p.Outed())
	for _, s := range p.sums {
		next.sums = append(next.sums, Seen{Server: s.Server, Up: true})
	}
	next.now = p.now
	next.second(Seen{}, good, good)
	if got, gotWhy, ok := next.Out(p.sums[0].Server); !ok || !got.Equal(until) || gotWhy != why {
		t.Errorf("out until %v (%q), %v; was %v (%q)", got, gotWhy, ok, until, why)
	}
	for next.now.Before(until) {
		next.second(good, good, good)
	}
	if _, _, ok := next.Out(p.sums[0].Server); ok {
		t.Error("it does not come back")
	}
}
