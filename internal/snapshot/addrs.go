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

// ownAddr is what is known of an address that may be our own. Faces are places in Snapshot.faceList.
type ownAddr struct {
	host  bool // it is one of this machine's
	faces []int32
	// byPort has the faces instead once there are many: a thousand services may share an address.
	byPort map[uint16][]int32
}

// manyFaces is from how many on the faces of an address are looked up rather than looked through.
const manyFaces = 8

// at are the faces that may have a port.
func (o *ownAddr) at(port uint16) []int32 {
	if o.byPort != nil {
		return o.byPort[port]
	}
	return o.faces
}

// face is the one with a port on which we listen there, or say that we do: that of v,
// if several services say so.
func (o *ownAddr) face(list []*Face, v *Service, port uint16) *Face {
	var other *Face
	for _, i := range o.at(port) {
		if f := list[i]; f.SentBy.Port() == port {
			if f.Out.Service == v {
				return f
			}
			other = f
		}
	}
	return other
}

// faceOn is the face of v with a port and a transport, or nil.
func (o *ownAddr) faceOn(list []*Face, v *Service, port uint16, t sip.Transport) *Face {
	for _, i := range o.at(port) {
		if f := list[i]; f.SentBy.Port() == port && f.Out.Service == v && f.Transport == t {
			return f
		}
	}
	return nil
}

func (o *ownAddr) add(list []*Face, f *Face) {
	if o.byPort == nil && len(o.faces) < manyFaces {
		o.faces = append(o.faces, f.place)
		return
	}
	if o.byPort == nil {
		o.byPort = map[uint16][]int32{}
		for _, i := range o.faces {
			port := list[i].SentBy.Port()
			o.byPort[port] = append(o.byPort[port], i)
		}
		o.faces = nil
	}
	o.byPort[f.SentBy.Port()] = append(o.byPort[f.SentBy.Port()], f.place)
}

// serverPages are servers by Handle, in pages: who changes some of them copies the pages that they are on.
type serverPages struct {
	pages []*serverPage
	len   int
	own   []bool // pages that are shared with no other snapshot; nil when the snapshot is made
}

const pageServers = 256

type serverPage [pageServers]*Server

// at is the server of a handle, nil if it has none.
func (p *serverPages) at(h Handle) *Server {
	if page := int(h / pageServers); page < len(p.pages) {
		return p.pages[page][h%pageServers]
	}
	return nil
}

// edit begins other pages with what p has.
func (p *serverPages) edit() serverPages {
	return serverPages{append(make([]*serverPage, 0, len(p.pages)+1), p.pages...), p.len, make([]bool, len(p.pages))}
}

// set puts a server, or nil, in the place of a handle.
func (p *serverPages) set(h Handle, s *Server) {
	page := int(h / pageServers)
	if !p.own[page] {
		fresh := *p.pages[page]
		p.pages[page], p.own[page] = &fresh, true
	}
	p.pages[page][h%pageServers] = s
}

// next is the handle of a server that is yet to be set.
func (p *serverPages) next() Handle {
	h := Handle(p.len)
	if p.len++; int(h/pageServers) == len(p.pages) {
		p.pages, p.own = append(p.pages, new(serverPage)), append(p.own, true)
	}
	return h
}
