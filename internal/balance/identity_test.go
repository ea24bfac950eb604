package balance

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/carillon-sip/carillon/internal/token"
)

func TestServerID(t *testing.T) {
	key := [2]uint64{1, 2}
	id := func(s string) uint64 { return ServerID(key, netip.MustParseAddrPort(s)) }
	if id("10.0.0.1:5060") != id("[::ffff:10.0.0.1]:5060") {
		t.Error("an IPv4 address and its IPv6 form are two servers")
	}
	seen := map[uint64]string{}
	for _, s := range []string{"10.0.0.1:5060", "10.0.0.1:5061", "10.0.0.2:5060", "[::1]:5060", "[fe80::1%a]:5060", "[fe80::1%b]:5060"} {
		if o, ok := seen[id(s)]; ok {
			t.Errorf("%s and %s are the same", s, o)
		}
		seen[id(s)] = s
	}
	if ServerID([2]uint64{1, 3}, addr(1)) == ServerID(key, addr(1)) {
		t.Error("the key does not matter")
	}
	if usable(0)&token.ServerBits == 0 || usable(1<<63)&token.ServerBits == 0 {
		t.Error("an identity of 0 in a token")
	}
}

func TestIdentitiesThatCollideAreToldApart(t *testing.T) {
	c := &Config{Secret: [2]uint64{5, 6}, Servers: make([]ServerConfig, 4)}
	servers := make([]Server, 4)
	for i := range servers {
		servers[i].Addr = addr(i)
	}
	same := func(netip.AddrPort) uint64 { return 1 << 50 * 3 } // alike in the bits of a token too
	ids := distinct(c, servers, same)
	if ids[0] != 1<<50*3 {
		t.Errorf("the lowest address has %x", ids[0])
	}
	slices.Reverse(servers)
	again := distinct(c, servers, same)
	slices.Reverse(again)
	if !slices.Equal(ids, again) {
		t.Errorf("%x in one order, %x in the other", ids, again)
	}
	seen := map[uint64]bool{}
	for _, id := range ids {
		if seen[id&token.ServerBits] {
			t.Errorf("%x twice", id)
		}
		seen[id&token.ServerBits] = true
	}
}

func TestIgnorePortPlacesByAddress(t *testing.T) {
	pool := func(ignore bool, ports ...uint16) *Pool {
		c := &Config{IgnorePort: ignore}
		for i, port := range ports {
			c.Servers = append(c.Servers, ServerConfig{Addr: netip.AddrPortFrom(addr(i/2).Addr(), port), Condition: Up})
		}
		return New(c, nil)
	}
	for _, ignore := range []bool{true, false} {
		a, b := pool(ignore, 1000, 1001, 1000, 1001), pool(ignore, 2000, 2001, 2000, 2001)
		moved := 0
		for k := range uint64(1000) {
			if a.Pick(mix(k), nil) != b.Pick(mix(k), nil) {
				moved++
			}
		}
		if ignore && moved != 0 || !ignore && moved < 500 {
			t.Errorf("ignoring ports %v: other ports move %d of 1000 keys", ignore, moved)
		}
	}
}
