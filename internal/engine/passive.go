package engine

import (
	"fmt"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// passive is the passive health of one pool.
type passive struct {
	health.Passive
	total int64 // transactions of the pool at the last step
	seen  []health.Seen
}

// stepPassive judges the servers of all pools by what the message path has counted, once a second. The caller holds e.mu.
func (e *Engine) stepPassive(now time.Time) {
	l := e.live.Load()
	for _, p := range l.snap.Pools {
		w := e.passive[p.ID]
		if !p.Object.InlineHealthMonitor || !p.Object.Enabled {
			if w != nil {
				delete(e.passive, p.ID)
				e.release(p)
			}
			continue
		}
		total := p.Budget.Total()
		if w == nil && total == 0 {
			continue // nothing ever went there
		}
		if w == nil {
			w = new(passive)
			e.passive[p.ID] = w
		} else if total == w.total && w.Idle() {
			continue
		}
		w.total = total
		w.look(p)
		for _, c := range w.Step(now, w.seen, mayBeOut(p)) {
			e.eject(p, &c)
		}
	}
	for id := range e.passive {
		if l.snap.Pool(id) == nil {
			delete(e.passive, id)
		}
	}
}

// mayBeOut is how many servers of a pool may be out at a time: a share of those that are up, never the last, and none
// without which the pool would be down (min_servers_up).
func mayBeOut(p *snapshot.Pool) int {
	view, up := p.View.Load(), 0
	for _, sv := range p.Servers {
		if ready(view.Condition(sv.Index)) {
			up++
		}
	}
	return max(0, min(up*p.Object.MaxEjectedPercent/100, up-max(1, p.Object.MinServersUp)))
}

// look takes what is counted of the servers of a pool.
func (w *passive) look(p *snapshot.Pool) {
	view := p.View.Load()
	w.seen = w.seen[:0]
	for _, sv := range p.Servers {
		t := sv.Traffic
		s := health.Seen{Server: sv.Addr, Up: ready(view.Condition(sv.Index)), Unanswered: t.Unanswered.Load(), Unreachable: t.Unreachable.Load()}
		a := t.Answers()
		for c := range a.Responses {
			n := a.Responses[c].Load()
			if n == 0 {
				continue
			}
			switch status, class := snapshot.CodeOf(c); {
			case class < 2:
			case status == 503:
				s.Busy += n
			case class == 5 && !aboutRequest[status]:
				s.Errors += n
			default:
				s.Answered += n
			}
		}
		for b := range s.Latency {
			s.Latency[b] = a.Latency[b].Load()
		}
		w.seen = append(w.seen, s)
	}
}

// aboutRequest are the 5xx that tell of the request and not of the server: not implemented, version, too large,
// push notification, precondition.
var aboutRequest = map[int]bool{501: true, 505: true, 513: true, 555: true, 580: true}

// eject does what passive health says of a server. The caller holds e.mu.
func (e *Engine) eject(p *snapshot.Pool, c *health.Ejection) {
	sv := p.ServerAt(c.Server)
	if sv == nil || sv.Index < 0 {
		return
	}
	sv.Traffic.EjectedAt.Store(time.Now().UnixNano())
	if !c.Out {
		e.setCondition(p, sv, balance.Ejected, false)
		e.log.Info("server no longer ejected", "pool", p.Name, "server", sv.Addr, "name", sv.Name, "reason", c.Why)
		return
	}
	why := fmt.Sprintf("%s, back at %s", c.Why, c.Until.Format(time.TimeOnly))
	sv.Traffic.Ejected.Store(&why)
	sv.Traffic.Ejections.Add(1)
	e.setCondition(p, sv, balance.Ejected, true)
	e.suspect(sv)
	e.log.Warn("server ejected", "pool", p.Name, "server", sv.Addr, "name", sv.Name, "reason", c.Why, "until", c.Until.Format(time.TimeOnly))
}

// release lets all servers of a pool in again that passive health took out. The caller holds e.mu.
func (e *Engine) release(p *snapshot.Pool) {
	for _, sv := range p.Servers {
		e.setCondition(p, sv, balance.Ejected, false)
	}
}

// lastStanding is a view in which those that passive health took out are in again, if no other is left.
func lastStanding(view *balance.Pool) *balance.Pool {
	if view.Selectable() > 0 {
		return view
	}
	var changes []balance.Change
	for _, s := range view.Servers() {
		if view.Condition(s.PoolIndex) == balance.Up|balance.Ejected {
			changes = append(changes, balance.Change{Index: s.PoolIndex, Clear: balance.Ejected})
		}
	}
	return view.With(changes...)
}
