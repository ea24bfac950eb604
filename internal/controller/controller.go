// Package controller accepts, checks and stores what users configure, knows every engine's state, and tells who
// changed what. Controllers are equal: any number of them on one store, each with a view that follows it.
//
// A change is planned on the view at hand and committed only if nobody changed anything since: the transaction
// compares the key that every change writes (catalog.Generation), so what a check looked at is what the change meets.
package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/store"
)

// Config is what a controller is started with.
type Config struct {
	Store  *store.Store
	Logger *slog.Logger // nil: nothing is logged
	// Secret becomes the cluster's secret at the very first start; nil: a random one.
	Secret []byte
	// AdminPassword becomes that of the user admin at the very first start, and is set again at every later one. Empty:
	// a random one is made at the first start, and Controller.FirstPassword tells it once.
	AdminPassword string
	Version       string // of carillon
	// Clock is the one on the wall; nil: this machine's. Only what is shown to people, or holds on several machines, goes by
	// it: times of changes, and the end of sessions. All else is counted by the monotonic clock.
	Clock func() time.Time
}

// Controller owns the objects.
type Controller struct {
	cfg    Config
	st     *store.Store
	log    *slog.Logger
	secret []byte

	source  *catalog.Source
	view    atomic.Pointer[catalog.View]
	trouble atomic.Pointer[error] // of the store; nil while it is there
	engines atomic.Pointer[registry]
	first   string // password made at the first start
	counts  counts

	write   sync.Mutex // one change at a time is planned here; other controllers are met in the store
	mu      sync.Mutex // of moved
	moved   chan struct{}
	logins  *logins
	logouts *logouts
	asker   *asker

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Limits.
const (
	// maxConflict is how long a change is planned anew because another controller was faster, maxPause how long it waits at
	// the most between two attempts.
	maxConflict = 15 * time.Second
	maxPause    = 10 * time.Millisecond
	// catchUp is how long a change waits for this controller's own view to show it.
	catchUp = 5 * time.Second
)

// Start makes what must be there at the very first start (the cluster's secret, system objects, the user admin) and
// follows the store. It needs the store to be reachable.
func Start(ctx context.Context, cfg Config) (*Controller, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.AdminPassword != "" {
		if err := fitPassword(cfg.AdminPassword); err != nil { // before anything is made with it
			return nil, fmt.Errorf("password of the user admin: %w", err)
		}
	}
	run, stop := context.WithCancel(context.Background())
	c := &Controller{cfg: cfg, st: cfg.Store, log: cfg.Logger, moved: make(chan struct{}), stop: stop, logins: newLogins(), logouts: newLogouts()}
	c.view.Store(catalog.Empty())
	c.engines.Store(&registry{})
	if err := c.bootstrap(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("first objects: %w", err)
	}
	c.asker = newAsker(c.secret)
	c.source = catalog.NewSource(c.st, c.log)
	v, err := c.source.Load(ctx)
	if err != nil {
		stop()
		c.source.Close()
		return nil, err
	}
	c.view.Store(v)
	c.wg.Go(func() { c.source.Follow(run, c.follow) })
	c.wg.Go(func() { c.followEngines(run) })
	c.wg.Go(func() { c.followLogouts(run) })
	if err := c.setAdminPassword(ctx); err != nil {
		c.Stop()
		return nil, fmt.Errorf("password of the user admin: %w", err)
	}
	return c, nil
}

// Stop ends all that the controller started. The store is the caller's.
func (c *Controller) Stop() {
	c.stop()
	c.wg.Wait()
	c.source.Close()
	c.asker.close()
}

// Source is what the controller sees the store by, for others in the process who want to see the same.
func (c *Controller) Source() *catalog.Source { return c.source }

// View is everything that is configured, as far as this controller has seen.
func (c *Controller) View() *catalog.View { return c.view.Load() }

// Trouble says what is wrong with the store; nil: it is there.
func (c *Controller) Trouble() error {
	if err := c.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// Room says why the store takes no change, or none but deletes, which deletes tells; nil: it takes all.
func (c *Controller) Room(ctx context.Context) (full error, deletes bool) {
	return c.st.Room(ctx), c.st.KeepsWayOut()
}

// FirstPassword is the password that was made for the user admin at the very first start; empty at any later one.
func (c *Controller) FirstPassword() string { return c.first }

// HasSecret reports whether a secret is the cluster's.
func (c *Controller) HasSecret(secret []byte) bool { return bytes.Equal(secret, c.secret) }

// Version is carillon's.
func (c *Controller) Version() string { return c.cfg.Version }

func (c *Controller) follow(v *catalog.View, err error) {
	if err != nil {
		if c.trouble.Swap(&err) == nil {
			c.log.Warn("the store cannot be reached: changes are refused, engines go on with what they have", "error", err)
		}
		return
	}
	if c.trouble.Swap(nil) != nil {
		c.log.Info("the store is back", "revision", v.Revision)
	}
	c.view.Store(v)
	c.tell()
}

// tell wakes those who wait for something to change.
func (c *Controller) tell() {
	c.mu.Lock()
	close(c.moved)
	c.moved = make(chan struct{})
	c.mu.Unlock()
}

// until waits for done to say so. It is asked again when the view or an engine has moved.
func (c *Controller) until(ctx context.Context, done func() bool) bool {
	for {
		c.mu.Lock()
		moved := c.moved
		c.mu.Unlock()
		if done() {
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return done()
		}
	}
}

// seen waits until the view has reached a revision.
func (c *Controller) seen(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	if c.until(ctx, func() bool { return c.View().Revision >= revision }) {
		return nil
	}
	return fault(Unavailable, "stored as revision %d, but this controller has not seen it after %s", revision, catchUp)
}

// unavailable turns an error of the store into ours.
func unavailable(err error) error {
	switch {
	case errors.Is(err, store.ErrFull):
		return fault(Unavailable, "nothing was changed: %v", err)
	case errors.Is(err, store.ErrTooLarge):
		return fault(TooLarge, "more than the store takes in one transaction: %v", err)
	case errors.Is(err, store.ErrUncertain):
		return fault(Unavailable, "the store did not answer in time, and the change may have been made or not: read it again (%v)", err)
	}
	return fault(Unavailable, "the store cannot be reached, nothing was changed: %v", err)
}
