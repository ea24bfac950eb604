package ua

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Totals is what a Fleet has counted since its start.
type Totals struct {
	Placed     uint64
	Up         int // answered and not over yet
	Outcomes   [outcomes]uint64
	Strayed    uint64            // calls in which another server answered than the one that took them
	FailedWith map[int]uint64    // Failed, by final status; 0: no response
	LostWith   map[int]uint64    // Lost, by status of the request it came out with; 0: no response
	AnsweredBy map[string]uint64 // calls by server

	Registered      uint64 // REGISTERs that ended in 200
	RegisterFailed  uint64
	ExtraChallenges uint64 // 401s beyond the first of a REGISTER: challenge and credentials met different servers

	Ringing Quantiles // INVITE to 180, of the last calls
	Setup   Quantiles // INVITE to 200, of the last calls
}

// Of counts the calls that ended so.
func (t *Totals) Of(o Outcome) uint64 { return t.Outcomes[o] }

// Quantiles of a time.
type Quantiles struct{ P50, P99 time.Duration }

// lastCalls is over how many calls quantiles are taken.
const lastCalls = 512

// maxInProgress bounds the calls of a fleet: with nobody answering, each waits 32 s for its timer B.
const maxInProgress = 20_000

type totals struct {
	mu      sync.Mutex
	ended   uint64
	now     Totals // maps and quantiles are made by read
	failed  map[int]uint64
	lost    map[int]uint64
	by      map[string]uint64
	ringing window
	setup   window
}

func newTotals() totals {
	return totals{failed: make(map[int]uint64), lost: make(map[int]uint64), by: make(map[string]uint64)}
}

// placed counts a call that begins; false: there are maxInProgress already.
func (t *totals) placed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now.Placed-t.ended >= maxInProgress {
		return false
	}
	t.now.Placed++
	return true
}

func (t *totals) up(n int) {
	t.mu.Lock()
	t.now.Up += n
	t.mu.Unlock()
}

func (t *totals) add(r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended++
	t.now.Outcomes[r.Outcome]++
	switch r.Outcome {
	case Failed:
		t.failed[r.Status]++
	case Lost:
		t.lost[r.Status]++
	}
	if r.Strayed != "" {
		t.now.Strayed++
	}
	if r.Setup > 0 && r.Server != "" {
		t.by[r.Server]++
	}
	t.ringing.add(r.Ringing)
	t.setup.add(r.Setup)
}

func (t *totals) registered(r Registration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.now.RegisterFailed++
	} else {
		t.now.Registered++
	}
	if r.Challenges > 1 {
		t.now.ExtraChallenges += uint64(r.Challenges - 1)
	}
}

// Totals reads the counters.
func (f *Fleet) Totals() Totals {
	t := &f.totals
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now
	now.FailedWith, now.LostWith, now.AnsweredBy = maps.Clone(t.failed), maps.Clone(t.lost), maps.Clone(t.by)
	now.Ringing, now.Setup = t.ringing.quantiles(), t.setup.quantiles()
	return now
}

// window keeps the last times.
type window struct {
	last [lastCalls]time.Duration
	n    int // how many ever
}

func (w *window) add(d time.Duration) {
	if d > 0 {
		w.last[w.n%lastCalls] = d
		w.n++
	}
}

func (w *window) quantiles() Quantiles {
	all := slices.Clone(w.last[:min(w.n, lastCalls)])
	if len(all) == 0 {
		return Quantiles{}
	}
	slices.Sort(all)
	return Quantiles{P50: all[len(all)/2], P99: all[len(all)*99/100]}
}
