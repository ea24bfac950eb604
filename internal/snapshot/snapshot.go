// Package snapshot compiles objects into what the data plane reads: one value
// that never changes, in which every reference is a pointer and every text that
// goes into a message is ready to be copied. Compile is a pure function; what it
// must know of the machine stands in Env. Pools that did not change are shared with
// the previous snapshot, and servers that stay keep their state, counters and
// handles, so health and affinity survive every change.
package snapshot

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/token"
)

// Snapshot is everything the data plane reads of the configuration.
type Snapshot struct {
	Revision  uint64
	Services  []*Service
	Listeners []*Listener
	Pools     []*Pool

	servers  serverPages
	faceList []*Face
	groups   map[string]*Group        // by ID
	probes   map[string]*identity.TLS // what monitors with attributes of their own speak TLS with, by ID
	gone     []*Pool                  // that are in no set any more, see MaxDeparted; those that left first come first
	base     *base                    // what Again begins with; nil: nothing

	// All that finds something gives places in the lists above, so that a snapshot in which the same things stand at the
	// same places shares it with the one before (again.go).
	faces     map[uint16]int32 // of faceList, by ID
	byKey     map[Key]int32    // of Listeners
	byPool    map[string]int32 // of Pools, by ID
	byService map[string]int32 // of Services, by ID
	own       addrTable[ownAddr]
	// wildcards are the listeners on all addresses of a family, by family and port.
	wildcards [2]map[uint16]int32
}

// at is what stands at a place that was looked up, nil if there was none.
func at[T any](list []*T, place int32, found bool) *T {
	if !found {
		return nil
	}
	return list[place]
}

// Handle is a small number for a server, the same as long as the process runs,
// also after the server has left its pool. 0 is no server.
type Handle uint32

// Server returns the server of a handle, or nil if it was forgotten.
func (s *Snapshot) Server(h Handle) *Server {
	return s.servers.at(h)
}

// Servers are those that are known, by Handle; nil where there is none.
func (s *Snapshot) Servers() []*Server {
	out := make([]*Server, s.servers.len)
	for h := range out {
		out[h] = s.servers.at(Handle(h))
	}
	return out
}

// Listener returns the listener of a key, or nil.
func (s *Snapshot) Listener(k Key) *Listener {
	i, ok := s.byKey[k]
	return at(s.Listeners, i, ok)
}

// Pool returns the pool of an ID, or nil.
func (s *Snapshot) Pool(id string) *Pool {
	i, ok := s.byPool[id]
	return at(s.Pools, i, ok)
}

// service returns the service of an ID, or nil.
func (s *Snapshot) service(id string) *Service {
	i, ok := s.byService[id]
	return at(s.Services, i, ok)
}

// ID is under what is kept what an object has learnt: its uuid, so that it may get another name; the name where it has
// no uuid.
func ID(uuid, name string) string { return id(uuid, name) }

// Face returns the face with that ID, or nil.
func (s *Snapshot) Face(id uint16) *Face {
	i, ok := s.faces[id]
	return at(s.faceList, i, ok)
}

// Own reports whether an address is one that a service listens on or advertises
// (RFC 3261 section 16.4: a Route or Request-URI that names this element). To a
// service the others of its engine are elements like any other.
func (s *Snapshot) Own(v *Service, a netip.AddrPort) bool { return s.owner(v, a) == v }

// Foreign reports whether an address is another service's of this engine.
func (s *Snapshot) Foreign(v *Service, a netip.AddrPort) bool {
	o := s.owner(v, a)
	return o != nil && o != v
}

// owner is the service that has an address, or nil; v where several advertise it.
func (s *Snapshot) owner(v *Service, a netip.AddrPort) *Service {
	o := s.own.at(a.Addr())
	if o != nil {
		if f := o.face(s.faceList, v, a.Port()); f != nil {
			return f.Out.Service
		}
	}
	if o != nil && o.host || a.Addr().IsLoopback() {
		if i, ok := s.wildcards[family(a)][a.Port()]; ok {
			return s.Listeners[i].Service
		}
	}
	return nil
}

// FaceNamed is the face of a service that shows itself as an address with a transport, or nil.
func (s *Snapshot) FaceNamed(v *Service, a netip.AddrPort, t sip.Transport) *Face {
	if o := s.own.at(a.Addr()); o != nil {
		return o.faceOn(s.faceList, v, a.Port(), t)
	}
	return nil
}

