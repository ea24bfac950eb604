//go:build linux && (amd64 || arm64)

package transport

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The kernel takes a train, datagrams of one size to one destination of which the
// last may be shorter, for little more than the price of one datagram. The plan
// of a Flush puts the queue into trains, in one pass over the datagrams and one
// over the trains.
//
// What must hold: two datagrams of one tag to one destination never change their
// order. Trains leave in the order they were begun, so a datagram may join a
// train that stands not before the last train of its tag. A table remembers that
// one by a hash of tag and destination: two that have the same only hold each
// other back.

const (
	maxTrainDatagrams = 64    // UDP_MAX_SEGMENTS of kernels before 6.7
	maxTrainBytes     = 65000 // a train is one IP packet of at most 65,535 until it is cut
	pairReach         = 8     // open trains of a destination that are looked at for a pair
	none              = int32(-1)
)

type train struct {
	dest       int32
	head, tail int32 // of the list through wire.after
	count      int32
	bytes      int32
	size       int32 // of all its datagrams but perhaps the last; 0: never joined
	before     int32 // the train with the datagram before this one's first of the same tag, or none
	open       int32 // the next in the destination's list of trains that a pair is sought for
	later      bool  // a datagram of the same tag follows in the queue
	gone       bool  // its only datagram has gone over to another train
}

// dest is a destination with its source address, and what the kernel wants of
// them. It outlives the Flush: most datagrams go where others went before.
type dest struct {
	to      netip.AddrPort
	from    netip.Addr
	hash    uint64 // of to alone
	name    rawName
	nameLen uint32
	v6      bool
	source  control // as far as sourceLen
	srcLen  int
	gen     uint32 // of the plan that open is valid in
	open    int32
}

type sizeSlot struct {
	gen   uint32
	key   uint64 // destination and size
	train int32
}

type tagSlot struct {
	gen   uint32
	train int32
	key   uint64 // of tag and destination
}

// init makes tables for n datagrams.
func (w *wire) init(n int) {
	w.seed = rand.Uint64()
	size := 1 << bits.Len(uint(2*n-1))
	w.dests = make([]dest, 0, max(2*n, 256))
	w.destSlots = make([]uint16, 1<<bits.Len(uint(2*cap(w.dests)-1)))
	w.sizeSlots = make([]sizeSlot, size)
	w.tagSlots = make([]tagSlot, size)
	w.trains = make([]train, 0, n)
	w.after = make([]int32, n)
	w.msgs = make([]mmsghdr, n)
	w.ctls = make([]control, n)
	w.sent = make([]int32, n)
	w.iovs = make([]unix.Iovec, n)
}

// plan puts the queue into trains of datagrams of at most maxSize octets each; 0
// leaves each by itself.
func (w *wire) plan(queue []queued, maxSize int) {
	if len(w.dests)+len(queue) > cap(w.dests) {
		clear(w.dests)
		w.dests = w.dests[:0]
		clear(w.destSlots)
	}
	if w.gen++; w.gen == 0 { // it has gone round: what is stamped may seem of today
		clear(w.sizeSlots)
		clear(w.tagSlots)
		for i := range w.dests {
			w.dests[i].gen = 0
		}
		w.gen = 1
	}
	w.trains = w.trains[:0]
	for i := range queue {
		q := &queue[i]
		d := w.intern(q)
		slot, before := w.tagged(mix(q.tag, w.dests[d].hash)), none
		if slot.gen == w.gen {
			before = slot.train
			w.trains[before].later = true
		}
		slot.gen, slot.train = w.gen, w.board(int32(i), d, int32(q.n), before, maxSize)
	}
	if maxSize > 0 && len(w.trains) > 1 {
		w.pair()
	}
}

// tagged finds the slot of a key, or one for it that is of an older plan.
func (w *wire) tagged(key uint64) *tagSlot {
	for h := key; ; h++ {
		slot := &w.tagSlots[h&uint64(len(w.tagSlots)-1)]
		if slot.gen != w.gen {
			slot.key = key
			return slot
		}
		if slot.key == key {
			return slot
		}
	}
}

