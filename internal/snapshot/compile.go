package snapshot

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/token"
)

// Env is what Compile must know beside the objects.
type Env struct {
	Sealer *token.Sealer
	// LocalAddr tells from which address of this machine datagrams to a
	// destination leave. An error means there is no route.
	LocalAddr func(netip.Addr) (netip.Addr, error)
	// Hosts are this machine's addresses, each with the length of its link's prefix.
	Hosts []netip.Prefix
	// Wants is Wanted of the set; nil: it is worked out.
	Wants *Wants
	// Bound tells what address and port a listener got; nil or absent: as configured.
	Bound map[Key]netip.AddrPort
}

// compiler holds one run of Compile.
type compiler struct {
	set  *object.Set
	prev *Snapshot
	env  Env
	out  *Snapshot
	errs []error

	pairs    []pair // of the virtual services, by place in the set
	profiles map[string]*object.ApplicationProfile
	byName   map[string]*Pool         // of out
	prevTLS  map[string]*identity.TLS // of the services of prev, by ID

	links  []netip.Prefix // that this machine is on, the longest prefix first
	asked  map[netip.Addr]netip.Addr
	others map[exitKey]*exits // where the family changes
}

// Compile turns a set that has been validated into a snapshot. prev may be nil.
// Errors are about what only shows when objects come together.
func Compile(set *object.Set, prev *Snapshot, env Env, revision uint64) (*Snapshot, error) {
	c := &compiler{set: set, prev: prev, env: env, out: &Snapshot{
		Revision: revision,
		faces:    make(map[uint16]int32, len(set.VirtualServices)), byKey: make(map[Key]int32, len(set.VirtualServices)),
		byService: make(map[string]int32, len(set.VirtualServices)), groups: map[string]*Group{},
	}, asked: map[netip.Addr]netip.Addr{}, others: map[exitKey]*exits{}}
	for _, h := range env.Hosts {
		c.out.own.add(h.Addr()).host = true
	}
	c.findLinks()
	if prev != nil {
		c.out.servers = prev.servers.edit()
	} else {
		c.out.servers.next() // nobody
	}
	if env.Wants == nil {
		env.Wants = Wanted(set)
	}
	c.pairs = env.Wants.pairs
	c.pools()
	c.probes()
	c.services()
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	for _, l := range c.out.Listeners {
		c.faceListener(l)
	}
	for _, s := range c.out.Services {
		c.notItself(s)
	}
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	for _, l := range c.out.Listeners {
		c.exitsOf(l)
	}
	for _, l := range c.out.Listeners {
		c.faceServers(l)
	}
	c.out.base = newBase(set, c.out)
	return c.out, nil
}

// ServiceError is what is wrong with one virtual service, or with its pool, on this machine.
type ServiceError struct {
	ID   string // of the service
	Text string
}

func (e *ServiceError) Error() string { return e.Text }

// fail notes what is wrong with a service.
func (c *compiler) fail(service, format string, args ...any) {
	c.errs = append(c.errs, &ServiceError{service, fmt.Sprintf(format, args...)})
}

func (c *compiler) services() {
	for i := range c.set.VirtualServices {
		vs := c.set.VirtualServices[i]
		pool, group := c.poolsOf(vs)
		profile := c.profile(vs.ApplicationProfileRef)
		if pool == nil || profile == nil {
			c.fail(id(vs.UUID, vs.Name), "VirtualService/%s: its pool or application profile is missing", vs.Name)
			continue
		}
		if !vs.Enabled {
			continue
		}
		sip := &profile.SIPServiceProfile
		s := &Service{
			ID: id(vs.UUID, vs.Name), UUID: vs.UUID, Name: vs.Name, Index: len(c.out.Services), Pool: pool, Group: group,
			Traffic:                 vs.TrafficEnabled,
			RecordRoute:             sip.RecordRoute,
			RetryOn503:              sip.RetryOn503,
			Path:                    sip.Path == object.PathIfSupported || sip.Path == object.PathAlways,
			PathAlways:              sip.Path == object.PathAlways,
			FailoverRetransmissions: uint8(sip.FailoverRetransmissions),
			CallTimeoutMS:           uint32(sip.TransactionTimeoutS) * 1000,
			MaxTransactions:         sip.MaxTransactions,
			MaxCalls:                sip.MaxCalls,
			ports:                   vs.Ports(),
			MaxConns:                vs.PerformanceLimits.MaxConcurrentConnections, ConnRate: vs.ConnectionsRateLimit, ConnRatePerSource: vs.MaxCPSPerClient,
		}
		for _, n := range c.pairs[i].set().FQDNs(vs) {
			s.names = append(s.names, strings.ToLower(strings.TrimSuffix(n, ".")))
		}
		s.TLS = c.serviceTLS(s.ID, vs)
		s.ofPools()
		s.reach = c.reachOf(s)
		c.out.byService[s.ID] = int32(len(c.out.Services))
		c.out.Services = append(c.out.Services, s)
		c.listeners(s, &c.pairs[i])
	}
}

// profile finds an application profile by name.
func (c *compiler) profile(name string) *object.ApplicationProfile {
	p, known := c.profiles[name]
	if !known {
		p = c.set.ApplicationProfile(name)
		if c.profiles == nil {
			c.profiles = map[string]*object.ApplicationProfile{}
		}
		c.profiles[name] = p
	}
	return p
}

// id is under what is kept what an object has learnt: it stays when the object gets another name.
func id(uuid, name string) string {
	if uuid != "" {
		return uuid
	}
	return name
}

// notItself refuses a server that is an address of its own service: where that
// listens on every address, only the machine knows.
func (c *compiler) notItself(s *Service) {
	for _, p := range s.Pools() {
		for _, sv := range p.Servers {
			if s.Chooses(p) && c.out.Own(s, sv.Addr) {
				c.fail(s.ID, "Pool/%s: server %s is an address of VirtualService/%s itself: it would send to itself", p.Name, sv.Addr, s.Name)
			}
		}
	}
}