// Service is a virtual service.
type Service struct {
	ID    string // the uuid; the name where there is none. What is kept of a service is kept under it
	UUID  string // "" if it has none
	Name  string
	Index int    // in Snapshot.Services
	Pool  *Pool  // of a group: its first one of the highest priority
	Group *Group // nil: all new calls go to Pool
	reach *reach // nil: it knows the servers of Pool alone

	Traffic     bool // traffic_enabled
	RecordRoute bool
	RetryOn503  bool
	Path        bool // REGISTER gets a Path
	PathAlways  bool // also for those who did not say that they support it
	// FailoverRetransmissions is the retransmission with which an unanswered
	// request goes to the next server; 0 never.
	FailoverRetransmissions uint8
	// CallTimeoutMS is transaction_timeout: how long a Call-ID that is idle is known.
	CallTimeoutMS     uint32
	MaxTransactions   int
	MaxCalls          int
	MaxConns          int                // of streams, open at a time; 0: as many as by default
	ConnRate          object.RateProfile // of streams that come
	ConnRatePerSource int                // a second; 0: any
	Fail              Fail               // what becomes of requests that no server may get
	TLS               *identity.TLS      // with clients; nil without a certificate

	Listeners []*Listener
	Speaks    [sip.NumTransports]bool // some listener does
	Usual     sip.Transport           // to an address outside that names no transport (RFC 3263 4.1): UDP, if it is spoken
	names     []string                // lower-case host names that are this service
	ports     []uint16
}

// Named reports whether a host name and port (0: none given) are this service's.
// The name is compared without regard to case (RFC 3261 section 19.1.4).
func (s *Service) Named(host []byte, port uint16) bool {
	for _, n := range s.names {
		if equalFold(host, n) {
			// a name without a port is resolved by RFC 3263, where SRV may name any port
			return port == 0 || s.hasPort(port)
		}
	}
	return false
}