// board puts datagram i into the train of its destination and size, or begins
// one, and returns it.
func (w *wire) board(i, d, n, before int32, maxSize int) int32 {
	w.after[i] = none
	t := int32(len(w.trains))
	fresh := train{dest: d, head: i, tail: i, count: 1, bytes: n, before: before}
	if n == 0 || int(n) > maxSize {
		w.trains = append(w.trains, fresh)
		return t
	}
	fresh.size = n
	key := uint64(d)<<16 | uint64(n)
	for h := mix(key, 0); ; h++ {
		slot := &w.sizeSlots[h&uint64(len(w.sizeSlots)-1)]
		if slot.gen == w.gen && slot.key != key {
			continue
		}
		if slot.gen == w.gen && slot.train >= before && w.trains[slot.train].fits(n) {
			w.couple(slot.train, i, n)
			return slot.train
		}
		*slot = sizeSlot{w.gen, key, t}
		w.trains = append(w.trains, fresh)
		return t
	}
}

func (t *train) fits(n int32) bool {
	return t.count < maxTrainDatagrams && t.bytes+n <= maxTrainBytes
}

func (w *wire) couple(t, i, n int32) {
	tr := &w.trains[t]
	w.after[tr.tail] = i
	tr.tail = i
	tr.count++
	tr.bytes += n
}

// pair makes single datagrams the shorter last ones of trains to the same
// destination. Moving one forward in time needs that the one before it of its
// tag has left by then; moving one back needs that none of its tag follows.
func (w *wire) pair() {
	for i := range w.trains {
		tr := &w.trains[i]
		if tr.size == 0 {
			continue
		}
		d := &w.dests[tr.dest]
		if d.gen != w.gen {
			d.gen, d.open = w.gen, none
		}
		link, paired := &d.open, false
		for reach := pairReach; *link != none && reach > 0 && !paired; reach-- {
			if paired = w.marry(*link, int32(i)); paired {
				*link = w.trains[*link].open
			} else {
				link = &w.trains[*link].open
			}
		}
		if !paired {
			tr.open, d.open = d.open, int32(i)
		}
	}
}

// marry makes one of two trains, the first begun earlier, the tail of the other,
// if it is a single datagram and may move.
func (w *wire) marry(earlier, later int32) bool {
	e, l := &w.trains[earlier], &w.trains[later]
	switch {
	case l.count == 1 && l.size < e.size && l.before <= earlier && e.fits(l.size):
		w.couple(earlier, l.head, l.size)
		l.gone = true
		return true
	case e.count == 1 && e.size < l.size && !e.later && l.fits(e.size):
		w.couple(later, e.head, e.size)
		e.gone = true
		return true
	}
	return false
}

// intern finds the destination of q or notes it down.
func (w *wire) intern(q *queued) int32 {
	h := hashAddr(q.to, w.seed)
	for i := h; ; i++ {
		slot := &w.destSlots[i&uint64(len(w.destSlots)-1)]
		if *slot == 0 {
			w.dests = append(w.dests, dest{to: q.to, from: q.from, hash: h, open: none})
			*slot = uint16(len(w.dests))
			w.dests[*slot-1].encode()
			return int32(*slot - 1)
		}
		if d := &w.dests[*slot-1]; d.hash == h && d.to == q.to && d.from == q.from {
			return int32(*slot - 1)
		}
	}
}

func (d *dest) encode() {
	to := netip.AddrPortFrom(d.to.Addr().Unmap(), d.to.Port())
	d.v6 = !to.Addr().Is4()
	d.nameLen = d.name.encode(to)
	if d.from.IsValid() {
		d.srcLen = d.source.putSource(d.from.Unmap())
	}
}

// hashAddr is seeded: callers choose their addresses, and could choose many that
// meet in one place of the table.
func hashAddr(a netip.AddrPort, seed uint64) uint64 {
	b := a.Addr().As16()
	h := mix(binary.NativeEndian.Uint64(b[:])^seed, binary.NativeEndian.Uint64(b[8:]))
	return mix(h^uint64(a.Port()), seed)
}

// mix is a multiplication of 128 bits folded: cheap and good in its low bits.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	return hi ^ lo
}
