package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Apply makes the engine serve set, which has been validated; it and what it points to must not change afterwards.
// Sockets that stay are not touched, so no message is lost; those of listeners that are gone go on as before for
// another 32 s, new calls too. What does not change costs next to nothing, if it is the same memory as before.
//
// revision is who calls' own name for set, which Status gives back. A virtual service that this machine can't serve
// as set says, its port being taken, keeps its last good form or stays down, Status says why, and it is tried again every few
// seconds; unless Config.Strict is set, which makes that an error. On an error nothing has changed.
func (e *Engine) Apply(set *object.Set, revision uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := error(nil)
	if !e.again(set, revision) {
		err = e.apply(set, revision)
	}
	if err == nil {
		e.applied = time.Now()
	}
	return err
}

// change is one that is being made ready: nothing of it has an effect yet.
type change struct {
	form
	revision uint64
	opened   map[snapshot.Key]*group // not in Engine.groups yet; their workers don't run
	back     []*group                // that were leaving
	held     []snapshot.Key          // whose port is kept by an egress that is wanted no more
	refused  map[snapshot.Key]error  // that can't be listened on
	around   *around
	snap     *snapshot.Snapshot
}

// apply makes set the one that is served. The caller holds e.mu.
func (e *Engine) apply(set *object.Set, revision uint64) error {
	c := &change{form: form{asked: set, set: set}, revision: revision, opened: map[snapshot.Key]*group{}, refused: map[snapshot.Key]error{},
		around: e.around.lookAround()}
	if err := e.prepare(c); err != nil {
		closeAll(c.opened)
		return err
	}
	e.takeBack(c.back)
	for k, g := range c.opened {
		e.groups[k] = g
	}
	e.asked, e.set, e.around, e.refused = c.asked, c.set, c.around, c.refused
	e.noteFaults(c.faults)
	before := e.live.Load()
	fresh := freshPools(c.snap, before)
	e.rampFresh(fresh, before)
	e.settleConditions(fresh)
	e.inherit(c.snap)
	next := e.assemble(c.snap)
	e.secure(next)
	e.limit(next)
	e.retire(next, before)
	e.settleGroups(nil)
	for _, g := range c.opened {
		if e.estate == nil {
			g.run(e, e.cfg.Workers)
		}
	}
	return e.tellHealth(c.snap.Pools)
}

// tellHealth brings drains and monitors in line with what the configuration says of some pools.
func (e *Engine) tellHealth(pools []*snapshot.Pool) error {
	snap := e.live.Load().snap
	e.drain(snap, pools)
	changed, err := e.watch(snap, pools, e.set)
	if err != nil {
		return fmt.Errorf("health monitors: %w", err) // the set was validated: only a bug gets here
	}
	e.settleConditions(changed) // pools without monitors, servers that came back
	return nil
}

// again makes set the one that is served if it differs by some pools alone from the one that is, and reports whether it
// did: then nothing but these pools, and what refers to them, is looked at. The caller holds e.mu.
func (e *Engine) again(set *object.Set, revision uint64) bool {
	before := e.live.Load()
	if before == nil || e.around.stale || e.asked != e.set || len(e.faults)+len(e.refused) > 0 {
		return false
	}
	env := snapshot.Env{Sealer: e.sealer, LocalAddr: e.around.source, Hosts: e.around.addrs}
	snap, changed, ok := snapshot.Again(set, before.snap, env, revision)
	if !ok {
		return false
	}
	e.asked, e.set = set, set
	e.rampFresh(changed, before)
	e.settleConditions(changed)
	e.live.Store(&live{snap: snap, states: before.states, books: before.books, groups: before.groups})
	if err := e.tellHealth(changed); err != nil {
		e.log.Error("health monitors", "error", err)
	}
	return true
}

// prepare finds the form of the configuration that this machine can serve, and has everything ready for it.
func (e *Engine) prepare(c *change) error {
	for {
		faults, err := e.attempt(c)
		if err == nil {
			return nil
		}
		if e.cfg.Strict || len(faults) == 0 {
			return err
		}
		e.yield(c, faults) // each time at least one service falls back, so this ends
	}
}

// attempt opens sockets and compiles. On an error it gives what is wrong with which services; what was opened stays for
// the next attempt.
func (e *Engine) attempt(c *change) (map[string]*fault, error) {
	wanted := snapshot.Wanted(c.set)
	wants := wanted.Services
	if err := e.open(c, wants); err != nil {
		return c.faultsOf(wants), err
	}
	var prev *snapshot.Snapshot
	if old := e.live.Load(); old != nil {
		prev = old.snap
	}
	snap, err := snapshot.Compile(c.set, prev, e.env(c, wanted), c.revision)
	if err != nil {
		faults := map[string]*fault{}
		for _, se := range serviceErrors(err) {
			if faults[se.ID] == nil {
				faults[se.ID] = &fault{text: se.Text}
			}
		}
		return faults, err
	}
	c.snap = snap
	if err := e.takeOver(c, wants); err != nil {
		return c.faultsOf(wants), err
	}
	if len(c.opened) > 0 {
		c.closeUnwanted(wants)
	}
	return nil, nil
}

// serviceErrors are the errors of single services in a joined one.
func serviceErrors(err error) (out []*snapshot.ServiceError) {
	var se *snapshot.ServiceError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			out = append(out, serviceErrors(one)...)
		}
	} else if errors.As(err, &se) {
		out = append(out, se)
	}
	return out
}

func (e *Engine) env(c *change, wants *snapshot.Wants) snapshot.Env {
	env := snapshot.Env{Sealer: e.sealer, Wants: wants, LocalAddr: c.around.source, Hosts: c.around.addrs,
		Bound: make(map[snapshot.Key]netip.AddrPort, len(e.groups)+len(c.opened))}
	for k, g := range e.groups {
		env.Bound[k] = g.bound
	}
	for _, g := range c.back {
		env.Bound[g.key] = g.bound
	}
	for k, g := range c.opened {
		env.Bound[k] = g.bound
	}
	return env
}

// freshPools are the pools of a snapshot that the one before does not have as they are.
func freshPools(snap *snapshot.Snapshot, before *live) []*snapshot.Pool {
	var fresh []*snapshot.Pool
	for _, p := range snap.Pools {
		if before == nil || before.snap.Pool(p.ID) != p {
			fresh = append(fresh, p)
		}
	}
	return fresh
}
