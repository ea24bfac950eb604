package snapshot

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/consistenthash"
	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/token"
)

// Group is the pools of a virtual service by priority and ratio. Which of them take new calls is settled beside the
// message path, whenever the view of one of them is another; a message reads one pointer.
type Group struct {
	ID      string
	Name    string
	Object  object.PoolGroup
	Members []Member // the highest priority first

	secret consistenthash.Key
	// Kept from settling: the priority above which none is used any more (deactivate_primary_pool_on_down). Settle is its only writer.
	below int
	stage atomic.Pointer[stage]
}

// Member is a pool of a group.
type Member struct {
	Pool     *Pool
	Ratio    uint32 // 0: no new calls
	Priority int    // the higher goes first; lowest without a label
}

// Label is the priority_label, as text.
func (m *Member) Label() string { return labelText(m.Priority) }

func labelText(priority int) string {
	if priority == lowest || priority == highest {
		return ""
	}
	return strconv.Itoa(priority)
}

const (
	lowest  = math.MinInt
	highest = math.MaxInt
)

// stage is which pools take new calls.
type stage struct {
	priority int
	pools    []*Pool               // of that priority; none: no pool has a server
	table    *consistenthash.Table // of pools; nil with fewer than two
	shares   []float64             // of pools, by place in Group.Members
	spill    []*Pool               // where a call goes whose pool has no room: the others of the priority, then those below
}

// group makes the group of a virtual service, nil if a pool is missing.
func (c *compiler) group(o *object.PoolGroup) *Group {
	g := &Group{ID: id(o.UUID, o.Name), Name: o.Name, Object: *o, secret: c.env.Sealer.Placement(), below: highest}
	for i := range o.Members {
		m := &o.Members[i]
		p := c.byName[m.PoolRef]
		if p == nil {
			return nil
		}
		priority := lowest
		if n, err := strconv.Atoi(m.PriorityLabel); err == nil {
			priority = n
		}
		if o.ImplicitPriorityLabels {
			priority = len(o.Members) - i
		}
		g.Members = append(g.Members, Member{p, uint32(m.Ratio), priority})
	}
	slices.SortStableFunc(g.Members, func(a, b Member) int { return cmp.Compare(b.Priority, a.Priority) })
	if c.prev != nil && o.DeactivatePrimaryPoolOnDown {
		if old := c.prev.groups[g.ID]; old != nil {
			g.below = old.below
		}
	}
	g.Settle()
	return g
}

// Settle finds which pools take new calls: those of the highest priority that has servers enough. Where none has, those
// of the highest that has any. It reports whether the priority is another than before. The engine's control loop calls
// it, under its lock.
func (g *Group) Settle() (changed bool) {
	before := g.stage.Load()
	at := g.find(max(1, g.Object.MinServers))
	if at < 0 {
		at = g.find(1)
	}
	s := &stage{priority: highest, shares: make([]float64, len(g.Members))}
	if at >= 0 {
		s = g.stageAt(at)
	}
	if g.Object.DeactivatePrimaryPoolOnDown && at >= 0 {
		g.below = min(g.below, s.priority)
	}
	g.stage.Store(s)
	return before != nil && before.priority != s.priority
}

// find is the first member of the highest priority of which so many servers are up; -1: there is none.
func (g *Group) find(servers int) int {
	for i := 0; i < len(g.Members); {
		end, up, any := i, 0, false
		for ; end < len(g.Members) && g.Members[end].Priority == g.Members[i].Priority; end++ {
			if v := g.Members[end].Pool.View.Load(); g.Members[end].Ratio > 0 && v.Selectable() > 0 {
				up, any = up+v.Up(), true
			}
		}
		if any && up >= servers && g.Members[i].Priority <= g.below {
			return i
		}
		i = end
	}
	return -1
}

