package health

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// proberKind says which prober a monitor needs.
type proberKind uint8

const (
	probeSIP  proberKind = iota // SIP over UDP, one socket for all
	probePing                   // ICMP, one socket for all
	probeDial                   // a socket for each: TCP, UDP, SIP over TCP
)

func (mon *Monitor) proberKind() proberKind {
	switch {
	case mon.Type == SIP && !mon.SIPOverTCP:
		return probeSIP
	case mon.Type == Ping:
		return probePing
	}
	return probeDial
}

// newLoop returns a loop without probers that does not run yet.
func newLoop(cfg Config, source rand.Source) *loop {
	if cfg.MaxStarts <= 0 {
		cfg.MaxStarts = DefaultMaxStarts
	}
	if cfg.MaxOpen <= 0 {
		cfg.MaxOpen = DefaultMaxOpen
	}
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "carillon")
	cfg.UserAgent = cfg.UserAgent[:min(len(cfg.UserAgent), maxUserAgent)]
	return &loop{
		cfg: cfg, begin: time.Now(), random: rand.New(source),
		events: make(chan event, eventQueue), commands: make(chan func()), kicks: make(chan *server, kickQueue), stop: make(chan struct{}),
		pools: &poolMap{}, locals: map[netip.Addr]int{}, stats: map[statsKey]*monitorStats{}, runs: map[uint64]*check{},
		sameAddr: map[netip.AddrPort]*check{}, probers: map[proberKind]prober{}, changes: newOutbox(cfg.OnChange),
	}
}

// checkTargets finds what can't be watched.
func checkTargets(targets []Target) error {
	seen := make(map[serverKey]bool, len(targets))
	for i := range targets {
		t := &targets[i]
		k := serverKey{t.Pool, plain(t.Server)}
		if !t.Server.IsValid() || t.Server.Addr().Zone() != "" || t.Server.Port() == 0 {
			return fmt.Errorf("health: pool %q server %v: want an address without zone, and a port", t.Pool, t.Server)
		}
		if seen[k] {
			return fmt.Errorf("health: pool %q server %v: there twice", t.Pool, t.Server)
		}
		seen[k] = true
		for j := range t.Monitors {
			if err := t.Monitors[j].check(); err != nil {
				return fmt.Errorf("health: pool %q server %v: %w", t.Pool, t.Server, err)
			}
			if slices.ContainsFunc(t.Monitors[:j], func(o Monitor) bool { return o.Name == t.Monitors[j].Name }) {
				return fmt.Errorf("health: pool %q server %v: monitor %q: there twice", t.Pool, t.Server, t.Monitors[j].Name)
			}
		}
	}
	return nil
}

// check finds what would make a Monitor run wild or break the requests it sends.
func (mon *Monitor) check() error {
	wrong := func(field string, value any, want string) error {
		return fmt.Errorf("monitor %q: %s is %v: want %s", mon.Name, field, value, want)
	}
	switch {
	case int(mon.Type) >= len(typeWords):
		return wrong("Type", mon.Type, "a type there is")
	case mon.Interval < 100*time.Millisecond:
		return wrong("Interval", mon.Interval, "at least 100ms")
	case mon.Timeout <= 0:
		return wrong("Timeout", mon.Timeout, "more than 0")
	case mon.Rise < 1 || mon.Fall < 1:
		return wrong("Rise, Fall", [2]int{mon.Rise, mon.Fall}, "at least 1")
	case mon.JitterPercent < 0 || mon.JitterPercent > 50:
		return wrong("JitterPercent", mon.JitterPercent, "0 to 50")
	case mon.MaxForwards < 0 || mon.MaxForwards > 255:
		return wrong("MaxForwards", mon.MaxForwards, "0 to 255")
	case strings.ContainsAny(mon.RequestURI, "\r\n \t<>"):
		return wrong("RequestURI", mon.RequestURI, "a URI")
	case strings.ContainsAny(mon.From, "\r\n"):
		return wrong("From", mon.From, "one line")
	case !wholeLines(mon.Headers):
		return wrong("Headers", strconv.Quote(mon.Headers), "header lines `Name: value`, each with its CRLF and no other")
	case len(mon.RequestURI)+len(mon.From)+len(mon.Headers) > maxOwnText:
		return wrong("RequestURI, From and Headers together", len(mon.RequestURI)+len(mon.From)+len(mon.Headers), "less octets")
	}
	for _, name := range []string{"Via", "v", "From", "f", "To", "t", "Call-ID", "i", "CSeq", "Max-Forwards", "Content-Length", "l"} {
		if hasHeader(mon.Headers, name) {
			return wrong("Headers", name, "no header field that every probe has of its own")
		}
	}
	return nil
}

// wholeLines says whether s is header lines, each with a name, a colon and its CRLF, and no CR or LF besides.
func wholeLines(s string) bool {
	for s != "" {
		line, rest, ended := strings.Cut(s, "\r\n")
		if name, _, colon := strings.Cut(line, ":"); !ended || !colon || strings.TrimSpace(name) == "" || strings.ContainsAny(line, "\r\n") {
			return false
		}
		s = rest
	}
	return true
}

