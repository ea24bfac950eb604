package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/carillon-sip/carillon/internal/demo/ua"
	"github.com/carillon-sip/carillon/internal/transport"
)

// farm is everything that runs: servers, balancer, phones.
type farm struct {
	opts     checked
	listen   netip.AddrPort // of the balancer
	servers  []*ua.Server
	balancer balancer
	fleet    *ua.Fleet
	watch    *watch

	mu      sync.Mutex // one deed at a time
	drained []bool
}

// How the user agents behave.
const (
	ringTime     = 0               // so that times to the answer are those of the balancer and the servers
	hangUpShare  = 0.1             // of the calls a server ends
	hangUpAfter  = 4 * time.Second // at most
	registration = 20 * time.Second
	qualify      = 2 * time.Second // between two questions of a server to a phone
)

var mix = ua.Mix{Busy: 0.03, Cancel: 0.05, Pause: 0.1}

// start opens everything; phones are silent until call. The error names the address that could not be had.
func start(opts checked) (*farm, error) {
	f := &farm{opts: opts, drained: make([]bool, opts.Servers)}
	if err := f.open(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *farm) open() error {
	listen, note, err := choosePort(f.opts.listen, f.opts.fallback)
	if err != nil {
		return err
	}
	f.listen = listen
	if err := f.startServers(); err != nil {
		return err
	}
	if f.balancer, err = startBalancer(f); err != nil {
		return err
	}
	local := reachable(listen)
	f.fleet, err = ua.StartFleet(ua.FleetConfig{
		Callers: f.opts.Callers, Proxy: local, Listen: local.Addr(), Rate: f.opts.Rate,
		Talk: f.opts.Talk, Expires: registration, Mix: mix, Seed: f.opts.Seed,
	})
	if err != nil {
		return err
	}
	f.watch = newWatch(time.Now(), f.listen, f.opts.Callers, f.servers)
	if note != "" {
		f.watch.note(time.Now(), warn, note)
	}
	return nil
}

// choosePort finds where the balancer can listen; a note says so when it is not where it should. The error says who has
// the address, if that can be told.
func choosePort(want netip.AddrPort, fallback bool) (got netip.AddrPort, note string, err error) {
	if got, err = probe(want); err == nil || !fallback || !errors.Is(err, syscall.EADDRINUSE) {
		return got, "", err
	}
	got, freeErr := probe(netip.AddrPortFrom(want.Addr(), 0))
	if freeErr != nil {
		return got, "", err
	}
	return got, fmt.Sprintf("%v; the balancer is at %v instead", err, got), nil
}

// probe tries whether addr can be had, as the balancer will; port 0 finds a free one.
func probe(addr netip.AddrPort) (netip.AddrPort, error) {
	sockets, err := transport.ListenUDP(addr, 1, transport.Options{})
	if err != nil {
		return addr, err
	}
	defer sockets[0].Close()
	return sockets[0].LocalAddr(), nil
}

// reachable is where local programs reach a balancer that listens at addr: any address means loopback, too.
func reachable(addr netip.AddrPort) netip.AddrPort {
	if !addr.Addr().IsUnspecified() {
		return addr
	}
	if addr.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), addr.Port())
}

// serverPort is the port of the first server less that of the balancer.
const serverPort = 11

func (f *farm) startServers() error {
	proxy := reachable(f.listen)
	locations := ua.NewLocations()
	var nonces *ua.Nonces
	if f.opts.SharedNonces {
		nonces = ua.NewNonces()
	}
	for i := range f.opts.Servers {
		cfg := ua.ServerConfig{
			Name: fmt.Sprintf("server-%d", i+1), Proxy: proxy, Locations: locations, Nonces: nonces,
			Ring: ringTime, HangUp: hangUpShare, HangUpAfter: hangUpAfter, Qualify: qualify, Seed: f.opts.Seed + uint64(i) + 1,
		}
		port := proxy.Port() + serverPort + uint16(i)
		cfg.Addr = netip.AddrPortFrom(proxy.Addr(), port)
		s, err := ua.StartServer(cfg)
		if err != nil { // that port is taken, or past the last: any other will do
			cfg.Addr = netip.AddrPortFrom(proxy.Addr(), 0)
			s, err = ua.StartServer(cfg)
		}
		if err != nil {
			return err
		}
		f.servers = append(f.servers, s)
	}
	return nil
}

// readyTime bounds the wait for the first health checks.
const readyTime = 5 * time.Second

// call has the phones call until ctx ends. They begin when every server has passed its first health check, so that the
// demonstration does not begin with a fault.
func (f *farm) call(ctx context.Context) {
	ready, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !f.allUp() && ready.Err() == nil {
		select {
		case <-poll.C:
		case <-ready.Done():
		}
	}
	f.fleet.Run(ctx)
}

func (f *farm) allUp() bool {
	for _, s := range f.balancer.status().Servers {
		if s.State != stateUp {
			return false
		}
	}
	return true
}

// do does a deed to a server and notes it.
func (f *farm) do(d deed, server int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, now := f.servers[server], time.Now()
	alive := s.Stats().Alive
	switch d {
	case kill:
		if !alive {
			return
		}
		f.watch.died(server, now)
		f.watch.note(now, bad, fmt.Sprintf("%s killed with %s up", s.Name(), count(s.Kill(), "call")))
	case revive:
		if alive {
			return
		}
		if err := s.Revive(); err != nil {
			f.watch.note(now, bad, fmt.Sprintf("%s cannot be revived: %v", s.Name(), err))
			return
		}
		f.watch.note(now, info, s.Name()+" revived; the balancer will notice")
	case drain, undrain:
		if f.drained[server] == (d == drain) {
			return
		}
		if err := f.balancer.enable(server, d == undrain); err != nil {
			f.watch.note(now, bad, fmt.Sprintf("%s of %s refused: %v", d, s.Name(), err))
			return
		}
		f.drained[server] = d == drain
		if d == drain {
			f.watch.draining(server)
			f.watch.note(now, warn, fmt.Sprintf("%s is to drain: its %s may go on, new ones go elsewhere",
				s.Name(), count(s.Stats().Calls, "call")))
		} else {
			f.watch.note(now, info, s.Name()+" enabled again")
		}
	}
}

// toggleDrain drains a server or undoes it.
func (f *farm) toggleDrain(server int) {
	f.mu.Lock()
	drained := f.drained[server]
	f.mu.Unlock()
	if drained {
		f.do(undrain, server)
	} else {
		f.do(drain, server)
	}
}

// observe takes a reading of everything.
func (f *farm) observe(now time.Time) {
	r := reading{at: now, status: f.balancer.status(), totals: f.fleet.Totals(), servers: make([]ua.ServerStats, len(f.servers))}
	r.rate, r.paused = f.fleet.Rate()
	for i, s := range f.servers {
		r.servers[i] = s.Stats()
	}
	f.watch.add(r)
}

// close ends everything that start opened, in the order that leaves nobody waiting for an answer.
func (f *farm) close() {
	if f.fleet != nil {
		f.fleet.Close()
	}
	if f.balancer.stop != nil {
		f.balancer.stop()
	}
	for _, s := range f.servers {
		s.Kill()
	}
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
