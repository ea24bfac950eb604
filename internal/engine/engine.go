// Package engine is a service engine at work: sockets, workers, health, and the
// application of changes. Its spine is worker.go: read, parse, decide, edit, write.
//
// State has one writer each. Workers write their own counters and, under the
// lock of a shard, soft state. Everything else (what is configured, which servers
// are up, which sockets are open) is written under Engine.mu, and read by workers
// through one atomic pointer that is loaded once a batch.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
	"github.com/carillon-sip/carillon/internal/transport"
)

// Config is what an engine is started with.
type Config struct {
	Set    *object.Set
	Secret []byte // keys of tokens and placement; engines that share it understand each other
	// Workers is how many threads serve each listening address; see the function for 0.
	Workers int
	// Sockets is how many sockets a listening address has, 0 means one, and no more
	// than Workers count. The workers of a socket keep the order of all that comes;
	// with several sockets, order holds for what one sender sends from one address and
	// port (docs/adr/0005-order-and-workers.md).
	Sockets int
	Logger  *slog.Logger // nil: nothing is logged
	UDP     transport.Options
}

// Engine is a running service engine.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	sealer *token.Sealer
	names  *proxy.Names
	health *health.Manager
	start  time.Time

	live atomic.Pointer[live]

	mu        sync.Mutex // guards what follows
	set       *object.Set
	groups    map[snapshot.Key]*group
	states    map[string]*proxy.State // by name of the service
	retired   map[string]*tally       // counters of workers that have ended, by name of their service
	leaving   []leaving
	drains    map[drainKey]time.Time // when a draining server is disabled for good
	backoffs  map[drainKey]time.Time // until when a server asked to be left alone
	changes   []health.Change        // not yet in the views of their pools
	changedAt time.Time              // when changes were last brought in
	logged    logLimit
	applied   time.Time

	changed  chan struct{} // there are changes to bring in
	backoff  chan backoff
	kick     chan struct{}
	resolver *resolver
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// live is what workers read: one value that never changes.
type live struct {
	snap   *snapshot.Snapshot
	states []*proxy.State // by Service.Index
	groups []*group       // by Listener.Index
	byKey  map[snapshot.Key]*snapshot.Listener
}

// group is the sockets of one listener, each in its lane, and their workers.
type group struct {
	key     snapshot.Key
	bound   netip.AddrPort
	lanes   []*lane
	workers []*worker
}

type leaving struct {
	groups []*group
	states []*proxy.State
	snap   *snapshot.Snapshot
	until  time.Time
}

type drainKey struct {
	pool string
	addr netip.AddrPort
}

type backoff struct {
	server *snapshot.Server
	until  time.Time
}

const (
	// lingerFor is how long sockets of a listener that is gone still serve what
	// was under way: 64*T1, RFC 3261 17.1.1.2.
	lingerFor = 32 * time.Second
	// closesWithin bounds the wait for a socket that was closed to give its port back.
	closesWithin = time.Second
	// recvBuf is what is asked for as receive buffer of a socket, in octets: some
	// 0.2 s of messages at full speed.
	recvBuf = 8 << 20
	sendBuf = 4 << 20
	// backoffQueue is how many requests to leave a server alone may wait.
	backoffQueue = 64
)

// Workers is how many workers a listening address with so many sockets gets when n
// were asked for: 0 means one for each CPU, but no more than a socket can keep busy.
func Workers(n, sockets int) int {
	if n > 0 {
		return n
	}
	return min(runtime.NumCPU(), usefulWorkers*max(1, sockets))
}

