package engine

import (
	"context"
	"net/netip"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

const (
	tendEvery  = 250 * time.Millisecond
	tendShards = 8 // of 64: a table is gone through in 2 s
)

// control does what must not be done on the message path: it tends the tables,
// ends drains and back-offs, and closes what has lingered.
func (e *Engine) control(ctx context.Context) {
	t := time.NewTicker(tendEvery)
	defer t.Stop()
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
		case now := <-t.C:
			e.tend(tendShards)
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
		states = append(states, l.states...)
	}
	snap := e.live.Load().snap
	e.mu.Unlock()
	now := e.tick(time.Now())
	for _, s := range states {
		s.Tend(now, shards, snap)
	}
}

// closeLeft closes sockets that have lingered long enough. The caller holds e.mu.
func (e *Engine) closeLeft(now time.Time) {
	kept := e.leaving[:0]
	for _, l := range e.leaving {
		if now.Before(l.until) {
			kept = append(kept, l)
			continue
		}
		for _, g := range l.groups {
			g.close()
			e.keepTallies(g, l.snap)
		}
		for _, s := range l.states {
			s.Close(l.snap)
		}
	}
	clear(e.leaving[len(kept):])
	e.leaving = kept
}

// probeFrom is the address from which a server is probed: the one that its
// requests come from, on a port of the monitor's own.
func probeFrom(snap *snapshot.Snapshot, sv *snapshot.Server) netip.AddrPort {
	for _, l := range snap.Listeners {
		if l.Service.Pool != sv.Pool {
			continue
		}
		if f := l.FaceToward(sv); f != nil {
			a := f.Out.Addr.Addr()
			if f.Source.IsValid() {
				a = f.Source
			}
			return netip.AddrPortFrom(a, 0)
		}
	}
	return netip.AddrPort{}
}

// keepTallies saves what the workers of a group have counted.
func (e *Engine) keepTallies(g *group, snap *snapshot.Snapshot) {
	for _, ln := range snap.Listeners {
		if ln.Key != g.key {
			continue
		}
		name := ln.Service.Name
		if e.retired[name] == nil {
			e.retired[name] = newTally()
		}
		for _, w := range g.workers {
			e.retired[name].add(w.tally)
		}
	}
}
