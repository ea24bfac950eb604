// Package agent keeps an engine at what the store says: it follows the configuration, has the engine apply it, keeps
// the last good one on disk for a start without the store, registers the engine for as long as it lives, and answers
// controllers that ask how it is.
package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/store"
)

// Config is what an agent is started with.
type Config struct {
	Store   *store.Store
	Source  *catalog.Source // that sees Store; nil: the agent follows it by itself
	Name    string          // of the engine, unique on the store
	Engine  engine.Config   // Set and Secret are the agent's to fill in
	Control string          // address of the control listener; "": one of loopback
	Dir     string          // for the last good configuration; "": it is not kept
	Version string          // of carillon
	Logger  *slog.Logger    // nil: nothing is logged
}

// Times and limits.
const (
	// firstWait is how long a start waits for the store before the configuration on disk is used.
	firstWait = 5 * time.Second
	// leaseTTL is how long the registration outlives the engine.
	leaseTTL = 5 * time.Second
	// lookEvery is how often the engine is asked whether it still has what it was given.
	lookEvery = time.Second
)

// Agent is an engine and what keeps it up to date.
type Agent struct {
	cfg     Config
	log     *slog.Logger
	eng     *engine.Engine
	server  *server
	history *history
	bases   *bases

	newest chan *catalog.View // of capacity one: what is to be applied
	toKeep chan kept          // likewise: what is to be written
	told   chan struct{}      // likewise: the registration has changed

	running *object.Set // what the engine was given last; work's own

	mu     sync.Mutex // of reg and faults
	reg    report.Registration
	faults map[string]string // what of the configuration is not run as it stands in the store, by object
	ready  chan struct{}     // closed when the engine runs what the store has

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// ErrNoConfiguration says that neither the store nor the disk has anything to run.
var ErrNoConfiguration = errors.New("the store cannot be reached, and there is no last good configuration on disk")

// Start starts the engine with what the store has or, if it cannot be reached, with what it had last.
func Start(ctx context.Context, cfg Config) (*Agent, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{cfg: cfg, log: cfg.Logger, newest: make(chan *catalog.View, 1), toKeep: make(chan kept, 1),
		told: make(chan struct{}, 1), ready: make(chan struct{}), history: newHistory(time.Now()), bases: newBases(time.Now())}
	first, err := a.first(ctx)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.cfg.Engine.Set, a.cfg.Engine.Revision, a.cfg.Engine.Secret = first.set, uint64(first.revision), first.secret
	if a.eng, err = engine.Start(a.cfg.Engine); err != nil {
		stop()
		return nil, err
	}
	if a.server, err = serve(a, cfg.Control, report.Bearer(first.secret)); err != nil {
		stop()
		a.eng.Stop()
		return nil, err
	}
	a.reg = a.registration(first.revision)
	a.lacks(first.faults)
	a.wg.Go(func() { a.history.watch(run, a.eng) })
	a.wg.Go(func() { a.bases.watch(run, a.eng) })
	a.wg.Go(func() { a.follow(run) })
	a.wg.Go(func() { a.work(run, first.view) })
	a.wg.Go(func() { a.register(run) })
	a.wg.Go(func() { a.keeper(run) })
	return a, nil
}

// Stop ends the engine and all around it. The registration goes at once if the store can be reached.
func (a *Agent) Stop() {
	a.stop()
	a.wg.Wait()
	a.server.close()
	a.eng.Stop()
}

// Engine is the engine.
func (a *Agent) Engine() *engine.Engine { return a.eng }

// Registration is what the agent last told, or is about to tell, of its engine.
func (a *Agent) Registration() report.Registration {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.reg
	out.Errors = maps.Clone(a.reg.Errors)
	return out
}

// start is what an engine begins with.
type start struct {
	set      *object.Set
	view     *catalog.View // that set is of; nil: it is from the disk
	revision int64
	secret   []byte
	faults   map[string]string
}

// first finds what to begin with.
func (a *Agent) first(ctx context.Context) (start, error) {
	wait, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	s, err := a.fromStore(wait)
	if err == nil {
		return s, nil
	}
	if ctx.Err() != nil {
		return start{}, ctx.Err()
	}
	a.log.Warn("the store cannot be reached, the last good configuration is looked for", "error", err)
	s, diskErr := a.load()
	if diskErr != nil {
		return start{}, fmt.Errorf("%w: %w; %w", ErrNoConfiguration, err, diskErr)
	}
	a.log.Warn("running the last good configuration until the store is back", "revision", s.revision)
	return s, nil
}

func (a *Agent) fromStore(ctx context.Context) (start, error) {
	for {
		s, err := a.fromStoreOnce(ctx)
		if err == nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return start{}, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// errNoSecret says that no controller has been at the store yet.
var errNoSecret = errors.New("the store holds no configuration yet: start a controller first")

func (a *Agent) fromStoreOnce(ctx context.Context) (start, error) {
	kv, found, _, err := a.cfg.Store.Get(ctx, catalog.SecretKey)
	switch {
	case err != nil:
		return start{}, err
	case !found:
		return start{}, errNoSecret
	}
	load := func() (*catalog.View, error) { return catalog.Load(ctx, a.cfg.Store) }
	if a.cfg.Source != nil {
		load = func() (*catalog.View, error) { return a.cfg.Source.Load(ctx) }
	}
	v, err := load()
	if err != nil {
		return start{}, err
	}
	set := forEngine(v.Set())
	if len(v.Faults) == 0 && set.Validate() == nil {
		return start{set: set, view: v, revision: v.Revision, secret: kv.Value}, nil
	}
	last, err := a.load()
	if err != nil {
		a.log.Warn("the configuration in the store has faults, and there is no last good one to mend it with", "error", err)
	}
	m, err := mend(v, set, last.set)
	if err != nil {
		return start{}, fmt.Errorf("the configuration in the store is wrong: %w", err)
	}
	return start{m.set, v, v.Revision, kv.Value, m.faults}, nil
}

// forEngine is what of a set an engine needs. Users and tenants are none of it.
func forEngine(s *object.Set) *object.Set {
	out := *s
	out.Users, out.Roles, out.Tenants = nil, nil, nil
	return &out
}

// follow hands every new view to work, the newest in the place of one that was not taken yet.
func (a *Agent) follow(ctx context.Context) {
	lost := false
	follow := a.cfg.Source.Follow
	if a.cfg.Source == nil {
		follow = func(ctx context.Context, f func(*catalog.View, error)) { catalog.Follow(ctx, a.cfg.Store, a.log, f) }
	}
	follow(ctx, func(v *catalog.View, err error) {
		if err != nil {
			if !lost {
				a.log.Warn("the store cannot be reached, the engine goes on with what it has", "error", err)
			}
			lost = true
			return
		}
		if lost {
			a.log.Info("the store is back", "revision", v.Revision)
		}
		lost = false
		select {
		case <-a.newest:
		default:
		}
		a.newest <- v // only this goroutine puts in, so there is room
	})
}

// work applies what follow found, one view after the other; applied is the one that the engine began with, nil if it came
// from the disk.
func (a *Agent) work(ctx context.Context, applied *catalog.View) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	fresh := applied != nil
	if fresh {
		a.keep(a.cfg.Engine.Set, int64(a.cfg.Engine.Revision), a.cfg.Engine.Secret)
		close(a.ready)
	}
	a.running = a.cfg.Engine.Set
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			a.tell(nil)
		case v := <-a.newest:
			if applied == nil || v.Generation != applied.Generation {
				if !a.apply(v, applied) {
					continue
				}
				applied = v
			} else {
				a.tell(func(r *report.Registration) { r.Applied, r.Wanted = v.Revision, v.Revision })
			}
			if !fresh {
				fresh = true
				close(a.ready)
			}
		}
	}
}

