// Package balance selects a server of a pool: one file an algorithm.
//
// A Pool is a view that never changes: what health, a drain or a back-off change gives another view, which shares with
// the one before whatever stayed the same. What is counted about a server while it runs is in its State, which all
// views of the pool point to.
package balance

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillon-sip/carillon/internal/consistenthash"
)

// Algorithm says how Pick selects.
type Algorithm uint8

// The algorithms; consistent hash is the zero value.
const (
	ConsistentHash Algorithm = iota
	RoundRobin
	Random
	LeastConnections // fewest open transactions now, in relation to the ratio
	LeastLoad        // least work left: open transactions by response time, of two random servers
	FastestResponse  // shorter response time, of two random servers
	FewestTasks      // fewest calls known now, in relation to the ratio
)

func (a Algorithm) String() string {
	switch a {
	case ConsistentHash:
		return "consistent-hash"
	case RoundRobin:
		return "round-robin"
	case Random:
		return "random"
	case LeastConnections:
		return "least-connections"
	case FewestTasks:
		return "fewest-tasks"
	case LeastLoad:
		return "least-load"
	case FastestResponse:
		return "fastest-response"
	}
	return "unknown"
}

// Condition is a set of flags. A server is selectable iff its condition is exactly Up.
type Condition uint8

// The flags of a Condition; without Up the server is down.
const (
	Up       Condition = 1 << iota // the monitors say so, or there are none
	Disabled                       // by the user: gets nothing
	Draining                       // by the user: keeps its calls, gets no new ones
	Backoff                        // it asked to be left alone (503 with Retry-After): keeps its calls, gets no new ones
	Ejected                        // by what becomes of its requests (inline_health_monitor): keeps its calls, gets no new ones

	learnt = Up | Backoff | Ejected // what the configuration does not say
)

// Selectable says whether a server in this condition gets new calls.
func (c Condition) Selectable() bool { return c == Up }

// String returns the one word that tells most.
func (c Condition) String() string {
	switch {
	case c&Disabled != 0:
		return "disabled"
	case c&Up == 0:
		return "down"
	case c&Draining != 0:
		return "draining"
	case c&Backoff != 0:
		return "backing-off"
	case c&Ejected != 0:
		return "ejected"
	}
	return "up"
}

// State is what is known about a server while it runs. It survives changes of configuration and of health: all views
// that hold the server point to the same State. It fills cache lines of its own.
type State struct {
	_                [128]byte
	OpenTransactions atomic.Int64 // requests forwarded to it that have no final response yet
	Calls            atomic.Int64 // calls known on it
	condition        atomic.Uint32
	Opened           atomic.Int64  // transactions begun in this time; counted where the pool limits them
	Dialogs          atomic.Int64  // calls that are up on it, as far as they are seen
	response         atomic.Uint32 // running mean of the times to the first response, µs; 0: none yet
	_                [128 - 40]byte
}

// Condition returns what Publish last stored.
func (s *State) Condition() Condition { return Condition(s.condition.Load()) }

// Server is one server of a pool. It never changes.
type Server struct {
	Addr      netip.AddrPort
	ID        uint64 // ServerID of Addr; no two of a pool agree in the bits that a token carries
	Name      string
	Ratio     uint32 // share relative to the others, at least 1
	PoolIndex int32  // place in Pool.Servers: what Pick returns
	State     *State
}

// ServerConfig is what a user says about a server.
type ServerConfig struct {
	Addr      netip.AddrPort
	Name      string
	Ratio     uint32    // 0 counts as 1
	Condition Condition // flags to start with; what is learnt is taken from the previous pool if the server was there
}

// Config is what a user says about a pool.
type Config struct {
	Algorithm           Algorithm
	Servers             []ServerConfig
	Secret              [2]uint64 // keys identities and placement; the same on all engines
	IgnorePort          bool      // placement by address only (ignore_server_port)
	MaxOpened           int64     // new transactions of a server in a time, until State.Opened is set to 0 (max_conn_rate_per_server); 0 no limit
	MaxOpenTransactions int64     // limit a server (max_concurrent_connections_per_server); 0 none
	MinUp               int       // with fewer servers up none gets new calls (min_servers_up)
}

// Pool is an immutable view of a pool: its servers and which of them can be selected. Safe for concurrent use.
type Pool struct {
	*base
	conditions []Condition
	ramp       []uint8                              // by server: of its share, in parts of RampSteps; nil: all have theirs
	willing    []int32                              // whose condition is selectable: indices, rising
	selectable []int32                              // the willing, or none when fewer are up than must be
	up         int                                  // servers that are up, not disabled and not draining: a back-off is no outage
	table      *consistenthash.Table                // valid iff the algorithm is ConsistentHash; willing servers have weight
	owners     atomic.Pointer[consistenthash.Table] // the table with its owners, when table is an outline; nil: see Fill
	basis      atomic.Pointer[consistenthash.Table] // an earlier full one, to fill from; nil: none
	turns      []int32                              // else: the base's turns that belong to willing servers
	shares     func() []float64
}

