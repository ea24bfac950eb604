// Package demo shows the balancer at work on one machine: three SIP servers, phones that register and call, the balancer
// between them, and a live view in the terminal where servers can be killed, revived and drained. [Run] does all of it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Options of [Run]. The zero value of each field does.
type Options struct {
	Listen   string        // where the balancer listens, host:port; empty: DefaultListen, or a free port if that is taken
	Servers  int           // how many, 1 to 9; 0: 3
	Callers  int           // phones, 1 to 500; 0: 12
	Rate     float64       // calls a second of all phones together, at most 1000; 0: 20
	Talk     time.Duration // mean length of a call; 0: 5 s
	Duration time.Duration // ends by itself after this time; 0: when the user quits or ctx ends
	Plain    bool          // a line a second, also on a terminal
	Seed     uint64        // of all that happens by chance; 0: another each time
	Workers  int           // of the balancer; 0: as it likes

	SharedNonces bool // servers accept each other's digest nonces; otherwise a REGISTER that strays needs a second 401

	// What is to happen when, each as "server@time", say "2@10s". They add up to what the keys of the view do.
	Kill, Revive, Drain, Undrain []string

	Out io.Writer // nil: os.Stdout
}

// DefaultListen is the address of the balancer unless told otherwise, if it is free.
const DefaultListen = "127.0.0.1:5060"

// Limits of the options.
const (
	maxServers = 9 // so that one key selects one
	maxCallers = 500
	maxRate    = 1000
	maxWorkers = 1024 // as of carillon run
)

// checked is Options with the defaults filled in and the texts read.
type checked struct {
	Options
	listen   netip.AddrPort
	fallback bool // a free port will do when listen is taken
	script   []action
}

// Validate tells what is wrong with the options: a use error, since it is found before anything starts.
func (o Options) Validate() error {
	_, err := o.check()
	return err
}

func (o Options) check() (checked, error) {
	c := checked{Options: o, fallback: o.Listen == ""}
	c.Listen = orDefault(o.Listen, DefaultListen)
	c.Servers = orDefault(o.Servers, 3)
	c.Callers = orDefault(o.Callers, 12)
	c.Rate = orDefault(o.Rate, 20)
	c.Talk = orDefault(o.Talk, 5*time.Second)
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	if c.Out == nil {
		c.Out = os.Stdout
	}
	var errs []error
	var err error
	if c.listen, err = netip.ParseAddrPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen %q: want address:port, say %s", c.Listen, DefaultListen))
	}
	if c.Servers < 1 || c.Servers > maxServers {
		errs = append(errs, fmt.Errorf("servers %d: want 1 to %d", c.Servers, maxServers))
	}
	if c.Callers < 1 || c.Callers > maxCallers {
		errs = append(errs, fmt.Errorf("callers %d: want 1 to %d", c.Callers, maxCallers))
	}
	if !(c.Rate > 0 && c.Rate <= maxRate) {
		errs = append(errs, fmt.Errorf("rate %v: want more than 0 and at most %d calls a second", c.Rate, maxRate))
	}
	if c.Workers < 0 || c.Workers > maxWorkers {
		errs = append(errs, fmt.Errorf("workers %d: want 0 to %d", c.Workers, maxWorkers))
	}
	if c.Talk < 0 || c.Duration < 0 {
		errs = append(errs, errors.New("a time is negative"))
	}
	if c.script, err = parseScript(o, c.Servers); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// hangUpTime is how long the end waits for the phones to hang up politely.
const hangUpTime = 2 * time.Second

// Run shows the demonstration until the user quits, the duration is over, or ctx ends; these are no errors. It returns
// when everything it started has ended.
func Run(ctx context.Context, o Options) error {
	c, err := o.check()
	if err != nil {
		return err
	}
	f, err := start(c)
	if err != nil {
		return err
	}
	defer f.close()
	if c.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Duration)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f.call(ctx) })
	running.Go(func() { f.perform(ctx) })

	if !c.Plain && isTerminal(c.Out) {
		err = f.show(ctx)
	} else {
		err = f.print(ctx)
	}
	cancel()
	running.Wait()

	polite, done := context.WithTimeout(context.Background(), hangUpTime)
	defer done()
	f.fleet.HangUp(polite)
	f.observe(time.Now())
	fmt.Fprint(c.Out, summary(f.watch.frame(time.Now())))
	return err
}

// isTerminal reports whether the view can be shown: it needs keys as well as a screen.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd())) && term.IsTerminal(int(os.Stdin.Fd()))
}
