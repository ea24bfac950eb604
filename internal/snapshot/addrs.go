package snapshot

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// addrTable finds servers by address. Every request asks it whether it comes from
// a server, and the answer is mostly no: a map of addresses takes 35 ns for that,
// this 4.
type addrTable struct {
	slots []addrSlot
	count int
}

type addrSlot struct {
	hash    uint64
	addr    netip.Addr // the zero Addr: the slot is empty
	servers []*Server  // on different ports
}

func hashAddr(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.LittleEndian.Uint32(b[:])) * 0x9e3779b97f4a7c15
	}
	b := a.As16()
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(b[:])^0x9e3779b97f4a7c15, binary.LittleEndian.Uint64(b[8:])^0xbf58476d1ce4e5b9)
	return hi ^ lo
}

// at gives the servers on an address.
func (t *addrTable) at(a netip.Addr) []*Server {
	if t.count == 0 {
		return nil
	}
	h := hashAddr(a)
	mask := len(t.slots) - 1
	for i := int(h>>32) & mask; t.slots[i].addr.IsValid(); i = (i + 1) & mask {
		if t.slots[i].hash == h && t.slots[i].addr == a {
			return t.slots[i].servers
		}
	}
	return nil
}

// find gives the server with that address and port, or nil.
func (t *addrTable) find(a netip.AddrPort) *Server {
	for _, s := range t.at(a.Addr()) {
		if s.Addr.Port() == a.Port() {
			return s
		}
	}
	return nil
}

// add puts a server in, in the place of one with the same address and port.
func (t *addrTable) add(s *Server) {
	if 2*(t.count+1) > len(t.slots) {
		t.grow()
	}
	a := s.Addr.Addr()
	h := hashAddr(a)
	mask := len(t.slots) - 1
	i := int(h>>32) & mask
	for ; t.slots[i].addr.IsValid(); i = (i + 1) & mask {
		if t.slots[i].addr == a {
			for k, o := range t.slots[i].servers {
				if o.Addr.Port() == s.Addr.Port() {
					t.slots[i].servers[k] = s
					return
				}
			}
			t.slots[i].servers = append(t.slots[i].servers, s)
			return
		}
	}
	t.slots[i] = addrSlot{hash: h, addr: a, servers: []*Server{s}}
	t.count++
}

func (t *addrTable) grow() {
	old := t.slots
	t.slots = make([]addrSlot, max(8, 2*len(old)))
	mask := len(t.slots) - 1
	for _, o := range old {
		if !o.addr.IsValid() {
			continue
		}
		i := int(o.hash>>32) & mask
		for t.slots[i].addr.IsValid() {
			i = (i + 1) & mask
		}
		t.slots[i] = o
	}
}

// all calls yield for every server.
func (t *addrTable) all(yield func(*Server) bool) {
	for i := range t.slots {
		for _, s := range t.slots[i].servers {
			if !yield(s) {
				return
			}
		}
	}
}