// base is what all views of one configuration share.
type base struct {
	algorithm Algorithm
	secret    consistenthash.Key
	limit     int64 // of open transactions a server; 0 none
	opened    int64 // new transactions a server in a time; 0 no limit
	minUp     int   // servers that must be up
	servers   []Server
	turns     []int32
	byID      map[uint64]int32
	byAddr    map[netip.AddrPort]int32
	cursor    *cursor
	full      *atomic.Uint64 // times that every server looked at had as many open transactions as it may
}

// cursor is where round robin and the others that take turns are. It fills cache lines of its own.
type cursor struct {
	_  [128]byte
	at atomic.Uint64
	_  [120]byte
}

// Change sets and clears flags of one server's condition; Clear goes first.
type Change struct {
	Index      int32
	Set, Clear Condition
	Ramp       uint8 // parts of RampSteps of its share that it gets from now on; 0: as before
}

// New returns a pool. Servers that prev (may be nil) has too, by ID, keep their State and what was learnt about them.
func New(c *Config, prev *Pool) *Pool {
	b := &base{
		algorithm: c.Algorithm,
		secret:    c.Secret,
		limit:     c.MaxOpenTransactions,
		opened:    c.MaxOpened,
		minUp:     c.MinUp,
		servers:   newServers(c),
		byID:      make(map[uint64]int32, len(c.Servers)),
		byAddr:    make(map[netip.AddrPort]int32, len(c.Servers)),
		cursor:    new(cursor),
		full:      new(atomic.Uint64),
	}
	p := &Pool{base: b, conditions: make([]Condition, len(c.Servers)), ramp: carryRamp(b.servers, prev)}
	if prev != nil {
		b.cursor, b.full = prev.cursor, prev.full
	}
	for i := range b.servers {
		s := &b.servers[i]
		b.byID[s.ID] = int32(i)
		b.byAddr[s.Addr] = int32(i)
		p.conditions[i] = c.Servers[i].Condition
		if j := prev.find(s.ID); j >= 0 {
			s.State = prev.servers[j].State
			p.conditions[i] = p.conditions[i]&^learnt | prev.conditions[j]&learnt
		} else {
			s.State = new(State)
		}
	}
	p.settle()
	if c.Algorithm != ConsistentHash {
		b.turns = newTurns(b.servers)
		p.turns = p.turnsNow()
		return p
	}
	members := make([]consistenthash.Member, len(b.servers))
	for i, id := range placementIDs(c, b.servers) {
		members[i] = consistenthash.Member{ID: id, Weight: p.weight(int32(i))}
	}
	known := prev != nil && prev.table != nil && prev.secret == b.secret
	switch small := len(members) <= maxOutline; {
	case small:
		p.table = consistenthash.Outline(b.secret, members)
	case known && len(prev.servers) > maxOutline:
		p.table = prev.table.Resize(members)
	default:
		p.table = consistenthash.Build(b.secret, members)
	}
	if known {
		p.basis.Store(prev.filled())
	}
	return p
}

// With returns the pool after these changes; p stays as it is. Call Publish on the result once it is in use. Several
// changes at once cost little more than one.
func (p *Pool) With(changes ...Change) *Pool {
	q := &Pool{base: p.base, conditions: slices.Clone(p.conditions), ramp: p.ramped(changes)}
	for _, c := range changes {
		q.conditions[c.Index] = q.conditions[c.Index]&^c.Clear | c.Set
	}
	steady := slices.Equal(p.ramp, q.ramp)
	if steady && slices.Equal(p.conditions, q.conditions) {
		return p
	}
	q.settle()
	if steady && slices.Equal(p.willing, q.willing) {
		q.table, q.turns = p.table, p.turns
		q.owners.Store(p.owners.Load())
		q.basis.Store(p.basis.Load())
		if len(p.selectable) == len(q.selectable) {
			q.shares = p.shares
		}
		return q
	}
	if p.algorithm != ConsistentHash {
		q.turns = q.turnsNow()
		return q
	}
	var weights []consistenthash.Change
	for _, c := range changes {
		weights = append(weights, consistenthash.Change{Index: int(c.Index), Weight: q.weight(c.Index)})
	}
	q.table = p.table.WithWeights(weights)
	q.basis.Store(p.filled())
	return q
}

// maxOutline is how many servers a pool may have whose table is an outline at first: up to so many a key's server is
// found without in less than a microsecond.
const maxOutline = 255

