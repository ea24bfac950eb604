package transport

import (
	"net/netip"
	"sync"
	"time"
)

// Gate bounds the connections that come to a virtual service; all listeners of it share one.
type Gate struct {
	mu      sync.Mutex // guards what follows
	limits  GateLimits
	open    int
	rate    window
	sources map[netip.Addr]*source
	swept   time.Time
}

// GateLimits are the limits of a gate. Those of numbers take the defaults where they are 0, rates are none then.
type GateLimits struct {
	MaxConns      int           // open at a time
	MaxPerSource  int           // of these, from one IPv4 address or one /64 of IPv6
	Rate          int           // new ones in Period
	Period        time.Duration // 0: a second
	RatePerSource int           // new ones a second, from one source
}

// source is connections from one place.
type source struct {
	open int
	rate window
}

// window counts what has come since it began.
type window struct {
	began time.Time
	n     int
}

// admits counts one more, unless there have been as many in the period as there may be; 0 is any number.
func (w *window) admits(now time.Time, most int, period time.Duration) bool {
	if most <= 0 {
		return true
	}
	if now.Sub(w.began) >= period {
		w.began, w.n = now, 0
	}
	w.n++
	return w.n <= most
}

// NewGate makes a gate.
func NewGate(l GateLimits) *Gate {
	g := &Gate{sources: map[netip.Addr]*source{}}
	g.SetLimits(l)
	return g
}

// SetLimits changes the limits. Connections that are open stay.
func (g *Gate) SetLimits(l GateLimits) {
	if l.MaxConns == 0 {
		l.MaxConns = DefaultMaxConns
	}
	if l.MaxPerSource == 0 {
		l.MaxPerSource = DefaultMaxPerSource
	}
	if l.Period <= 0 {
		l.Period = time.Second
	}
	g.mu.Lock()
	g.limits = l
	g.mu.Unlock()
}

// place is under what connections of one sender are counted: an IPv4 address, or the /64 of one of IPv6, which a single
// host has all of.
func place(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, _ := a.Prefix(64)
	return p.Addr()
}

// enter admits a connection, or says why not.
func (g *Gate) enter(a netip.Addr, now time.Time) Reason {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	k := place(a)
	s := g.sources[k]
	switch {
	case g.open >= g.limits.MaxConns:
		return TooMany
	case s != nil && s.open >= g.limits.MaxPerSource:
		return TooManyFromSource
	}
	if s == nil {
		s = &source{}
		g.sources[k] = s
	}
	switch {
	case !s.rate.admits(now, g.limits.RatePerSource, time.Second):
		return TooFastFromSource
	case !g.rate.admits(now, g.limits.Rate, g.limits.Period):
		return TooFast
	}
	g.open++
	s.open++
	return NotClosed
}

// take counts a connection that is there already, whatever the limits say.
func (g *Gate) take(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := place(a)
	if g.sources[k] == nil {
		g.sources[k] = &source{}
	}
	g.open++
	g.sources[k].open++
}

// sweep forgets, once a second, who has no connection and had none lately. The caller holds the lock.
func (g *Gate) sweep(now time.Time) {
	if now.Sub(g.swept) < time.Second {
		return
	}
	g.swept = now
	for k, s := range g.sources {
		if s.open == 0 && now.Sub(s.rate.began) >= time.Second {
			delete(g.sources, k)
		}
	}
}

func (g *Gate) leave(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	k := place(a)
	s := g.sources[k]
	if s.open--; s.open == 0 && g.limits.RatePerSource <= 0 {
		delete(g.sources, k)
	}
}
