package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// lingerFor is how long sockets of a listener that is gone go on, for the sake of what
// is under way: 64*T1, RFC 3261 17.1.1.2. They serve as before and refuse nothing: who
// still sends new calls there is better served than told to go away.
const lingerFor = 32 * time.Second

// leaving is what one change of configuration took away: it goes on for lingerFor,
// and until then another change may bring it back.
type leaving struct {
	groups []*group
	states map[string]*proxy.State // by ID of the service
	snap   *snapshot.Snapshot      // the last one that had them
	until  time.Time
}

// leavingGroup is the listener of that key that is leaving, or nil.
func (e *Engine) leavingGroup(k snapshot.Key) *group {
	for _, l := range e.leaving {
		for _, g := range l.groups {
			if g.key == k {
				return g
			}
		}
	}
	return nil
}

// takeBack brings listeners back that were leaving.
func (e *Engine) takeBack(back []*group) {
	for i := range e.leaving {
		l := &e.leaving[i]
		l.groups = slices.DeleteFunc(l.groups, func(g *group) bool { return slices.Contains(back, g) })
	}
	for _, g := range back {
		e.groups[g.key] = g
		g.last.Store(nil)
	}
}

// inherit gives services that are new in snap the state of before: their own, if
// it was leaving, or that of a service that is gone and whose listener they have, as
// one that was renamed and has no uuid. Open transactions then find their servers,
// whatever the algorithm of the pool.
func (e *Engine) inherit(snap *snapshot.Snapshot) {
	stays := make(map[string]bool, len(snap.Services))
	for _, s := range snap.Services {
		stays[s.ID] = true
	}
	for _, s := range snap.Services {
		if e.states[s.ID] != nil {
			continue
		}
		st := e.takeState(s.ID)
		for _, ln := range s.Listeners {
			if st != nil {
				break
			}
			if before := e.servedBy(ln.Key); !stays[before] {
				if st = e.takeState(before); st != nil {
					e.books[s.ID] = e.books[before] // it goes on counting under its new name
					delete(e.books, before)
				}
			}
		}
		if st != nil {
			e.states[s.ID] = st
		}
	}
}

// takeState takes the state of a service from where it is kept; nil if there is none.
func (e *Engine) takeState(id string) *proxy.State {
	if st := e.states[id]; st != nil {
		delete(e.states, id)
		return st
	}
	for _, l := range e.leaving {
		if st := l.states[id]; st != nil {
			delete(l.states, id)
			return st
		}
	}
	return nil
}

// servedBy is the ID of the service that a listener was of, which has its socket
// still; "" if there is none.
func (e *Engine) servedBy(k snapshot.Key) string {
	if l := e.live.Load(); l != nil {
		if ln := l.snap.Listener(k); ln != nil {
			return ln.Service.ID
		}
	}
	for _, l := range e.leaving {
		if ln := l.snap.Listener(k); ln != nil && l.states[ln.Service.ID] != nil {
			return ln.Service.ID
		}
	}
	return ""
}

// assemble makes the value that workers will read.
func (e *Engine) assemble(snap *snapshot.Snapshot) *live {
	l := &live{snap: snap}
	for _, s := range snap.Services {
		st := e.states[s.ID]
		if st == nil {
			st = proxy.NewState(s.MaxTransactions, s.MaxCalls, e.kick)
			e.states[s.ID] = st
		}
		st.SetLimits(s.MaxTransactions, s.MaxCalls)
		if e.books[s.ID] == nil {
			e.books[s.ID] = new(book)
		}
		l.states, l.books = append(l.states, st), append(l.books, e.books[s.ID])
	}
	for _, ln := range snap.Listeners {
		l.groups = append(l.groups, e.groups[ln.Key])
	}
	return l
}

// retire makes now what workers read, and lets go of listeners and services that old, which may be nil, had beside.
func (e *Engine) retire(now, old *live) {
	if old == nil {
		e.live.Store(now)
		return
	}
	gone := leaving{states: map[string]*proxy.State{}, snap: old.snap, until: time.Now().Add(lingerFor)}
	for k, g := range e.groups {
		if now.snap.Listener(k) == nil {
			g.last.Store(old) // before the swap: a worker that wakes after it knows its listener from here
			gone.groups = append(gone.groups, g)
			delete(e.groups, k)
		}
	}
	e.live.Store(now)
	ids := make(map[string]bool, len(now.snap.Services))
	for _, s := range now.snap.Services {
		ids[s.ID] = true
	}
	for id, st := range e.states {
		if !ids[id] {
			gone.states[id] = st
			delete(e.states, id)
		}
	}
	if len(e.books) > len(ids)+maxBooks {
		maps.DeleteFunc(e.books, func(id string, _ *book) bool { return !ids[id] })
	}
	if len(gone.groups)+len(gone.states) > 0 {
		e.leaving = append(e.leaving, gone)
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
			if g.stream != nil {
				e.streams.closeGroup(g)
			}
		}
		for id, s := range l.states {
			s.Close(l.snap)
			if b := e.books[id]; b != nil {
				b.full[0] += s.TransactionsFull()
				b.full[1] += s.CallsFull()
				_, full := s.Repeats()
				b.full[2] += full
			}
		}
	}
	clear(e.leaving[len(kept):])
	e.leaving = kept
}