func (s *Service) hasPort(port uint16) bool {
	for _, p := range s.ports {
		if p == port {
			return true
		}
	}
	return false
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Listener is one address and port with sockets of its own.
type Listener struct {
	Index   int // in Snapshot.Listeners
	Service *Service
	Key     Key            // under which sockets are kept
	Addr    netip.AddrPort // bound: as the key says, but with the port that port 0 became
	Egress  bool           // opened for a family or a transport that only servers have: takes requests from servers alone
	// IdleAfter is when a connection on which nothing comes is closed; 0 never. Of streams.
	IdleAfter time.Duration
	Stream    StreamLimits // of streams

	face    *Face                // of a listener on one address; nil for a wildcard
	byLocal map[netip.Addr]*Face // of a wildcard: one for each address of this machine
	exits   [exitKinds]*exits    // by family and transport, see exitOf: where requests to addresses outside leave
	toward  []*Face              // by Server.place, of Service.Pool: where requests to that server leave; nil entry: own face
	others  map[*Pool][]*Face    // likewise, of the service's other pools
}

// StreamLimits are the limits of connections; of a service with several profiles those that one of its listeners has.
type StreamLimits struct {
	Handshake, Message, Write time.Duration
	MaxMessage                int
	MaxPerSource              int
	NoBody                    bool // lenient_content_length
}

// Fail is what becomes of requests that no server may get.
type Fail struct {
	Status     int
	Close      bool   // the connection that it came on
	RetryAfter []byte // a header field; nil: none
}

// ofPools takes from the pool of a service, or its group, what counts for the whole of it. Again asks it too.
func (s *Service) ofPools() {
	s.Fail = fail(&s.Pool.Object.FailAction)
	if s.Group != nil {
		s.Fail = fail(&s.Group.Object.FailAction)
	}
}

// fail makes one of an object.
func fail(a *object.FailAction) Fail {
	f := Fail{Status: 503}
	switch a.Type {
	case object.FailClose:
		f.Close = true
	case object.FailAnswer:
		f.Status = cmp.Or(a.SIPStatus, f.Status)
		if a.RetryAfterS > 0 {
			f.RetryAfter = fmt.Appendf(nil, "Retry-After: %d\r\n", a.RetryAfterS)
		}
	}
	return f
}

// Wildcard reports whether the listener is bound to every address of its family.
func (l *Listener) Wildcard() bool { return l.face == nil }

// FaceAt is the face at which a datagram came in; local is the address it was
// sent to, valid on a wildcard listener. For an address that came after the
// snapshot was made it is the face of the default route.
func (l *Listener) FaceAt(local netip.Addr) *Face {
	if l.face != nil {
		return l.face
	}
	if f := l.byLocal[local]; f != nil {
		return f
	}
	return l.exits[exitOf(l.Key.Transport, family(l.Addr))].rest
}

// FaceLarge is the face at which a request leaves that should not go to a server in a datagram, since it is too long for
// one: it is of TCP, and a connection is open. nil: there is none.
func (l *Listener) FaceLarge(s *Server) *Face {
	if !s.Pool.Large || s.Traffic.Streams.Load() == 0 {
		return nil
	}
	return l.FaceOver(s)
}

// FaceOver is the face at which requests to a server leave over TCP, whatever others do; nil if the service has none.
func (l *Listener) FaceOver(s *Server) *Face {
	return l.exits[exitOf(sip.TCP, family(s.Addr))].toward(s.Addr.Addr())
}

// FaceToward is the face at which requests to a server leave; nil for one of a
// family that the service has no listener of, as only servers that have left can be.
func (l *Listener) FaceToward(s *Server) *Face {
	toward := l.toward
	if s.Pool != l.Service.Pool {
		toward = l.others[s.Pool]
	}
	if uint(s.place) < uint(len(toward)) {
		if f := toward[s.place]; f != nil {
			return f
		}
	}
	if l.face != nil && l.Key.Transport == s.Pool.Toward(l.Key.Transport) && l.Addr.Addr().Is4() == s.Addr.Addr().Is4() {
		return l.face
	}
	return l.exits[exitOf(s.Pool.Toward(l.Key.Transport), family(s.Addr))].toward(s.Addr.Addr()) // of a pool that the service had before
}

// Face is one address under which the balancer shows itself in messages: what
// it writes into Via and Record-Route, and where such a message leaves.
type Face struct {
	ID     uint16 // sealed into branches: a response leaves where its request came in (RFC 3581 section 4)
	Out    *Listener
	Source netip.Addr     // valid iff Out is a wildcard
	SentBy netip.AddrPort // as peers see it
	Host   string         // of SentBy, as a Via has it without brackets
	link   int            // that Addr is on; 0: none
	place  int32          // in Snapshot.faceList

	Transport sip.Transport

	Via    []byte // up to the token: "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK"
	Route  []byte // up to the token: "Record-Route: <sip:"
	Behind []byte // after it: "@10.0.0.1:5060;lr>\r\n", of TCP with ";transport=tcp", of TLS with ";transport=tls"
	// Secure is Route and Behind for requests with SIPS: "Record-Route: <sips:" and "@10.0.0.1:5061;lr>\r\n"; of TLS.
	Secure [2][]byte
}

// Addr is the address of this machine that the face's datagrams leave from;
// unspecified where the kernel chooses.
func (f *Face) Addr() netip.Addr {
	if f.Source.IsValid() {
		return f.Source
	}
	return f.Out.Addr.Addr()
}

// Reaches reports whether datagrams of the face can get to an address: one of its
// family, and from a loopback address only a loopback one.
func (f *Face) Reaches(to netip.Addr) bool {
	a := f.Addr()
	return a.Is4() == to.Is4() && (!a.IsLoopback() || to.IsLoopback())
}

// HashKey says of what the consistent hash is taken.
type HashKey uint8

// The hash keys of lb_algorithm_hash.
const (
	HashCallID HashKey = iota
	HashSource
	HashSourcePort
	HashRequestURI
	HashHeader
)

// Pool is a pool: the servers, and the view of them that health swaps.
type Pool struct {
	ID       string // the uuid; the name where there is none
	Name     string
	Object   *object.Pool
	Hash     HashKey
	Header   string // lower case; valid iff Hash is HashHeader
	Reselect Reselect
	Rated    bool          // max_conn_rate_per_server: what is opened is counted
	Prolongs bool          // server_disable_type: a known Call-ID stays known while its server drains
	Shared   bool          // dialog_state_shared
	Large    bool          // what is too long for a datagram goes over TCP, where there is a connection
	Auto     bool          // and there is one if the server takes it
	TLS      *identity.TLS // with servers; nil: in plain
	// toward is the transport to servers, by that of what is to go there.
	toward [sip.NumTransports]sip.Transport

	Servers []*Server // as the objects list them; the index is that of balance
	Budget  *balance.RetryBudget
	// View is what servers are picked from. The engine's control loop is its
	// only writer.
	View atomic.Pointer[balance.Pool]

	addrs  serverTable        // departed ones too
	places int                // servers that have a place, departed ones too
	byID   map[uint64]*Server // 40 bits of the identity, as tokens carry it; departed ones too
}

// Toward is the transport to the servers of what came over t.
func (p *Pool) Toward(t sip.Transport) sip.Transport { return p.toward[t] }

// ServerAt returns the server with that address, also one that has left the pool.
func (p *Pool) ServerAt(a netip.AddrPort) *Server { return p.addrs.find(a) }

// HasHost reports whether some server has that address, whatever its port.
func (p *Pool) HasHost(a netip.Addr) bool { return p.addrs.at(a) != nil }

// ServerByID returns the server a token names, also one that has left the pool.
func (p *Pool) ServerByID(id uint64) *Server { return p.byID[id&token.ServerBits] }

// Server is one server of a pool.
type Server struct {
	Handle  Handle
	Index   int32 // in Pool.Servers and the view; -1: it has left the pool
	place   int   // a number of its own among those of its pool, departed ones too; -1: it has none
	Addr    netip.AddrPort
	ID      uint64
	Name    string
	Pool    *Pool
	State   *balance.State
	Traffic *Traffic
}

// Usable reports whether requests of calls it has may go to the server: it is up,
// or draining, and has not left.
func (s *Server) Usable() bool {
	c := s.State.Condition()
	return s.Index >= 0 && c&balance.Up != 0 && c&balance.Disabled == 0
}
