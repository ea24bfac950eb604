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
	states map[string]*proxy.State // by name of the service
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
	}
}

// inherit gives services that are new in snap the state of before: their own, if
// it was leaving, or that of a service that is gone and whose listener they have, as
// one that was renamed. Open transactions then find their servers, whatever the
// algorithm of the pool.
func (e *Engine) inherit(snap *snapshot.Snapshot) {
	stays := map[string]bool{}
	for _, s := range snap.Services {
		stays[s.Name] = true
	}
	for _, s := range snap.Services {
		if e.states[s.Name] != nil {
			continue
		}
		st := e.takeState(s.Name)
		for _, ln := range s.Listeners {
			if st != nil {
				break
			}
			if before := e.servedBy(ln.Key); !stays[before] {
				if st = e.takeState(before); st != nil {
					e.books[s.Name] = e.books[before] // it goes on counting under its new name
					delete(e.books, before)
				}
			}
		}
		if st != nil {
			e.states[s.Name] = st
		}
	}
}

// takeState takes the state of a service from where it is kept; nil if there is none.
func (e *Engine) takeState(name string) *proxy.State {
	if st := e.states[name]; st != nil {
		delete(e.states, name)
		return st
	}
	for _, l := range e.leaving {
		if st := l.states[name]; st != nil {
			delete(l.states, name)
			return st
		}
	}
	return nil
}

// servedBy is the name of the service that a listener was of, which has its socket
// still; "" if there is none.
func (e *Engine) servedBy(k snapshot.Key) string {
	if l := e.live.Load(); l != nil && l.byKey[k] != nil {
		return l.byKey[k].Service.Name
	}
	for _, l := range e.leaving {
		for _, ln := range l.snap.Listeners {
			if ln.Key == k && l.states[ln.Service.Name] != nil {
				return ln.Service.Name
			}
		}
	}
	return ""
}

// assemble makes the value that workers will read.
func (e *Engine) assemble(snap *snapshot.Snapshot) *live {
	l := &live{snap: snap, byKey: map[snapshot.Key]*snapshot.Listener{}}
	for _, s := range snap.Services {
		st := e.states[s.Name]
		if st == nil {
			st = proxy.NewState(s.MaxTransactions, s.MaxCalls, e.kick)
			e.states[s.Name] = st
		}
		if e.books[s.Name] == nil {
			e.books[s.Name] = newBook()
		}
		l.states, l.books = append(l.states, st), append(l.books, e.books[s.Name])
	}
	for _, ln := range snap.Listeners {
		l.groups = append(l.groups, e.groups[ln.Key])
		l.byKey[ln.Key] = ln
	}
	return l
}

// retire lets go of listeners and services that the new snapshot does not have.
func (e *Engine) retire(old *live) {
	if old == nil {
		return
	}
	now := e.live.Load()
	gone := leaving{states: map[string]*proxy.State{}, snap: old.snap, until: time.Now().Add(lingerFor)}
	for k, g := range e.groups {
		if now.byKey[k] == nil {
			gone.groups = append(gone.groups, g)
			delete(e.groups, k)
		}
	}
	names := map[string]bool{}
	for _, s := range now.snap.Services {
		names[s.Name] = true
	}
	for name, st := range e.states {
		if !names[name] {
			gone.states[name] = st
			delete(e.states, name)
		}
	}
	if len(e.books) > maxBooks {
		maps.DeleteFunc(e.books, func(name string, _ *book) bool { return !names[name] })
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
		}
		for name, s := range l.states {
			s.Close(l.snap)
			if b := e.books[name]; b != nil {
				b.full[0] += s.TransactionsFull()
				b.full[1] += s.CallsFull()
			}
		}
	}
	clear(e.leaving[len(kept):])
	e.leaving = kept
}