// leastFilled is how many servers a pool has at least that Fill does something for. With fewer the outline finds a key's
// server in some 40 ns, about what it takes to fetch a line of 2 MB from memory.
const leastFilled = 16

// Fill makes the table remember the owners of all slots, which takes 2 MB and up to 50 ms: a selection then takes two
// nanoseconds and a line from memory, whatever the number of servers. For pools on which much comes; nothing else depends
// on it. Any goroutine may call it, one at a time.
func (p *Pool) Fill() {
	if p.table != nil && p.table.Len() >= leastFilled && p.table.IsOutline() && p.owners.Load() == nil {
		p.owners.Store(p.table.Fill(p.basis.Load()))
	}
	p.basis.Store(nil)
}

// Drop forgets what Fill made.
func (p *Pool) Drop() {
	p.owners.Store(nil)
	p.basis.Store(nil)
}

// Filled says whether the pool holds the memory of Fill, or of one before it.
func (p *Pool) Filled() bool { return p.filled() != nil }

// filled is the last table with owners that is known, or nil.
func (p *Pool) filled() *consistenthash.Table {
	if t := p.owners.Load(); t != nil {
		return t
	}
	return p.basis.Load()
}

// lookup is the first choice of the key with hash h.
func (p *Pool) lookup(h uint64) int32 {
	if t := p.owners.Load(); t != nil {
		return t.Lookup(h)
	}
	return p.table.Lookup(h)
}

// settle fills in what follows from the conditions at once.
func (p *Pool) settle() {
	p.willing = make([]int32, 0, len(p.conditions))
	for i, c := range p.conditions {
		if c.Selectable() {
			p.willing = append(p.willing, int32(i))
		}
		if (c &^ Backoff).Selectable() {
			p.up++
		}
	}
	if !p.Short() {
		p.selectable = p.willing
	}
	p.shares = sync.OnceValue(p.countShares)
}

// weight is the weight of server i in the table.
func (p *Pool) weight(i int32) uint32 {
	if !p.conditions[i].Selectable() {
		return 0
	}
	return p.part(i)
}

// Publish stores the condition of every server in its State, for readers that don't have the pool.
func (p *Pool) Publish() {
	for i := range p.servers {
		p.servers[i].State.condition.Store(uint32(p.conditions[i]))
	}
}

// Algorithm returns how Pick selects.
func (p *Pool) Algorithm() Algorithm { return p.algorithm }

// Servers returns all servers, selectable or not. Not to be changed.
func (p *Pool) Servers() []Server { return p.servers }

// Server returns server i.
func (p *Pool) Server(i int32) *Server { return &p.servers[i] }

// Find returns the index of the server with this ID, -1 when the pool has none.
func (p *Pool) Find(id uint64) int32 { return p.find(id) }

// find is Find; a nil pool has no servers.
func (p *Pool) find(id uint64) int32 {
	if p == nil {
		return -1
	}
	if i, ok := p.byID[id]; ok {
		return i
	}
	return -1
}

// FindAddr returns the index of the server with this address, -1 when the pool has none.
func (p *Pool) FindAddr(a netip.AddrPort) int32 {
	if i, ok := p.byAddr[a]; ok {
		return i
	}
	return -1
}

// Condition returns the flags of server i in this view.
func (p *Pool) Condition(i int32) Condition { return p.conditions[i] }

// Full returns how many new calls found no server since all had as many open transactions as they may, in this view and
// those before it.
func (p *Pool) Full() uint64 { return p.full.Load() }

// Selectable returns how many servers can be selected.
func (p *Pool) Selectable() int { return len(p.selectable) }

// Up returns how many servers are up, neither disabled nor draining. Those that back off are among them.
func (p *Pool) Up() int { return p.up }

// Short says whether fewer servers are up than must be, so that none is selected.
func (p *Pool) Short() bool { return p.up < p.minUp }

// Shares returns the part of new calls (0 to 1) that each server is meant to get in this view: for the consistent hash
// what the table says if it is held (see Fill), else the ratio, which is within some percent of it. Not to be changed.
func (p *Pool) Shares() []float64 { return p.shares() }

func (p *Pool) countShares() []float64 {
	s := make([]float64, len(p.servers))
	if len(p.selectable) == 0 {
		return s
	}
	if t := p.owners.Load(); t != nil || p.table != nil && !p.table.IsOutline() && len(p.servers) > maxOutline {
		if t == nil {
			t = p.table
		}
		for i, slots := range t.Shares() {
			s[i] = float64(slots) / consistenthash.Slots
		}
		return s
	}
	var total float64
	for _, i := range p.selectable {
		total += float64(p.part(i))
	}
	for _, i := range p.selectable {
		s[i] = float64(p.part(i)) / total
	}
	return s
}
