package snapshot

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/token"
)

// MaxDeparted is how many servers that have left a pool are remembered, so that
// their dialogs still find them; beyond it the ones that left first are forgotten.
const MaxDeparted = 4096

var algorithms = map[object.LBAlgorithm]balance.Algorithm{
	object.ConsistentHash:   balance.ConsistentHash,
	object.RoundRobin:       balance.RoundRobin,
	object.Random:           balance.Random,
	object.LeastConnections: balance.LeastConnections,
	object.FewestTasks:      balance.FewestTasks,
	object.LeastLoad:        balance.LeastLoad,
	object.FastestResponse:  balance.FastestResponse,
}

var hashKeys = map[object.LBHash]HashKey{
	object.HashCallID:            HashCallID,
	object.HashSourceAddress:     HashSource,
	object.HashSourceAddressPort: HashSourcePort,
	object.HashURI:               HashRequestURI,
	object.HashHeader:            HashHeader,
}

func (c *compiler) pools() {
	c.out.byPool, c.byName = make(map[string]int32, len(c.set.Pools)), make(map[string]*Pool, len(c.set.Pools))
	for i := range c.set.Pools {
		o := c.set.Pools[i]
		var prev *Pool
		if c.prev != nil {
			prev = c.prev.Pool(id(o.UUID, o.Name))
		}
		p := prev
		if prev == nil || !samePool(prev.Object, o) || o.SSLProfileRef != "" && c.poolTLS(o, prev) != prev.TLS {
			p = c.compilePool(o, prev)
		}
		c.out.byPool[p.ID], c.byName[p.Name] = int32(len(c.out.Pools)), p
		c.out.Pools = append(c.out.Pools, p)
	}
	c.gonePools()
}

// gonePools remembers the servers of pools that are gone altogether: what is under way still wants its counters. Beyond
// MaxDeparted servers the pools that left first are forgotten.
func (c *compiler) gonePools() {
	if c.prev == nil {
		return
	}
	c.out.gone = slices.Clone(c.prev.gone)
	for _, p := range c.prev.Pools {
		if c.out.Pool(p.ID) == nil {
			c.out.gone = append(c.out.gone, p)
		}
	}
	total := 0
	for _, p := range c.out.gone {
		total += p.places
	}
	for len(c.out.gone) > 0 && total > MaxDeparted {
		for sv := range c.out.gone[0].addrs.all {
			c.out.servers.set(sv.Handle, nil)
		}
		total -= c.out.gone[0].places
		c.out.gone = c.out.gone[1:]
	}
}

// samePool reports whether two pools say the same of what counts here. Sets that follow each other mostly share what did not
// change; where they don't, as when a file was read again, comparing servers by reflection would take longer than all
// the rest of a change.
func samePool(a, b *object.Pool) bool {
	if a == b {
		return true
	}
	if shared := len(a.Servers) == len(b.Servers) && (len(a.Servers) == 0 || &a.Servers[0] == &b.Servers[0]); shared && reflect.DeepEqual(a, b) {
		return true
	} else if !shared && !slices.EqualFunc(a.Servers, b.Servers, sameServer) {
		return false
	}
	x, y := *a, *b
	x.Servers, y.Servers, x.Kept, y.Kept = nil, nil, nil, nil
	return reflect.DeepEqual(x, y)
}

func sameServer(a, b object.Server) bool {
	return a.IP == b.IP && a.Port == b.Port && a.Hostname == b.Hostname && a.Enabled == b.Enabled && a.Ratio == b.Ratio
}

