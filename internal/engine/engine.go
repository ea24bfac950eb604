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
	"crypto/tls"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/handover"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/tap"
	"github.com/carillon-sip/carillon/internal/token"
	"github.com/carillon-sip/carillon/internal/transport"
)

// Config is what an engine is started with.
type Config struct {
	Set    *object.Set // nil: nothing yet
	Secret []byte      // keys of tokens and placement; engines that share it understand each other
	// Workers is how many threads serve each listening address; see the function for 0.
	Workers int
	// Sockets is how many sockets a listening address has, 0 means one, and no more
	// than Workers count. The workers of a socket keep the order of all that comes;
	// with several sockets, order holds for what one sender sends from one address and
	// port (docs/adr/0005-order-and-workers.md).
	Sockets int
	// Revision is that of Set, see Apply.
	Revision uint64
	// Strict refuses a whole configuration, at the start or in Apply, of which an address can't be listened on. Without it
	// the virtual service concerned keeps its last good form, or stays down, until the address can be had.
	Strict bool
	Logger *slog.Logger // nil: nothing is logged
	UDP    transport.Options
	Stream transport.StreamOptions
	// From is the process whose engine this one takes over; nil: none. The engine then serves from TakeOver on.
	From *handover.Conn

	machine machine // the zero value: this one
}

// Engine is a running service engine.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	sealer *token.Sealer
	names  [2]*proxy.Names // by family of the listener, see family
	health *health.Manager
	start  time.Time // of the clock of soft state: that of the first of processes that took over from each other
	began  time.Time

	live atomic.Pointer[live]

	taps      tap.Taps
	seenCalls tap.Seen

	halting  atomic.Bool              // workers are to stop reading
	farewell atomic.Pointer[Farewell] // set once another process serves in the place of this one

	awake atomic.Int32  // workers that have their gear
	spare [2]chan *gear // by family

	mu        sync.Mutex             // guards what follows
	asked     *object.Set            // that was last given to Apply
	refused   map[snapshot.Key]error // that could not be listened on then
	set       *object.Set            // that is served: asked, but for what faults say
	faults    map[string]*fault      // by ID of the service
	groups    map[snapshot.Key]*group
	states    map[string]*proxy.State // by ID of the service
	books     map[string]*book        // likewise; of services that are gone too
	watched   map[string]*watched     // by ID of the pool: what the monitors were told
	leaving   []leaving
	drains    map[drainKey]time.Time // when a draining server is disabled for good
	ramps     map[drainKey]time.Time // since when a server gets a growing share
	passive   map[string]*passive    // by ID of the pool
	seconds   int64                  // that control has counted
	ebbs      map[drainKey]*ebb      // of servers that drain
	backoffs  map[drainKey]time.Time // until when a server asked to be left alone
	changes   []health.Change        // not yet in the views of their pools
	changedAt time.Time              // when changes were last brought in
	logged    logLimit
	applied   time.Time
	around    *around // what the snapshot was told of the machine
	estate    *estate // of an engine that is yet to take over: what it takes

	gates map[string]*transport.Gate // by ID of the service

	changed  chan struct{} // there are changes to bring in
	backoff  chan backoff
	kick     chan struct{}
	resolver *resolver
	streams  *streams
	desks    *desks
	outbox   outbox
	tending  sync.Mutex         // held while soft state is tended, and by who wants it to stand still
	run      func()             // starts what is beside the sockets
	rest     context.CancelFunc // ends of that what is not about messages
	ownTLS   *tls.Config        // see anonymous; under mu
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// live is what workers read: one value that never changes.
type live struct {
	snap   *snapshot.Snapshot
	states []*proxy.State // by Service.Index
	books  []*book        // by Service.Index
	groups []*group       // by Listener.Index
}

// group is the sockets of one listener, each in its lane, and their workers.
type group struct {
	key     snapshot.Key
	bound   netip.AddrPort
	lanes   []*lane
	workers []*worker
	stream  *transport.StreamListener // of a listener of streams, which has no lanes and workers
	last    atomic.Pointer[live]      // the last one that had the listener; valid once it is gone
}

type drainKey struct {
	pool string // its ID
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
	now := time.Now()
	e := &Engine{cfg: cfg, log: cfg.Logger, sealer: token.New(cfg.Secret), names: [2]*proxy.Names{proxy.NewNames(), proxy.NewNames()}, start: now, began: now,
		spare: [2]chan *gear{make(chan *gear, maxSpare), make(chan *gear, maxSpare)}, watched: map[string]*watched{},
		groups: map[snapshot.Key]*group{}, states: map[string]*proxy.State{}, books: map[string]*book{},
		drains: map[drainKey]time.Time{}, backoffs: map[drainKey]time.Time{}, ramps: map[drainKey]time.Time{}, ebbs: map[drainKey]*ebb{}, passive: map[string]*passive{},
		changed: make(chan struct{}, 1), backoff: make(chan backoff, backoffQueue), kick: make(chan struct{}, 1), stop: stop}
	e.health = health.New(health.Config{OnChange: e.healthChanged, UserAgent: "carillon"})
	e.around = &around{machine: cfg.machine}
	e.taps.Note = e.seen
	e.resolver = newResolver(e)
	e.streams, e.desks = newStreams(e), newDesks(e)
	set := cfg.Set
	if set == nil {
		set = new(object.Set)
	}
	err := e.askEstate(cfg.From)
	if err == nil {
		err = e.Apply(set, cfg.Revision)
	}
	if err != nil {
		stop()
		e.health.Close()
		e.estate.close()
		return nil, err
	}
	e.run = func() {
		work, rest := context.WithCancel(ctx)
		e.rest = rest
		e.wg.Go(func() { e.control(work) })
		e.wg.Go(func() { e.tables(work) })
		e.wg.Go(func() { e.resolver.run(ctx) })
	}
	if e.estate == nil {
		e.run()
	} else {
		e.settleEstate()
	}
	return e, nil
}

// Stop closes all sockets and ends every goroutine. What is under way is lost;
// who wants to leave gently drains first.
func (e *Engine) Stop() {
	e.stop()
	e.taps.Close()
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
	e.streams.closeGroup(nil)
	if e.cfg.From != nil {
		e.cfg.From.Close()
	}
	e.health.Close()
	e.wg.Wait()
	e.estate.close()
	e.closeSpare()
}

func (g *group) close() {
	if g.stream != nil {
		g.stream.Close()
	}
	for _, l := range g.lanes {
		l.sock.Close()
	}
}

// tick is the time as soft state counts it: ms since the engine started, never 0.
func (e *Engine) tick(now time.Time) aged.Tick { return aged.Tick(now.Sub(e.start).Milliseconds() + 1) }
