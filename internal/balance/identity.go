package balance

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/dchest/siphash"

	"github.com/carillon-sip/carillon/internal/token"
)

// ServerID returns the identity of a server: a keyed hash of address and port (and zone). It is never 0. An IPv4 address
// is the same server in its IPv6 form.
func ServerID(key [2]uint64, a netip.AddrPort) uint64 {
	b := make([]byte, 0, 32)
	ip := a.Addr().As16()
	b = append(b, ip[:]...)
	b = binary.BigEndian.AppendUint16(b, a.Port())
	b = append(b, a.Addr().Zone()...)
	return usable(siphash.Hash(key[0], key[1], b))
}

// PoolID returns the identity of a pool among those of its group.
func PoolID(key [2]uint64, name string) uint64 { return siphash.Hash(key[0], key[1], []byte(name)) }

// usable makes sure that the bits of an identity that fit into a token are not all 0.
func usable(id uint64) uint64 {
	if id&token.ServerBits == 0 {
		return id | 1
	}
	return id
}

// newServers returns the servers without State.
func newServers(c *Config) []Server {
	servers := make([]Server, len(c.Servers))
	for i := range c.Servers {
		s := &c.Servers[i]
		servers[i] = Server{Addr: s.Addr, Name: s.Name, Ratio: max(1, s.Ratio), PoolIndex: int32(i)}
	}
	ids := distinct(c, servers, func(a netip.AddrPort) uint64 { return ServerID(c.Secret, a) })
	for i, id := range ids {
		servers[i].ID = id
	}
	return servers
}

// placementIDs returns the identities that the consistent hash places keys by.
func placementIDs(c *Config, servers []Server) []uint64 {
	if !c.IgnorePort {
		ids := make([]uint64, len(servers))
		for i := range servers {
			ids[i] = servers[i].ID
		}
		return ids
	}
	return distinct(c, servers, func(a netip.AddrPort) uint64 {
		return ServerID(c.Secret, netip.AddrPortFrom(a.Addr(), 0))
	})
}

// distinct returns an identity for every server. Of those that would have the same one, the lowest address and port
// keeps it and the next ones get others: that depends on the servers only, so all engines agree.
func distinct(c *Config, servers []Server, identity func(netip.AddrPort) uint64) []uint64 {
	order := make([]int32, len(servers))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(i, j int32) int { return servers[i].Addr.Compare(servers[j].Addr) })
	ids := make([]uint64, len(servers))
	taken := make(map[uint64]bool, len(servers))
	var b [8]byte
	for _, i := range order {
		id := identity(servers[i].Addr)
		for taken[id&token.ServerBits] {
			binary.LittleEndian.PutUint64(b[:], id)
			id = usable(siphash.Hash(c.Secret[0], c.Secret[1], b[:]))
		}
		taken[id&token.ServerBits] = true
		ids[i] = id
	}
	return ids
}
