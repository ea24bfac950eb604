package engine

import (
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// ready reports whether a server takes new calls but for a while that it asked for, or that passive health gives it: who
// comes back from that is warm already.
func ready(c balance.Condition) bool {
	return (c &^ (balance.Backoff | balance.Ejected)).Selectable()
}

// startRamps has servers that became ready get a growing share (connection_ramp_duration), from the first moment on. Where
// all of a pool come back together their shares grow together, which is to say that they are even. The caller holds e.mu.
func (e *Engine) startRamps(p *snapshot.Pool, before, now *balance.Pool) *balance.Pool {
	if p.Object.ConnectionRampDurationMin == 0 || before == now {
		return now
	}
	var changes []balance.Change
	for _, sv := range p.Servers {
		if ready(now.Condition(sv.Index)) && !ready(before.Condition(sv.Index)) {
			changes = append(changes, e.startRamp(p, sv))
		}
	}
	return now.With(changes...)
}

func (e *Engine) startRamp(p *snapshot.Pool, sv *snapshot.Server) balance.Change {
	e.ramps[drainKey{p.ID, sv.Addr}] = time.Now()
	return balance.Change{Index: sv.Index, Ramp: 1}
}

// rampFresh does so for servers that a change of the configuration added or enabled, in pools that were there before. They
// are not in use yet.
func (e *Engine) rampFresh(fresh []*snapshot.Pool, before *live) {
	if before == nil {
		return
	}
	for _, p := range fresh {
		old := before.snap.Pool(p.ID)
		if old == nil || p.Object.ConnectionRampDurationMin == 0 || !old.Object.Enabled {
			continue
		}
		was, now := old.View.Load(), p.View.Load()
		var changes []balance.Change
		for _, sv := range p.Servers {
			o := old.ServerAt(sv.Addr)
			if known := o != nil && o.Index >= 0 && ready(was.Condition(o.Index)); !known && ready(now.Condition(sv.Index)) {
				changes = append(changes, e.startRamp(p, sv))
			}
		}
		p.View.Store(now.With(changes...))
	}
}

// stepRamps lets shares grow. The caller holds e.mu.
func (e *Engine) stepRamps(now time.Time) {
	if len(e.ramps) == 0 {
		return
	}
	changes := map[*snapshot.Pool][]balance.Change{}
	for k, since := range e.ramps {
		p, sv := e.find(k)
		if sv == nil {
			delete(e.ramps, k)
			continue
		}
		step := rampStep(now.Sub(since), p.Object.ConnectionRampDurationMin)
		if step == balance.RampSteps {
			delete(e.ramps, k)
		}
		if p.View.Load().Ramp(sv.Index) != step {
			changes[p] = append(changes[p], balance.Change{Index: sv.Index, Ramp: step})
		}
	}
	for p, list := range changes {
		slices.SortFunc(list, func(a, b balance.Change) int { return int(a.Index - b.Index) })
		e.swapView(p, p.View.Load().With(list...))
	}
}

// rampStep is how much of its share a server gets so long after it came up.
func rampStep(passed time.Duration, minutes int) uint8 {
	whole := time.Duration(minutes) * time.Minute
	if passed >= whole {
		return balance.RampSteps
	}
	return uint8(1 + max(0, passed)*(balance.RampSteps-1)/whole)
}
