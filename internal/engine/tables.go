package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/snapshot"
)

// A table that remembers the owners of the keys makes a selection of a pool's server some 50 ns shorter, takes 2 MB, and
// up to 50 ms to make: so the pools on which most comes get one, beside the message path.
const (
	tablesEvery = time.Second
	// busyPool is how many new transactions in tablesEvery make a table worth having.
	busyPool = 100
	// maxTables is how many pools have one at a time.
	maxTables = 16
	// tableIdle is after how many tablesEvery without that many a pool loses its table.
	tableIdle = 300
)

// use is how much a pool is used.
type use struct {
	pool  *snapshot.Pool
	total int64 // transactions since it began
	now   int64 // in the last tablesEvery
	idle  int   // for how many tablesEvery it was not busy
}

// tables gives tables to pools that are busy, and takes them from those that are not.
func (e *Engine) tables(ctx context.Context) {
	t := time.NewTicker(tablesEvery)
	defer t.Stop()
	uses := map[string]*use{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		uses = e.measureUse(uses)
		for _, u := range ranked(uses) {
			u.pool.View.Load().Fill()
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// measureUse brings what is known of the use of the pools up to date.
func (e *Engine) measureUse(before map[string]*use) map[string]*use {
	snap := e.live.Load().snap
	uses := make(map[string]*use, len(snap.Pools))
	for _, p := range snap.Pools {
		u := before[p.ID]
		if u == nil {
			u = &use{}
		}
		total := p.Budget.Total()
		u.pool, u.now, u.total = p, max(0, total-u.total), total
		if u.idle++; u.now >= busyPool {
			u.idle = 0
		}
		uses[p.ID] = u
	}
	return uses
}

// ranked are the pools that are to have a table, the busiest first. Others lose theirs.
func ranked(uses map[string]*use) []*use {
	var out []*use
	for _, u := range uses {
		filled := u.pool.View.Load().Filled()
		if u.idle == 0 || filled && u.idle < tableIdle {
			out = append(out, u)
		} else if filled {
			u.pool.View.Load().Drop()
		}
	}
	slices.SortFunc(out, func(a, b *use) int { return cmp.Or(cmp.Compare(a.idle, b.idle), cmp.Compare(b.now, a.now)) })
	for _, u := range out[min(len(out), maxTables):] {
		u.pool.View.Load().Drop()
	}
	return out[:min(len(out), maxTables)]
}
