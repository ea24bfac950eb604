package balance

import (
	"slices"
	"sync/atomic"
)

// Dry returns a view that selects as p would now, and of which nothing is counted in p or in the States of its servers:
// to find out what would happen.
func (p *Pool) Dry() *Pool {
	b := *p.base
	b.cursor, b.full = new(cursor), new(atomic.Uint64)
	b.cursor.at.Store(p.cursor.at.Load())
	b.servers = slices.Clone(p.servers)
	for i := range b.servers {
		b.servers[i].State = b.servers[i].State.Dry()
	}
	q := &Pool{base: &b, conditions: p.conditions, ramp: p.ramp, willing: p.willing, selectable: p.selectable, up: p.up, table: p.table, turns: p.turns, shares: p.shares}
	q.owners.Store(p.owners.Load())
	return q
}

// Dry returns a copy.
func (s *State) Dry() *State {
	d := new(State)
	d.OpenTransactions.Store(s.OpenTransactions.Load())
	d.Opened.Store(s.Opened.Load())
	d.Dialogs.Store(s.Dialogs.Load())
	d.Calls.Store(s.Calls.Load())
	d.response.Store(s.response.Load())
	d.condition.Store(s.condition.Load())
	return d
}

// Dry returns a copy.
func (b *RetryBudget) Dry() *RetryBudget {
	d := &RetryBudget{percent: b.percent, perSecond: b.perSecond}
	d.requests.Store(b.requests.Load())
	d.left.Store(b.left.Load())
	d.seen.Store(b.seen.Load())
	d.since.Store(b.since.Load())
	return d
}
