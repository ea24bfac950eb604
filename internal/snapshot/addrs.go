package snapshot

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/carillon-sip/carillon/internal/sip"
)

// addrTable maps addresses to values. Every request asks whether it comes from a
// server, every message whether it would go to ourselves, and the answer is mostly
// no: a map of addresses takes 35 ns for that, this 4.
type addrTable[V any] struct {
	slots []addrSlot[V]
	count int
}

type addrSlot[V any] struct {
	hash  uint64
	addr  netip.Addr // the zero Addr: the slot is empty
	value V
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

// at gives the value of an address, or nil.
func (t *addrTable[V]) at(a netip.Addr) *V {
	if t.count == 0 {
		return nil
	}
	h := hashAddr(a)
	mask := len(t.slots) - 1
	for i := int(h>>32) & mask; t.slots[i].addr.IsValid(); i = (i + 1) & mask {
		if t.slots[i].hash == h && t.slots[i].addr == a {
			return &t.slots[i].value
		}
	}
	return nil
}

// add gives the value of an address, the zero one if it was not there. It is valid until the next add.
func (t *addrTable[V]) add(a netip.Addr) *V {
	if v := t.at(a); v != nil {
		return v
	}
	if 2*(t.count+1) > len(t.slots) {
		t.grow()
	}
	h := hashAddr(a)
	e := t.free(h)
	e.hash, e.addr = h, a
	t.count++
	return &e.value
}

// free is the empty slot where an address of that hash goes.
func (t *addrTable[V]) free(h uint64) *addrSlot[V] {
	mask := len(t.slots) - 1
	i := int(h>>32) & mask
	for t.slots[i].addr.IsValid() {
		i = (i + 1) & mask
	}
	return &t.slots[i]
}

func (t *addrTable[V]) grow() {
	old := t.slots
	t.slots = make([]addrSlot[V], max(8, 2*len(old)))
	for _, o := range old {
		if o.addr.IsValid() {
			*t.free(o.hash) = o
		}
	}
}

// serverTable finds servers by address and port.
type serverTable struct{ addrTable[[]*Server] } // on one address, on different ports

// find gives the server with that address and port, or nil.
func (t *serverTable) find(a netip.AddrPort) *Server {
	if servers := t.at(a.Addr()); servers != nil {
		for _, s := range *servers {
			if s.Addr.Port() == a.Port() {
				return s
			}
		}
	}
	return nil
}

// put adds a server, in the place of one with the same address and port.
func (t *serverTable) put(s *Server) {
	servers := t.add(s.Addr.Addr())
	for k, o := range *servers {
		if o.Addr.Port() == s.Addr.Port() {
			(*servers)[k] = s
			return
		}
	}
	*servers = append(*servers, s)
}

// all calls yield for every server.
func (t *serverTable) all(yield func(*Server) bool) {
	for i := range t.slots {
		for _, s := range t.slots[i].value {
			if !yield(s) {
				return
			}
		}
	}
}

// ownAddr is what is known of an address that may be our own.
type ownAddr struct {
	host  bool // it is one of this machine's
	faces []*Face
	// byPort has the faces instead once there are many: a thousand services may share an address.
	byPort map[uint16][]*Face
}

// manyFaces is from how many on the faces of an address are looked up rather than looked through.
const manyFaces = 8

// at are the faces that may have a port.
func (o *ownAddr) at(port uint16) []*Face {
	if o.byPort != nil {
		return o.byPort[port]
	}
	return o.faces
}

// face is the one with a port on which we listen there, or say that we do: that of v,
// if several services say so.
func (o *ownAddr) face(v *Service, port uint16) *Face {
	var other *Face
	for _, f := range o.at(port) {
		if f.SentBy.Port() == port {
			if f.Out.Service == v {
				return f
			}
			other = f
		}
	}
	return other
}

// faceOn is the face of v with a port and a transport, or nil.
func (o *ownAddr) faceOn(v *Service, port uint16, t sip.Transport) *Face {
	for _, f := range o.at(port) {
		if f.SentBy.Port() == port && f.Out.Service == v && f.Transport == t {
			return f
		}
	}
	return nil
}

func (o *ownAddr) add(f *Face) {
	if o.byPort == nil && len(o.faces) < manyFaces {
		o.faces = append(o.faces, f)
		return
	}
	if o.byPort == nil {
		o.byPort = map[uint16][]*Face{}
		for _, f := range o.faces {
			o.byPort[f.SentBy.Port()] = append(o.byPort[f.SentBy.Port()], f)
		}
		o.faces = nil
	}
	o.byPort[f.SentBy.Port()] = append(o.byPort[f.SentBy.Port()], f)
}
