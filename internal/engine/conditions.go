package engine

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// gatherFor is how long changes of health are gathered after some were brought in:
// one server's change is there at once, those of a thousand cost a few new tables
// and not a thousand.
const gatherFor = 50 * time.Millisecond

// healthChanged hears of every change from the monitors, on their goroutine. The
// first in a while is in the pool's view before it returns; those that follow within
// gatherFor are brought in together.
func (e *Engine) healthChanged(c health.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	level := slog.LevelWarn
	if c.Up {
		level = slog.LevelInfo
	}
	if more, ok := e.logged.allow(c.At); ok {
		pool, name := e.namesOf(drainKey{c.Pool, c.Server})
		e.log.Log(context.Background(), level, "server "+strings.ToLower(c.State.String()), "pool", pool, "server", c.Server,
			"name", name, "reason", c.Reason, "detail", c.Detail, "lines_left_out", more)
	}
	e.changes = append(e.changes, c)
	if time.Since(e.changedAt) >= gatherFor {
		e.bringIn()
		return
	}
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// maxChanges is up to how many changes that came together their memory is used for the next ones: thousands come at the start.
const maxChanges = 256

// bringIn swaps in views with all changes that were gathered. The caller holds e.mu.
func (e *Engine) bringIn() {
	l := e.live.Load()
	if l == nil || len(e.changes) == 0 {
		return
	}
	var pools []*snapshot.Pool // in the order of their changes
	changes := map[*snapshot.Pool][]balance.Change{}
	for _, c := range e.changes {
		p := l.snap.Pool(c.Pool)
		if p == nil {
			continue
		}
		sv := p.ServerAt(c.Server)
		if sv == nil || sv.Index < 0 {
			continue
		}
		ch := balance.Change{Index: sv.Index, Set: balance.Up}
		if !c.Up {
			ch = balance.Change{Index: sv.Index, Clear: balance.Up}
		}
		if changes[p] == nil {
			pools = append(pools, p)
		}
		changes[p] = append(changes[p], ch)
	}
	for _, p := range pools {
		e.swapView(p, p.View.Load().With(changes[p]...))
	}
	if e.changes = e.changes[:0]; cap(e.changes) > maxChanges {
		e.changes = nil
	}
	e.changedAt = time.Now()
}

// swapView makes view the one that servers of the pool are picked from, and says when the pool goes down or comes up by
// min_servers_up. The caller holds e.mu.
func (e *Engine) swapView(p *snapshot.Pool, view *balance.Pool) {
	view = lastStanding(view)
	view = e.startRamps(p, p.View.Load(), view)
	before := p.View.Load().Short()
	p.View.Store(view)
	view.Publish()
	e.settleGroups(p)
	if view.Short() == before {
		return
	}
	level, state := slog.LevelInfo, health.Up
	if !before {
		level, state = slog.LevelWarn, health.Down
	}
	e.log.Log(context.Background(), level, "pool "+strings.ToLower(state.String()), "pool", p.Name,
		"servers_up", view.Up(), "min_servers_up", p.Object.MinServersUp)
}

// logLimit lets through a few lines a second.
type logLimit struct {
	second int64
	lines  int
	left   int
}

// linesPerSecond is how many lines about servers are logged a second.
const linesPerSecond = 20

// allow reports whether a line may be logged, and how many were left out before it.
func (l *logLimit) allow(now time.Time) (left int, ok bool) {
	if s := now.Unix(); s != l.second {
		l.second, l.lines = s, 0
	}
	if l.lines >= linesPerSecond {
		l.left++
		return 0, false
	}
	l.lines++
	left, l.left = l.left, 0
	return left, true
}

// setCondition swaps in a view of the pool in which one flag of one server is
// set or cleared. The caller holds e.mu.
func (e *Engine) setCondition(p *snapshot.Pool, sv *snapshot.Server, flag balance.Condition, on bool) {
	view := p.View.Load()
	if (view.Condition(sv.Index)&flag != 0) == on {
		return
	}
	ch := balance.Change{Index: sv.Index}
	if on {
		ch.Set = flag
	} else {
		ch.Clear = flag
	}
	e.swapView(p, view.With(ch))
}

// settleConditions brings the views of pools in line with what is known
// of their servers. A server that nothing is known of counts as up: failing over
// costs less than refusing calls until the first probe has come back.
func (e *Engine) settleConditions(pools []*snapshot.Pool) {
	for _, p := range pools {
		var changes []balance.Change
		view := p.View.Load()
		for _, sv := range p.Servers {
			up := e.health.State(p.ID, sv.Addr) != health.Down
			if up == (view.Condition(sv.Index)&balance.Up != 0) {
				continue
			}
			c := balance.Change{Index: sv.Index, Set: balance.Up}
			if !up {
				c = balance.Change{Index: sv.Index, Clear: balance.Up}
			}
			changes = append(changes, c)
		}
		e.swapView(p, view.With(changes...))
	}
}

// drain notes from when on servers that were disabled get nothing any more
// (graceful_disable_timeout), and forgets those that were enabled again. It looks at the servers of some pools.
func (e *Engine) drain(snap *snapshot.Snapshot, pools []*snapshot.Pool) {
	seen, looked := map[drainKey]bool{}, make(map[string]bool, len(pools))
	for _, p := range pools {
		looked[p.ID] = true
		minutes := p.Object.GracefulDisableTimeoutMin
		for i, sv := range p.Servers {
			if p.Object.Servers[i].Enabled || minutes <= 0 {
				continue
			}
			k := drainKey{p.ID, sv.Addr}
			seen[k] = true
			if _, draining := e.drains[k]; !draining {
				e.drains[k] = time.Now().Add(time.Duration(minutes) * time.Minute)
				e.log.Info("server draining", "pool", p.Name, "server", sv.Addr, "name", sv.Name, "minutes", minutes, "calls", e.callsLeft(sv))
			} else if time.Now().After(e.drains[k]) {
				e.setCondition(p, sv, balance.Disabled, true)
			}
		}
	}
	for k := range e.drains {
		if !seen[k] && (looked[k.pool] || snap.Pool(k.pool) == nil) {
			delete(e.drains, k)
		}
	}
}

// finishDrains disables servers whose time is over. The caller holds e.mu.
func (e *Engine) finishDrains(now time.Time) {
	for k, until := range e.drains {
		if now.Before(until) {
			continue
		}
		if p, sv := e.find(k); sv != nil && view(p, sv)&balance.Disabled == 0 {
			e.setCondition(p, sv, balance.Disabled, true)
			e.log.Info("server disabled", "pool", p.Name, "server", k.addr, "name", sv.Name, "calls", e.callsLeft(sv))
		}
	}
}

func view(p *snapshot.Pool, sv *snapshot.Server) balance.Condition {
	return p.View.Load().Condition(sv.Index)
}

func (e *Engine) find(k drainKey) (*snapshot.Pool, *snapshot.Server) {
	if p := e.live.Load().snap.Pool(k.pool); p != nil {
		if sv := p.ServerAt(k.addr); sv != nil && sv.Index >= 0 {
			return p, sv
		}
	}
	return nil, nil
}

// namesOf are the name of a pool and of a server, which is its address where it has none.
func (e *Engine) namesOf(k drainKey) (pool, server string) {
	if p, sv := e.find(k); sv != nil {
		return p.Name, sv.Name
	}
	return k.pool, k.addr.String()
}

// leaveAlone keeps new calls from a server that said 503 with Retry-After
// (RFC 3261 21.5.4), unless it is the last one. The caller holds e.mu.
func (e *Engine) leaveAlone(b backoff) {
	k := drainKey{b.server.Pool.ID, b.server.Addr}
	p, sv := e.find(k)
	if sv == nil || p.View.Load().Selectable() <= 1 {
		return
	}
	if e.backoffs[k].Before(b.until) {
		e.backoffs[k] = b.until
	}
	e.setCondition(p, sv, balance.Backoff, true)
}

// endBackoffs lets servers have calls again. The caller holds e.mu.
func (e *Engine) endBackoffs(now time.Time) {
	for k, until := range e.backoffs {
		if now.Before(until) {
			continue
		}
		delete(e.backoffs, k)
		if p, sv := e.find(k); sv != nil {
			e.setCondition(p, sv, balance.Backoff, false)
		}
	}
}
