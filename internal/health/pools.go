package health

import (
	"hash/maphash"
	"maps"
	"net/netip"
)

// poolParts is in how many parts the pools are kept: a change of one copies its part.
const poolParts = 64

// poolServers is the servers of a pool by address.
type poolServers map[netip.AddrPort]*server

// poolMap is the servers by pool and address. Neither it nor the maps in it ever change: others read it.
type poolMap struct {
	parts [poolParts]map[string]poolServers
}

var poolSeed = maphash.MakeSeed()

func poolPart(pool string) int { return int(maphash.String(poolSeed, pool) % poolParts) }

// of returns the servers of a pool, nil if it has none.
func (m *poolMap) of(pool string) poolServers { return m.parts[poolPart(pool)][pool] }

// pools calls yield for every pool.
func (m *poolMap) pools(yield func(string, poolServers) bool) {
	for _, part := range m.parts {
		for pool, servers := range part {
			if !yield(pool, servers) {
				return
			}
		}
	}
}

// all calls yield for every server.
func (m *poolMap) all(yield func(*server) bool) {
	for _, servers := range m.pools {
		for _, s := range servers {
			if !yield(s) {
				return
			}
		}
	}
}

// poolEdit is a poolMap in the making.
type poolEdit struct {
	poolMap
	own [poolParts]bool // parts that are shared with nobody
}

// set gives a pool its servers; none are its end.
func (e *poolEdit) set(pool string, servers poolServers) {
	i := poolPart(pool)
	if !e.own[i] {
		e.own[i] = true
		if e.parts[i] = maps.Clone(e.parts[i]); e.parts[i] == nil {
			e.parts[i] = map[string]poolServers{}
		}
	}
	if delete(e.parts[i], pool); len(servers) > 0 {
		e.parts[i][pool] = servers
	}
}
