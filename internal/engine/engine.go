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
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
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

	machine machine // the zero value: this one
}

// Engine is a running service engine.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	sealer *token.Sealer
	names  [2]*proxy.Names // by family of the listener, see family
	health *health.Manager
	start  time.Time

	live atomic.Pointer[live]

	mu        sync.Mutex // guards what follows
	set       *object.Set
	groups    map[snapshot.Key]*group
	states    map[string]*proxy.State // by name of the service
	books     map[string]*book        // likewise; of services that are gone too
	leaving   []leaving
	drains    map[drainKey]time.Time // when a draining server is disabled for good
	backoffs  map[drainKey]time.Time // until when a server asked to be left alone
	changes   []health.Change        // not yet in the views of their pools
	changedAt time.Time              // when changes were last brought in
	logged    logLimit
	applied   time.Time
	around    *around // what the snapshot was told of the machine

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
	books  []*book        // by Service.Index
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

type drainKey struct {
	pool string
	addr netip.AddrPort
}

type backoff struct {
	server *snapshot.Server
	until  time.Time
}

const (
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
	if cfg.machine.addrs == nil {
		cfg.machine = thisMachine
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Engine{cfg: cfg, log: cfg.Logger, sealer: token.New(cfg.Secret), names: [2]*proxy.Names{proxy.NewNames(), proxy.NewNames()}, start: time.Now(),
		groups: map[snapshot.Key]*group{}, states: map[string]*proxy.State{}, books: map[string]*book{},
		drains: map[drainKey]time.Time{}, backoffs: map[drainKey]time.Time{},
		changed: make(chan struct{}, 1), backoff: make(chan backoff, backoffQueue), kick: make(chan struct{}, 1), stop: stop}
	e.health = health.New(health.Config{OnChange: e.healthChanged, UserAgent: "carillon"})
	e.around = &around{machine: cfg.machine}
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
// are not touched, so no message is lost; those of listeners that are gone go
// on as before for another 32 s, new calls too. On an error nothing has changed.
func (e *Engine) Apply(set *object.Set) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	revision := uint64(1)
	if old := e.live.Load(); old != nil {
		revision = old.snap.Revision + 1
	}
	err := e.apply(set, revision)
	if err == nil {
		e.applied = time.Now()
	}
	return err
}

// apply makes set the one that is served. The caller holds e.mu.
func (e *Engine) apply(set *object.Set, revision uint64) error {
	keys := snapshot.Wanted(set)
	opened, back, held, err := e.open(keys)
	if err != nil {
		return err
	}
	var prev *snapshot.Snapshot
	if old := e.live.Load(); old != nil {
		prev = old.snap
	}
	now := e.around.lookAround()
	snap, err := snapshot.Compile(set, prev, e.env(now, append(back[:len(back):len(back)], opened...)), revision)
	if err != nil {
		closeAll(opened)
		return err
	}
	more, err := e.takeOver(held, keys)
	opened = append(opened, more...)
	if err != nil {
		closeAll(opened)
		return err
	}
	e.takeBack(back)
	for _, g := range opened {
		e.groups[g.key] = g
	}
	e.set, e.around = set, now
	e.settleConditions(snap)
	e.inherit(snap)
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

func (e *Engine) env(now *around, more []*group) snapshot.Env {
	env := snapshot.Env{Sealer: e.sealer, LocalAddr: now.source, Hosts: now.addrs, Bound: map[snapshot.Key]netip.AddrPort{}}
	for k, g := range e.groups {
		env.Bound[k] = g.bound
	}
	for _, g := range more {
		env.Bound[g.key] = g.bound
	}
	return env
}