// Start opens the sockets and serves. An error says what is wrong with the
// configuration, or which address can't be listened on and why.
func Start(cfg Config) (*Engine, error) {
	cfg.Workers = Workers(cfg.Workers, cfg.Sockets)
	cfg.Sockets = max(1, min(cfg.Sockets, cfg.Workers))
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.UDP.RecvBuf == 0 {
		cfg.UDP.RecvBuf, cfg.UDP.SendBuf, cfg.UDP.GRO = recvBuf, sendBuf, true
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Engine{cfg: cfg, log: cfg.Logger, sealer: token.New(cfg.Secret), names: proxy.NewNames(), start: time.Now(),
		groups: map[snapshot.Key]*group{}, states: map[string]*proxy.State{}, retired: map[string]*tally{},
		drains: map[drainKey]time.Time{}, backoffs: map[drainKey]time.Time{},
		changed: make(chan struct{}, 1), backoff: make(chan backoff, backoffQueue), kick: make(chan struct{}, 1), stop: stop}
	e.health = health.New(health.Config{OnChange: e.healthChanged, UserAgent: "carillon"})
	e.resolver = newResolver(e)
	if err := e.Apply(cfg.Set); err != nil {
		stop()
		e.health.Close()
		return nil, err
	}
	e.wg.Go(func() { e.control(ctx) })
	e.wg.Go(func() { e.resolver.run(ctx) })
	return e, nil
}

// Stop closes all sockets and ends every goroutine. What is under way is lost;
// who wants to leave gently drains first.
func (e *Engine) Stop() {
	e.stop()
	e.mu.Lock()
	for _, g := range e.groups {
		g.close()
	}
	for _, l := range e.leaving {
		for _, g := range l.groups {
			g.close()
		}
	}
	e.mu.Unlock()
	e.health.Close()
	e.wg.Wait()
}

func (g *group) close() {
	for _, l := range g.lanes {
		l.sock.Close()
	}
}

// tick is the time as soft state counts it: ms since the engine started, never 0.
func (e *Engine) tick(now time.Time) aged.Tick { return aged.Tick(now.Sub(e.start).Milliseconds() + 1) }

// Apply makes the engine serve set, which has been validated. Sockets that stay
// are not touched, so no message is lost; those of listeners that are gone serve
// what is under way for another 32 s. On an error nothing has changed.
func (e *Engine) Apply(set *object.Set) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	keys := snapshot.Wanted(set)
	opened, held, err := e.open(keys)
	if err != nil {
		return err
	}
	var prev *snapshot.Snapshot
	revision := uint64(1)
	if old := e.live.Load(); old != nil {
		prev = old.snap
		revision = prev.Revision + 1
	}
	snap, err := snapshot.Compile(set, prev, e.env(opened), revision)
	if err != nil {
		for _, g := range opened {
			g.close()
		}
		return err
	}
	more, err := e.takeOver(held, keys)
	opened = append(opened, more...)
	if err != nil {
		for _, g := range opened {
			g.close()
		}
		return err
	}
	for _, g := range opened {
		e.groups[g.key] = g
	}
	e.set, e.applied = set, time.Now()
	e.settleConditions(snap)
	old := e.live.Swap(e.assemble(snap))
	for _, g := range opened {
		g.run(e, e.cfg.Workers)
	}
	e.retire(old)
	e.drain(snap)
	if err := e.health.Apply(e.targets(snap, set)); err != nil {
		return fmt.Errorf("health monitors: %w", err) // the set was validated: only a bug gets here
	}
	e.settleConditions(snap) // pools without monitors, servers that came back
	return nil
}