// stageAt is the stage of the priority of a member. Weights are by identity of the pool, so a pool that goes moves its own
// calls alone.
func (g *Group) stageAt(at int) *stage {
	s := &stage{priority: g.Members[at].Priority, shares: make([]float64, len(g.Members))}
	var members []consistenthash.Member
	var below []*Pool
	total := 0.0
	for i := at; i < len(g.Members); i++ {
		m := &g.Members[i]
		if m.Ratio == 0 || m.Pool.View.Load().Selectable() == 0 {
			continue
		}
		if m.Priority != s.priority {
			below = append(below, m.Pool)
			continue
		}
		s.pools = append(s.pools, m.Pool)
		members = append(members, consistenthash.Member{ID: g.identity(m.Pool.ID), Weight: m.Ratio})
		s.shares[i] = float64(m.Ratio)
		total += float64(m.Ratio)
	}
	for i := range s.shares {
		s.shares[i] /= total
	}
	if len(s.pools) > 1 {
		s.table = consistenthash.Outline(g.secret, members)
	}
	s.spill = slices.Concat(s.pools, below)
	return s
}

func (g *Group) identity(pool string) uint64 { return balance.PoolID(g.secret, pool) }

// Priority is the priority_label whose pools take new calls, as text; ok is false when none does.
func (g *Group) Priority() (label string, ok bool) {
	p := g.stage.Load().priority
	return labelText(p), p != highest
}

// Shares are the parts of new calls that the members are meant to get now.
func (g *Group) Shares() []float64 { return g.stage.Load().shares }

// Deactivated reports whether a priority above the one in use is held back by deactivate_primary_pool_on_down.
func (g *Group) Deactivated() bool { return len(g.Members) > 0 && g.Members[0].Priority > g.below }

// PoolOf is the pool that a new call goes to, by the hash of its Call-ID.
func (s *Service) PoolOf(call uint64) *Pool {
	if s.Group == nil {
		return s.Pool
	}
	switch st := s.Group.stage.Load(); {
	case st.table != nil:
		return st.pools[st.table.Lookup(call)]
	case len(st.pools) == 1:
		return st.pools[0]
	}
	return s.Pool
}

// Spill are the pools that may have a call for which its own has no room; nil without a group.
func (s *Service) Spill() []*Pool {
	if s.Group == nil {
		return nil
	}
	return s.Group.stage.Load().spill
}

// Selectable is how many servers can be selected, over all pools that take new calls.
func (s *Service) Selectable() int {
	if s.Group == nil {
		return s.Pool.View.Load().Selectable()
	}
	n := 0
	for _, p := range s.Spill() {
		n += p.View.Load().Selectable()
	}
	return n
}

// reach is the servers of several pools together.
type reach struct {
	pools []*Pool // one that comes first is asked first
	own   int     // of them; the others are pools that the service had before
	addrs serverTable
	byID  map[uint64]*Server
}

// maxFormer is how many pools that a virtual service had before are remembered, so that its dialogs still find their
// servers; beyond it the one that left first is forgotten.
const maxFormer = 16

// reachOf finds the pools whose servers a service knows: its own, and those that it had before.
func (c *compiler) reachOf(s *Service) *reach {
	pools := []*Pool{s.Pool}
	if s.Group != nil {
		for _, m := range s.Group.Members {
			pools = include(pools, m.Pool)
		}
	}
	own := len(pools)
	var before *reach
	if c.prev != nil {
		if old := c.prev.service(s.ID); old != nil {
			before = old.reach
			for _, p := range old.Pools() {
				if now := c.poolNow(p); now != nil {
					pools = include(pools, now)
				}
			}
		}
	}
	pools = pools[:min(len(pools), own+maxFormer)]
	switch {
	case len(pools) == 1:
		return nil
	case before != nil && before.own == own && slices.Equal(before.pools, pools):
		return before
	}
	return newReach(pools, own)
}

func newReach(pools []*Pool, own int) *reach {
	r := &reach{pools: pools, own: own, byID: map[uint64]*Server{}}
	for _, p := range slices.Backward(pools) {
		for sv := range p.addrs.all {
			if sv.Index >= 0 || r.addrs.find(sv.Addr) == nil { // one that left this pool may be in another
				r.addrs.put(sv)
			}
		}
		for id, sv := range p.byID {
			if sv.Index >= 0 || r.byID[id] == nil {
				r.byID[id] = sv
			}
		}
	}
	return r
}

