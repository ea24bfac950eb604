package snapshot

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

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

	links  []netip.Prefix // that this machine is on, the longest prefix first
	asked  map[netip.Addr]netip.Addr
	others map[exitKey]*exits // where the family changes
}

// Compile turns a set that has been validated into a snapshot. prev may be nil.
// Errors are about what only shows when objects come together.
func Compile(set *object.Set, prev *Snapshot, env Env, revision uint64) (*Snapshot, error) {
	c := &compiler{set: set, prev: prev, env: env, out: &Snapshot{
		Revision: revision,
		faces:    map[uint16]*Face{},
	}, asked: map[netip.Addr]netip.Addr{}, others: map[exitKey]*exits{}}
	for _, h := range env.Hosts {
		c.out.own.add(h.Addr()).host = true
	}
	c.findLinks()
	if prev != nil {
		c.out.servers = append(c.out.servers, prev.servers...)
	} else {
		c.out.servers = []*Server{nil}
	}
	c.pools()
	c.services()
	c.listeners()
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
	return c.out, nil
}

func (c *compiler) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

func (c *compiler) services() {
	for i := range c.set.VirtualServices {
		vs := &c.set.VirtualServices[i]
		pool := c.pool(vs.PoolRef)
		profile := c.set.ApplicationProfile(vs.ApplicationProfileRef)
		if pool == nil || profile == nil {
			c.fail("VirtualService/%s: its pool or application profile is missing", vs.Name)
			continue
		}
		if !vs.Enabled {
			continue
		}
		sip := &profile.SIPServiceProfile
		s := &Service{
			Name: vs.Name, Index: len(c.out.Services), Pool: pool,
			Traffic:                 vs.TrafficEnabled,
			RecordRoute:             sip.RecordRoute,
			RetryOn503:              sip.RetryOn503,
			FailoverRetransmissions: uint8(sip.FailoverRetransmissions),
			CallTimeoutMS:           uint32(sip.TransactionTimeoutS) * 1000,
			MaxTransactions:         sip.MaxTransactions,
			MaxCalls:                sip.MaxCalls,
			ports:                   vs.Ports(),
		}
		for _, n := range c.set.FQDNs(vs) {
			s.names = append(s.names, strings.ToLower(strings.TrimSuffix(n, ".")))
		}
		c.out.Services = append(c.out.Services, s)
	}
}

// notItself refuses a server that is an address of its own service: where that
// listens on every address, only the machine knows.
func (c *compiler) notItself(s *Service) {
	for _, sv := range s.Pool.Servers {
		if c.out.Own(s, sv.Addr) {
			c.fail("Pool/%s: server %s is an address of VirtualService/%s itself: it would send to itself", s.Pool.Name, sv.Addr, s.Name)
		}
	}
}

// pool finds a compiled pool by name.
func (c *compiler) pool(name string) *Pool {
	for _, p := range c.out.Pools {
		if p.Name == name {
			return p
		}
	}
	return nil
}