// open opens the sockets of listeners that are new. held are those whose port is
// kept by an egress that is wanted no more: takeOver opens them, when the change is
// sure to come.
func (e *Engine) open(keys []snapshot.Key) (opened []*group, held []snapshot.Key, err error) {
	var errs []error
	for _, k := range keys {
		if e.groups[k] != nil || e.takeBack(k) {
			continue
		}
		g, err := e.listen(k)
		switch {
		case err == nil:
			opened = append(opened, g)
		case errors.Is(err, syscall.EADDRINUSE) && e.egressAt(k.Addr, keys) != nil:
			held = append(held, k)
		default:
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		for _, g := range opened {
			g.close()
		}
		return nil, nil, err
	}
	return opened, held, nil
}

// listen opens the sockets of a listener, those of an egress on the port that it
// would have rather than any.
func (e *Engine) listen(k snapshot.Key) (*group, error) {
	sockets, err := transport.ListenUDP(netip.AddrPortFrom(k.Addr.Addr(), max(k.Addr.Port(), k.Port)), e.cfg.Sockets, e.cfg.UDP)
	if err != nil && k.Port != 0 {
		e.log.Warn("the port of a virtual service is taken in the family that only its servers have: another is used, and another one after a restart",
			"virtual_service", k.Egress, "error", err)
		sockets, err = transport.ListenUDP(k.Addr, e.cfg.Sockets, e.cfg.UDP)
	}
	if err != nil {
		return nil, err
	}
	g := &group{key: k, bound: sockets[0].LocalAddr()}
	for i, s := range sockets {
		g.lanes = append(g.lanes, newLane(s, i))
	}
	return g, nil
}

// egressAt is the group of an egress that has the port of an address and is not
// wanted any more, or nil.
func (e *Engine) egressAt(a netip.AddrPort, wanted []snapshot.Key) *group {
	clash := func(g *group) bool {
		return g.key.Egress != "" && g.bound.Port() == a.Port() && g.bound.Addr().Is4() == a.Addr().Is4() && !slices.Contains(wanted, g.key)
	}
	for _, g := range e.groups {
		if clash(g) {
			return g
		}
	}
	for _, l := range e.leaving {
		if i := slices.IndexFunc(l.groups, clash); i >= 0 {
			return l.groups[i]
		}
	}
	return nil
}

// takeOver opens listeners in the place of egresses that keep their ports. These
// cannot linger: what is still to come for them comes to who has their port now.
// The kernel has just said that nothing but the port is in the way.
func (e *Engine) takeOver(held, wanted []snapshot.Key) ([]*group, error) {
	var opened []*group
	for _, k := range held {
		for g := e.egressAt(k.Addr, wanted); g != nil; g = e.egressAt(k.Addr, wanted) {
			e.dismiss(g)
		}
		g, err := e.listen(k)
		for end := time.Now().Add(closesWithin); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); g, err = e.listen(k) {
			time.Sleep(time.Millisecond) // a socket is closed when the last call under way has returned
		}
		if err != nil {
			return opened, err
		}
		opened = append(opened, g)
	}
	return opened, nil
}

// dismiss closes a group at once.
func (e *Engine) dismiss(g *group) {
	g.close()
	snap := e.live.Load().snap
	if e.groups[g.key] == g {
		delete(e.groups, g.key)
	}
	for i := range e.leaving {
		l := &e.leaving[i]
		if at := slices.Index(l.groups, g); at >= 0 {
			l.groups = slices.Delete(l.groups, at, at+1)
			snap = l.snap
		}
	}
	e.keepTallies(g, snap)
}

// takeBack brings a listener back that was leaving.
func (e *Engine) takeBack(k snapshot.Key) bool {
	for i := range e.leaving {
		for j, g := range e.leaving[i].groups {
			if g.key == k {
				e.leaving[i].groups = append(e.leaving[i].groups[:j], e.leaving[i].groups[j+1:]...)
				e.groups[k] = g
				return true
			}
		}
	}
	return false
}

func (e *Engine) env(opened []*group) snapshot.Env {
	env := snapshot.Env{Sealer: e.sealer, LocalAddr: transport.LocalAddrFor, Hosts: hostAddrs(), Bound: map[snapshot.Key]netip.AddrPort{}}
	for k, g := range e.groups {
		env.Bound[k] = g.bound
	}
	for _, g := range opened {
		env.Bound[g.key] = g.bound
	}
	return env
}

// hostAddrs are the addresses of this machine's interfaces, with the prefixes of their links.
func hostAddrs() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			out = append(out, p)
		}
	}
	return out
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
		l.states = append(l.states, st)
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
	gone := leaving{snap: old.snap, until: time.Now().Add(lingerFor)}
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
			gone.states = append(gone.states, st)
			delete(e.states, name)
		}
	}
	if len(gone.groups)+len(gone.states) > 0 {
		e.leaving = append(e.leaving, gone)
	}
}
