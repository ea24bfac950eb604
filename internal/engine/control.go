package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
)

const (
	// tendEvery and tendShards: a table of 64 shards is gone through in 4 s, in steps
	// so short that a worker on the same CPU does not stand still for long.
	tendEvery  = 62500 * time.Microsecond
	tendShards = 1
)

// control does what must not be done on the message path: it tends the tables,
// ends drains and back-offs, closes what has lingered, and looks at the machine's
// addresses and routes.
func (e *Engine) control(ctx context.Context) {
	t := time.NewTicker(tendEvery)
	defer t.Stop()
	looks := time.NewTicker(lookEvery)
	defer looks.Stop()
	retries := time.NewTicker(retryEvery)
	defer retries.Stop()
	links := time.NewTicker(linksEvery)
	defer links.Stop()
	tickets := time.NewTicker(time.Hour)
	defer tickets.Stop()
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	gather := time.NewTimer(time.Hour)
	gather.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-e.backoff:
			e.mu.Lock()
			e.leaveAlone(b)
			e.mu.Unlock()
		case <-e.kick:
			e.tend(0)
		case <-e.changed:
			gather.Reset(gatherFor)
		case <-gather.C:
			e.mu.Lock()
			e.bringIn()
			e.mu.Unlock()
		case <-looks.C:
			e.look()
		case <-retries.C:
			e.mu.Lock()
			e.retry()
			e.mu.Unlock()
		case <-links.C:
			e.streams.tend()
		case <-tickets.C:
			e.mu.Lock()
			e.secure(e.live.Load())
			e.mu.Unlock()
		case now := <-seconds.C:
			e.mu.Lock()
			e.stepRamps(now)
			e.stepPassive(now)
			e.noteDrains()
			e.renewRates()
			e.mu.Unlock()
		case now := <-t.C:
			e.tend(tendShards)
			e.sendAgain()
			e.mu.Lock()
			e.finishDrains(now)
			e.endBackoffs(now)
			e.closeLeft(now)
			e.mu.Unlock()
		}
	}
}

// tend grows and ages the soft state of all services.
func (e *Engine) tend(shards int) {
	e.mu.Lock()
	states := make([]*proxy.State, 0, len(e.states))
	for _, s := range e.states {
		states = append(states, s)
	}
	for _, l := range e.leaving {
		states = slices.AppendSeq(states, maps.Values(l.states))
	}
	snap := e.live.Load().snap
	e.mu.Unlock()
	e.tending.Lock()
	defer e.tending.Unlock()
	now := e.tick(time.Now())
	for _, s := range states {
		s.Tend(now, shards, snap)
	}
}
