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
}

var hashKeys = map[object.LBHash]HashKey{
	object.HashCallID:            HashCallID,
	object.HashSourceAddress:     HashSource,
	object.HashSourceAddressPort: HashSourcePort,
	object.HashURI:               HashRequestURI,
	object.HashHeader:            HashHeader,
}

func (c *compiler) pools() {
	for i := range c.set.Pools {
		o := &c.set.Pools[i]
		prev := c.prevPool(o.Name)
		if prev != nil && reflect.DeepEqual(prev.Object, *o) {
			c.out.Pools = append(c.out.Pools, prev)
			continue
		}
		c.out.Pools = append(c.out.Pools, c.compilePool(o, prev))
	}
	// servers of pools that are gone altogether stay until their handles are
	// needed no more: in-flight responses still want their counters
}

func (c *compiler) prevPool(name string) *Pool {
	if c.prev == nil {
		return nil
	}
	for _, p := range c.prev.Pools {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func (c *compiler) compilePool(o *object.Pool, prev *Pool) *Pool {
	p := &Pool{Name: o.Name, Object: *o, Hash: hashKeys[o.LBAlgorithmHash], Header: strings.ToLower(o.HashHeaderName),
		Shared: o.DialogStateShared,
		Budget: balance.NewRetryBudget(o.RetryBudgetPercent, o.RetryBudgetPerSecond),
		byID:   map[uint64]*Server{}}
	cfg := balance.Config{Algorithm: algorithms[o.LBAlgorithm], Secret: c.env.Sealer.Placement(), IgnorePort: o.IgnoreServerPort,
		MaxOpenTransactions: int64(o.MaxConnectionsPerServer), MinUp: o.MinServersUp}
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
		c.out.servers[s.Handle] = s
	} else {
		s.Handle, s.Traffic = Handle(len(c.out.servers)), new(Traffic)
		c.out.servers = append(c.out.servers, s)
	}
	p.index(s)
	return s
}

func (p *Pool) index(s *Server) {
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
			c.out.servers[old.Handle] = nil
			continue
		}
		s := *old
		s.Index, s.Pool = -1, p
		c.out.servers[s.Handle] = &s
		if p.byID[s.ID&token.ServerBits] == nil {
			p.index(&s)
		}
	}
}