// poolNow is a pool of the previous snapshot as it is now, also one that is in no set any more.
func (c *compiler) poolNow(p *Pool) *Pool {
	if now := c.out.Pool(p.ID); now != nil {
		return now
	}
	if slices.Contains(c.out.gone, p) {
		return p
	}
	return nil
}

func include(pools []*Pool, p *Pool) []*Pool {
	if slices.Contains(pools, p) {
		return pools
	}
	return append(pools, p)
}

// Pools are the pools whose servers the service knows: its own first, then those that it had before.
func (s *Service) Pools() []*Pool {
	if s.reach == nil {
		return []*Pool{s.Pool}
	}
	return s.reach.pools
}

// Has reports whether a pool is, or was, one of the service's.
func (s *Service) Has(p *Pool) bool {
	return p == s.Pool || s.reach != nil && slices.Contains(s.reach.pools, p)
}

// Chooses reports whether a pool is one of the service's now.
func (s *Service) Chooses(p *Pool) bool {
	return p == s.Pool || s.reach != nil && slices.Contains(s.reach.pools[:s.reach.own], p)
}

// ServerAt returns the server with that address, in whatever pool of the service; also one that has left.
func (s *Service) ServerAt(a netip.AddrPort) *Server {
	if s.reach != nil {
		return s.reach.addrs.find(a)
	}
	return s.Pool.addrs.find(a)
}

// HasHost reports whether some server has that address, whatever its port.
func (s *Service) HasHost(a netip.Addr) bool {
	if s.reach != nil {
		return s.reach.addrs.at(a) != nil
	}
	return s.Pool.addrs.at(a) != nil
}

// Secure reports whether every pool of the service is spoken to over TLS, by what came over a transport: where SIPS may go.
func (s *Service) Secure(t sip.Transport) bool {
	return !slices.ContainsFunc(s.Pools(), func(p *Pool) bool { return p.Toward(t) != sip.TLS })
}

// TLSToServers is what a pool of the service speaks TLS by; nil: none does.
func (s *Service) TLSToServers() *identity.TLS {
	for _, p := range s.Pools() {
		if p.TLS != nil {
			return p.TLS
		}
	}
	return nil
}

// ServerByID returns the server a token names, also one that has left.
func (s *Service) ServerByID(id uint64) *Server {
	if s.reach != nil {
		return s.reach.byID[id&token.ServerBits]
	}
	return s.Pool.ServerByID(id)
}

// poolsOf finds the pool of a virtual service, and its group if it has one; without the first something is missing.
func (c *compiler) poolsOf(vs *object.VirtualService) (*Pool, *Group) {
	if vs.PoolGroupRef == "" {
		return c.byName[vs.PoolRef], nil
	}
	for i := range c.set.PoolGroups {
		o := c.set.PoolGroups[i]
		if o.Name != vs.PoolGroupRef {
			continue
		}
		g := c.out.groups[id(o.UUID, o.Name)]
		if g == nil {
			if g = c.group(o); g == nil || len(g.Members) == 0 {
				return nil, nil
			}
			c.out.groups[g.ID] = g
		}
		return g.Members[0].Pool, g
	}
	return nil, nil
}

// poolsNamed are the pools that a virtual service names, itself or by its group.
func poolsNamed(set *object.Set, pools map[string]*object.Pool, vs *object.VirtualService) (out []*object.Pool) {
	if p := pools[vs.PoolRef]; p != nil {
		out = append(out, p)
	}
	if vs.PoolGroupRef == "" {
		return out
	}
	for i := range set.PoolGroups {
		if set.PoolGroups[i].Name != vs.PoolGroupRef {
			continue
		}
		for _, m := range set.PoolGroups[i].Members {
			if p := pools[m.PoolRef]; p != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// SettleGroups settles the groups of which a pool is a member; nil: all. It returns those whose priority changed.
func (s *Snapshot) SettleGroups(p *Pool) (changed []*Group) {
	for _, g := range s.groups {
		if p != nil && !slices.ContainsFunc(g.Members, func(m Member) bool { return m.Pool == p }) {
			continue
		}
		if g.Settle() {
			changed = append(changed, g)
		}
	}
	return changed
}