// apply makes the engine run a view, after applied, which may be nil. What is wrong with it is told, and goes on as it was.
func (a *Agent) apply(v, applied *catalog.View) bool {
	m, err := mended{set: forEngine(v.Set())}, error(nil)
	if applied == nil || len(v.Faults)+len(a.faults) > 0 || !v.Harmless(applied) {
		m, err = mend(v, m.set, a.running)
	}
	if err == nil {
		err = a.eng.Apply(m.set, uint64(v.Revision))
	}
	if err != nil {
		a.log.Error("a configuration cannot be run, the one before stays", "revision", v.Revision, "error", err)
		a.tell(func(r *report.Registration) {
			r.Wanted = v.Revision
			r.Errors = map[string]string{"configuration": err.Error()}
		})
		return false
	}
	a.running = m.set
	a.tell(func(r *report.Registration) {
		r.Applied, r.Wanted = v.Revision, v.Revision
		delete(r.Errors, "configuration")
		a.lacks(m.faults)
	})
	a.keep(m.set, v.Revision, a.cfg.Engine.Secret)
	return true
}

// lacks notes what of the configuration does not run as it stands in the store, and logs what is new of it. The caller
// holds a.mu.
func (a *Agent) lacks(faults map[string]string) {
	for name, words := range faults {
		if a.faults[name] != words {
			a.log.Error("an object cannot be run as it stands in the store", "object", name, "error", words)
		}
	}
	a.faults = faults
}

// Ready is closed when the engine runs what the store has.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// registration is what a new engine registers.
func (a *Agent) registration(revision int64) report.Registration {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return report.Registration{Name: a.cfg.Name, UUID: a.identity(), Control: a.server.addr(), Fingerprint: a.server.fingerprint,
		Version: a.cfg.Version, Host: host, PID: os.Getpid(), Started: time.Now().UTC(), Applied: revision, Wanted: revision, Errors: map[string]string{}}
}

// newIdentity is the uuid of an engine that never ran before.
func newIdentity() string {
	id, err := uuid.NewRandom()
	if err != nil {
		return "se-" + rand.Text()
	}
	return "se-" + id.String()
}
