package ua

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// FleetConfig is what a Fleet is made of.
type FleetConfig struct {
	Callers int
	Proxy   netip.AddrPort
	Listen  netip.Addr    // address the phones bind to
	Rate    float64       // calls per second of all together
	Talk    time.Duration // mean length of a call
	Expires time.Duration // of registrations; renewed at a little over half of it
	Mix     Mix
	Seed    uint64
	Report  func(Result) // called for each call that ends, from many goroutines; may be nil
}

// Mix says which share of the calls, 0 to 1, is not a plain one.
type Mix struct {
	Busy   float64 // to a busy user
	Cancel float64 // given up while it rings
	Pause  float64 // put on hold and taken back
}

// firstUser is the number of the first phone; 1001 and up are left to people.
const firstUser = 2001

// callees are whom a plain call goes to.
var callees = [...]string{"1002", "1003", "1004", "echo"}

// maxRate bounds what a fleet may be asked for, in calls a second.
const maxRate = 1000

// Fleet is a number of phones that register and place calls at a rate.
type Fleet struct {
	cfg     FleetConfig
	callers []*Caller
	totals  totals
	change  chan struct{} // rate or pause changed
	hangUp  chan struct{} // closed: end all calls
	ending  sync.Once
	calls   sync.WaitGroup

	mu     sync.Mutex
	rate   float64
	paused bool
	dice   *rand.Rand
}

// StartFleet starts the phones; they are silent until Run.
func StartFleet(cfg FleetConfig) (*Fleet, error) {
	f := &Fleet{
		cfg: cfg, rate: clampRate(cfg.Rate), dice: rand.New(rand.NewPCG(cfg.Seed, 2)),
		change: make(chan struct{}, 1), hangUp: make(chan struct{}), totals: newTotals(),
	}
	for i := range cfg.Callers {
		c, err := StartCaller(CallerConfig{
			User: strconv.Itoa(firstUser + i), Addr: netip.AddrPortFrom(cfg.Listen, 0), Proxy: cfg.Proxy,
		})
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("caller %d of %d: %w", i+1, cfg.Callers, err)
		}
		f.callers = append(f.callers, c)
	}
	return f, nil
}

// Run registers the phones, keeps them registered, and places calls until ctx ends. Then it returns at once; the calls
// under way end by themselves, by HangUp, or with Close.
func (f *Fleet) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, c := range f.callers {
		wg.Go(func() { f.keepRegistered(ctx, c, i) })
	}
	due := time.Now().Add(f.pause())
	next := time.NewTimer(time.Until(due))
	defer next.Stop()
	for {
		select {
		case <-next.C:
			if f.rateNow() > 0 {
				f.place()
			}
			// From when it was due, not from now, so that a late timer costs no call; but what is more than catchUp late
			// is not made good.
			due = due.Add(f.pause())
			if late := time.Now().Add(-catchUp); due.Before(late) {
				due = late
			}
		case <-f.change:
			due = time.Now().Add(f.pause())
		case <-ctx.Done():
			return
		}
		next.Reset(time.Until(due))
	}
}

// catchUp bounds how many seconds' calls are placed at once when the machine was busy.
const catchUp = 500 * time.Millisecond

// HangUp ends all calls with BYE or CANCEL and returns when they are over or ctx ends. Run must have returned.
func (f *Fleet) HangUp(ctx context.Context) {
	f.ending.Do(func() { close(f.hangUp) })
	over := make(chan struct{})
	go func() { f.calls.Wait(); close(over) }() // ends at the latest with Close
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// Close takes all phones off the network at once and returns when nothing of the fleet runs any more. Run must have
// returned.
func (f *Fleet) Close() {
	for _, c := range f.callers {
		c.Close()
	}
	f.calls.Wait()
}

// SetRate changes how many calls a second are placed; it returns what it is now, within the limits.
func (f *Fleet) SetRate(rate float64) float64 {
	f.mu.Lock()
	f.rate = clampRate(rate)
	rate = f.rate
	f.mu.Unlock()
	f.wake()
	return rate
}

// SetPaused stops or resumes the placing of calls.
func (f *Fleet) SetPaused(paused bool) {
	f.mu.Lock()
	f.paused = paused
	f.mu.Unlock()
	f.wake()
}

// Rate returns the calls a second that are asked for, and whether the fleet is paused.
func (f *Fleet) Rate() (rate float64, paused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rate, f.paused
}

func (f *Fleet) wake() {
	select {
	case f.change <- struct{}{}:
	default:
	}
}

func (f *Fleet) rateNow() float64 {
	rate, paused := f.Rate()
	if paused {
		return 0
	}
	return rate
}

// pause is the time to the next call: the mean of the rate, give or take half.
func (f *Fleet) pause() time.Duration {
	rate := f.rateNow()
	if rate <= 0 {
		return time.Hour // until change
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration((0.5 + f.dice.Float64()) / rate * float64(time.Second))
}

// place starts one call from a phone drawn by lot, unless too many are in progress.
func (f *Fleet) place() {
	if !f.totals.placed() {
		return
	}
	f.mu.Lock()
	caller := f.callers[f.dice.IntN(len(f.callers))]
	plan := f.plan()
	f.mu.Unlock()
	plan.HangUp = f.hangUp
	up := false
	plan.OnUp = func(string) { up = true; f.totals.up(1) }
	f.calls.Go(func() {
		res := caller.Call(context.Background(), plan) // the phones' Close ends it
		if up {
			f.totals.up(-1)
		}
		f.totals.add(res)
		if f.cfg.Report != nil {
			f.cfg.Report(res)
		}
	})
}

// plan draws what kind of call it is to be.
func (f *Fleet) plan() Plan {
	p := Plan{
		To:   callees[f.dice.IntN(len(callees))],
		Hold: time.Duration((0.5 + f.dice.Float64()) * float64(f.cfg.Talk)),
	}
	mix, x := f.cfg.Mix, f.dice.Float64()
	switch {
	case x < mix.Busy:
		p.To = UserBusy
	case x < mix.Busy+mix.Cancel:
		p.To, p.Cancel = UserNoAnswer, true
	case x < mix.Busy+mix.Cancel+mix.Pause:
		p.Pause = true
	}
	return p
}

// keepRegistered registers a phone and renews it. The i-th phone waits a little first, so that they do not all come at
// once.
func (f *Fleet) keepRegistered(ctx context.Context, c *Caller, i int) {
	pause := time.Duration(i) * 20 * time.Millisecond
	for wait(ctx, pause) {
		r, err := c.Register(ctx, f.cfg.Expires)
		if ctx.Err() != nil {
			return
		}
		f.totals.registered(r, err)
		pause = r.Expires * 6 / 10
		if err != nil {
			pause = min(f.cfg.Expires/10, 5*time.Second)
		}
		pause = max(pause, 100*time.Millisecond)
	}
}

func clampRate(rate float64) float64 { return min(max(rate, 0), maxRate) }