func (c *compiler) compilePool(o *object.Pool, prev *Pool) *Pool {
	p := &Pool{ID: id(o.UUID, o.Name), Name: o.Name, Object: o, Hash: hashKeys[o.LBAlgorithmHash], Header: strings.ToLower(o.HashHeaderName),
		Shared: o.DialogStateShared, toward: transportsTo(o), TLS: c.poolTLS(o, prev), Large: largeOver(o), Auto: o.ServerTransport == object.ServerTransportAuto, Reselect: newReselect(&o.ServerReselect),
		Rated:    o.MaxConnRatePerServer.Limited(),
		Prolongs: o.ServerDisableType == object.AllowIfPersistent,
		Budget:   balance.NewRetryBudget(o.RetryBudgetPercent, o.RetryBudgetPerSecond),
		byID:     map[uint64]*Server{}}
	cfg := balance.Config{Algorithm: algorithms[o.LBAlgorithm], Secret: c.env.Sealer.Placement(), IgnorePort: o.IgnoreServerPort,
		MaxOpenTransactions: int64(o.MaxConnectionsPerServer), MinUp: o.MinServersUp}
	if p.Rated {
		cfg.MaxOpened = int64(o.MaxConnRatePerServer.RateLimiter.Count)
	}
	for i := range o.Servers {
		s := &o.Servers[i]
		sc := balance.ServerConfig{Addr: o.ServerAddr(i), Name: s.Hostname, Ratio: uint32(s.Ratio), Condition: balance.Up}
		if !o.Enabled {
			sc.Condition |= balance.Disabled
		} else if !s.Enabled {
			sc.Condition |= balance.Draining
			if o.GracefulDisableTimeoutMin == 0 {
				sc.Condition |= balance.Disabled
			}
		}
		cfg.Servers = append(cfg.Servers, sc)
	}
	var before *balance.Pool
	if prev != nil {
		before = prev.View.Load()
	}
	view := balance.New(&cfg, before)
	for i := range view.Servers() {
		p.Servers = append(p.Servers, c.server(p, prev, &view.Servers()[i]))
	}
	if prev != nil && prev.Object.RetryBudgetPercent == o.RetryBudgetPercent && prev.Object.RetryBudgetPerSecond == o.RetryBudgetPerSecond {
		p.Budget = prev.Budget // a change of the pool is no fresh budget
	}
	c.depart(p, prev)
	p.View.Store(view)
	return p
}

// server makes the Server of one in the view; a known one keeps handle and counters.
func (c *compiler) server(p, prev *Pool, b *balance.Server) *Server {
	s := &Server{Index: b.PoolIndex, Addr: b.Addr, ID: b.ID, Name: b.Name, Pool: p, State: b.State}
	if s.Name == "" {
		s.Name = b.Addr.String()
	}
	var old *Server
	if prev != nil {
		old = prev.addrs.find(b.Addr)
	}
	if old != nil {
		// one that comes back after it left is counted on: transactions and calls
		// of before it left end in this State
		b.State = old.State
		s.Handle, s.Traffic, s.State = old.Handle, old.Traffic, old.State
		c.out.servers.set(s.Handle, s)
	} else {
		s.Handle, s.Traffic = c.out.servers.next(), new(Traffic)
		c.out.servers.set(s.Handle, s)
	}
	p.index(s)
	return s
}

func (p *Pool) index(s *Server) {
	s.place = p.places
	p.places++
	p.addrs.put(s)
	p.byID[s.ID&token.ServerBits] = s
}

// depart carries over servers that p no longer lists, so that the dialogs they
// have still reach them.
func (c *compiler) depart(p, prev *Pool) {
	if prev == nil {
		return
	}
	var gone []*Server
	for old := range prev.addrs.all {
		if p.addrs.find(old.Addr) == nil {
			gone = append(gone, old)
		}
	}
	// a lower handle came earlier
	slices.SortFunc(gone, func(a, b *Server) int { return cmp.Compare(b.Handle, a.Handle) })
	for i, old := range gone {
		if i >= MaxDeparted {
			c.out.servers.set(old.Handle, nil)
			continue
		}
		s := *old
		s.Index, s.Pool = -1, p
		c.out.servers.set(s.Handle, &s)
		if p.byID[s.ID&token.ServerBits] == nil {
			p.index(&s)
		} else {
			s.place = -1
		}
	}
}
