// Package balance selects a server of a pool: one file an algorithm.
package balance

import (
	"net/netip"
	"sync/atomic"
)

// Algorithm says how Pick selects.
type Algorithm uint8

// The algorithms; consistent hash is the zero value.
const (
	ConsistentHash Algorithm = iota
	RoundRobin
	Random
	LeastConnections // fewest open transactions now, in relation to the ratio
	FewestTasks      // fewest calls known now, in relation to the ratio
)

// Condition is a set of flags. A server is selectable iff its condition is exactly Up.
type Condition uint8

// The flags of a Condition; without Up the server is down.
const (
	Up       Condition = 1 << iota // the monitors say so, or there are none
	Disabled                       // by the user: gets nothing
	Draining                       // by the user: keeps its calls, gets no new ones
)

// State is what is known about a server while it runs. It survives changes of configuration and of health: all Pool
// values that hold the server point to the same State. It fills cache lines of its own.
type State struct {
	_                [64]byte
	OpenTransactions atomic.Int64 // requests forwarded to it that have no final response yet
	Calls            atomic.Int64 // calls known on it
	condition        atomic.Uint32
	_                [108]byte
}

// Condition returns what Publish last stored.
func (s *State) Condition() Condition { return Condition(s.condition.Load()) }

// Server is one server of a pool. It never changes.
type Server struct {
	Addr      netip.AddrPort
	ID        uint64 // ServerID of Addr; never 0; unique in the pool
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
	Condition Condition // flags to start with; Up is taken from the previous pool when the server was there
}

// Config is what a user says about a pool.
type Config struct {
	Algorithm          Algorithm
	Servers            []ServerConfig
	Secret             [2]uint64 // keys identities and placement; the same on all engines
	IgnorePort         bool      // placement by address only (ignore_server_port)
	MaxOpenTransaction int64     // limit a server (max_concurrent_connections_per_server); 0 none
}

// Pool is an immutable view of a pool: its servers and which of them can be selected. Safe for concurrent use.
type Pool struct {
	servers []Server
}

// Change sets and clears flags of one server's condition; Clear goes first.
type Change struct {
	Index      int32
	Set, Clear Condition
}

// New returns a pool. Servers that prev (may be nil) has too, by ID, keep their State and whether they are up.
func New(c *Config, prev *Pool) *Pool { return &Pool{} }

// With returns the pool after these changes; p stays as it is. Call Publish on the result once it is in use.
func (p *Pool) With(changes ...Change) *Pool { return p }

// Publish stores the condition of every server in its State, for readers that don't have the pool.
func (p *Pool) Publish() {}

// Servers returns all servers, selectable or not. Not to be changed.
func (p *Pool) Servers() []Server { return p.servers }

// Server returns server i.
func (p *Pool) Server(i int32) *Server { return &p.servers[i] }

// Find returns the index of the server with this ID, -1 when the pool has none.
func (p *Pool) Find(id uint64) int32 { return -1 }

// FindAddr returns the index of the server with this address, -1 when the pool has none.
func (p *Pool) FindAddr(a netip.AddrPort) int32 { return -1 }

// Condition returns the flags of server i in this view.
func (p *Pool) Condition(i int32) Condition { return 0 }

// Selectable returns how many servers can be selected.
func (p *Pool) Selectable() int { return 0 }

// Pick selects a server for the key with hash h (used by ConsistentHash only), none of tried (those that failed this
// request already). It returns -1 when there is none: all down, disabled, draining, tried, or at their limit.
// No locks, no allocation.
func (p *Pool) Pick(h uint64, tried []int32) int32 { return -1 }

// ServerID returns the identity of a server: a keyed hash of address and port. It is never 0.
func ServerID(key [2]uint64, a netip.AddrPort) uint64 { return 1 }