// apply makes pools what is watched, if all is set instead of all pools there were, else instead of those of the same names.
func (l *loop) apply(pools map[string][]Target, all bool, now time.Time) {
	before := l.pools
	l.fresh = 0
	next := &poolEdit{}
	if !all {
		next.poolMap = *before
	}
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		next.set(pool, l.applyPool(pool, pools[pool], before.of(pool), now))
	}
	l.pools = &next.poolMap
	if all {
		for pool, servers := range before.pools {
			if _, named := pools[pool]; !named {
				l.dropServers(servers, nil)
			}
		}
	}
	l.sweep()
}

// applyPool makes targets the servers of a pool that are watched, and returns them; before are those that were.
func (l *loop) applyPool(pool string, targets []Target, before poolServers, now time.Time) poolServers {
	servers := make(poolServers, len(targets))
	for i := range targets {
		t := &targets[i]
		addr := plain(t.Server)
		s := before[addr]
		if s == nil {
			s = &server{key: serverKey{pool, addr}, since: now}
			s.kickedNS.Store(math.MinInt64 / 2)
		}
		servers[addr] = s
		l.adopt(s, t, now)
	}
	l.dropServers(before, servers)
	return servers
}

// dropServers lets go of those of before that are not in now.
func (l *loop) dropServers(before, now poolServers) {
	for addr, s := range before {
		if now[addr] == nil {
			l.drop(s.checks)
			s.gone = true
		}
	}
}

// adopt makes s what t says.
func (l *loop) adopt(s *server, t *Target, now time.Time) {
	old := s.checks
	s.checks = make([]*check, 0, len(t.Monitors))
	resumed := s.paused && !t.Paused
	s.minUp, s.paused = t.MinUp, t.Paused
	for i := range t.Monitors {
		mon := &t.Monitors[i]
		var c *check
		if j := slices.IndexFunc(old, func(o *check) bool { return o.mon.Name == mon.Name }); j >= 0 {
			c = old[j]
			old = slices.Delete(old, j, j+1)
		}
		c = l.adoptCheck(s, c, mon, t, now)
		s.checks = append(s.checks, c)
		switch {
		case s.paused:
			if c.run != 0 {
				l.end(c)
			}
			c.take()
		case c.queue == nil:
			if resumed {
				c.m.begin(mon)
			}
			c.put(&l.starts, l.firstStart(c, now))
		}
	}
	l.drop(old)
	l.settle(s, now)
}

// adoptCheck returns the check of s under mon: c if that did the same until now, c on a new footing if mon or the addresses have
// changed, a new one if c is nil. In the last two cases it stands in no queue.
func (l *loop) adoptCheck(s *server, c *check, mon *Monitor, t *Target, now time.Time) *check {
	addr := netip.AddrPortFrom(s.key.addr.Addr(), s.key.addr.Port())
	switch {
	case mon.Type == Ping:
		addr = netip.AddrPortFrom(addr.Addr(), 0)
	case mon.Port != 0:
		addr = netip.AddrPortFrom(addr.Addr(), mon.Port)
	}
	local, name := plain(t.Local), ""
	if mon.TLS != nil {
		name = cmp.Or(mon.ServerName, t.Name)
	}
	if !local.IsValid() || local.Addr().Is4() != addr.Addr().Is4() {
		local = netip.AddrPortFrom(unspecified(addr.Addr()), 0)
	}
	if c != nil && *c.mon == *mon && c.local == local && c.name == name {
		c.mon = mon
		return c
	}
	if c == nil {
		c = &check{}
		c.m.since = now
		if !mon.DisableQuickstart {
			c.m.begin(mon)
		}
	} else {
		if c.run != 0 {
			l.end(c)
		}
		c.take()
		c.m.begin(mon)
	}
	stats := l.statsOf(s.key.pool, mon.Name)
	stats.users++
	l.locals[local.Addr()]++
	if c.stats != nil {
		l.release(c)
	}
	c.srv, c.mon, c.addr, c.local, c.name, c.route = s, mon, addr, local, name, netip.Addr{}
	c.p, c.stats = l.probers[mon.proberKind()], stats
	return c
}

// firstStart returns when a check that stands in no queue is to begin: in quick start at once, but each one step of MaxStarts after the one
// before, so that the second checks of the first servers do not wait for the first checks of the last, and servers settle one after the
// other from the beginning; else anywhere in the first interval.
func (l *loop) firstStart(c *check, now time.Time) time.Time {
	if c.m.quick > 0 {
		l.fresh++
		return now.Add(time.Duration(l.fresh-1) * time.Second / time.Duration(l.cfg.MaxStarts))
	}
	return now.Add(time.Duration(l.random.Float64() * float64(c.mon.Interval)))
}

func unspecified(family netip.Addr) netip.Addr {
	if family.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func (l *loop) drop(checks []*check) {
	for _, c := range checks {
		if c.run != 0 {
			l.end(c)
		}
		c.take()
		l.release(c)
	}
}

// release gives back what a check had of what is shared: a sum, and a socket for its local address.
func (l *loop) release(c *check) {
	if c.stats.users--; c.stats.users == 0 {
		delete(l.stats, statsKey{c.srv.key.pool, c.mon.Name})
	}
	c.stats = nil
	if l.locals[c.local.Addr()]--; l.locals[c.local.Addr()] == 0 {
		delete(l.locals, c.local.Addr())
		l.unused = true
	}
}

// sweep lets go of the sockets that nothing uses any more.
func (l *loop) sweep() {
	if !l.unused {
		return
	}
	l.unused = false
	for _, p := range l.probers {
		p.sweep(l.locals)
	}
}
