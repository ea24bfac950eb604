package engine

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/transport"
)

const (
	// lookEvery is how often the engine looks whether this machine's addresses and
	// routes are still those that the snapshot was compiled with.
	lookEvery = 2 * time.Second
	// routesPerLook is of how many servers a look asks where datagrams to them
	// leave: a question takes some µs.
	routesPerLook = 256
)

// machine tells what is to be known of the machine; tests have another.
type machine struct {
	addrs  func() ([]netip.Prefix, error) // each with the length of its link's prefix
	source func(dst netip.Addr) (netip.Addr, error)
}

var thisMachine = machine{addrs: hostAddrs, source: transport.LocalAddrFor}

// around is what a snapshot was told of the machine it runs on.
type around struct {
	machine machine
	addrs   []netip.Prefix            // sorted
	sources map[netip.Addr]netip.Addr // by address of a server; the zero Addr: there is no route
	asked   []netip.Addr              // the keys of sources
	next    int                       // of asked, at the next look
	before  map[netip.Addr]netip.Addr // what was told before, as long as nothing is known to have changed
	stale   bool                      // something has changed since
}

// lookAround asks for the machine's addresses; if they can't be had, they are those of before.
func (a *around) lookAround() *around {
	now := &around{machine: a.machine, addrs: a.addrs, sources: map[netip.Addr]netip.Addr{}}
	if addrs, err := a.machine.addrs(); err == nil {
		now.addrs = sorted(addrs)
	}
	if !a.stale && slices.Equal(now.addrs, a.addrs) {
		now.before = a.sources
	}
	return now
}

// source is machine.source, once for each destination.
func (a *around) source(dst netip.Addr) (netip.Addr, error) {
	if from, ok := a.sources[dst]; ok && from.IsValid() {
		return from, nil
	}
	from, err := a.before[dst], error(nil)
	if !from.IsValid() {
		if from, err = a.machine.source(dst); err != nil {
			from = netip.Addr{}
		}
	}
	if _, ok := a.sources[dst]; !ok {
		a.asked = append(a.asked, dst)
	}
	a.sources[dst] = from
	return from, err
}

// change tells what has changed, in the words of a log line; nil if nothing has, of
// so many routes at the most.
func (a *around) change(routes int) []any {
	if addrs, err := a.machine.addrs(); err == nil {
		if addrs = sorted(addrs); !slices.Equal(addrs, a.addrs) {
			return []any{"addresses", addrs, "before", a.addrs}
		}
	}
	for range min(routes, len(a.asked)) {
		dst := a.asked[a.next%len(a.asked)]
		a.next++
		from, err := a.machine.source(dst)
		if err != nil {
			from = netip.Addr{}
		}
		if from != a.sources[dst] {
			return []any{"toward", dst, "source", from, "before", a.sources[dst]}
		}
	}
	return nil
}

func sorted(addrs []netip.Prefix) []netip.Prefix {
	addrs = slices.Clone(addrs)
	slices.SortFunc(addrs, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
	})
	return slices.Compact(addrs)
}

// hostAddrs are the addresses of this machine's interfaces, with the prefixes of their links.
func hostAddrs() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			out = append(out, p)
		}
	}
	return out, nil
}

// look compiles the configuration anew if the machine has other addresses or routes
// than before: one that keepalived brought, or an interface that came up late.
func (e *Engine) look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	what := e.around.change(routesPerLook)
	if what == nil {
		return
	}
	e.around.stale = true
	e.log.Info("this machine's addresses or routes have changed", what...)
	if err := e.apply(e.asked, e.live.Load().snap.Revision); err != nil {
		e.log.Error("the configuration can't be adapted to them", "error", err)
	}
}
