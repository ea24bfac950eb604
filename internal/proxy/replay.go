package proxy

import (
	"net/netip"
	"sync"

	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Limits of the store of requests that may have to be sent again.
const (
	replayRings   = 16
	replayBytes   = 64 << 10 // of a ring: 1 MiB in all, half a second at 1,000 calls/s
	replayMaxSize = 8 << 10  // larger requests are not stored: they wait for their retransmission
)

// replay keeps the requests of open transactions as they came, so that one can be
// sent to another server at once (RFC 3261 16.7 (6), 16.9). It is a set of rings:
// what is stored now overwrites what was stored longest ago, and a request that was
// overwritten is not sent again by us but by its client.
type replay struct {
	rings [replayRings]ring
}

type ring struct {
	sync.Mutex
	buf   []byte
	at    int    // offset of the next record
	round uint32 // how often the ring was filled
	slots [replaySlots]record
	next  uint32 // record to be written next
}

// replaySlots is how many requests a ring remembers at the most.
const replaySlots = 256

type record struct {
	off, n   int32
	round    uint32
	key      uint64
	from     netip.AddrPort
	local    netip.Addr
	listener *snapshot.Listener
}

func newReplay() *replay { return &replay{} }

// stored is a request as it came.
type stored struct {
	data     []byte
	from     netip.AddrPort
	local    netip.Addr
	listener *snapshot.Listener
}

func (r *replay) ring(key uint64) *ring { return &r.rings[key>>40%replayRings] }

// save stores a request and returns its reference, never 0 unless it was too long.
func (r *replay) save(key uint64, in *Input) uint32 {
	data := in.Msg.Buf
	if len(data) > replayMaxSize {
		return 0
	}
	g := r.ring(key)
	g.Lock()
	defer g.Unlock()
	if g.buf == nil {
		g.buf = make([]byte, replayBytes) // once in the life of a ring
	}
	if g.at+len(data) > len(g.buf) {
		g.at = 0
		g.round++
	}
	ref := g.next
	s := &g.slots[ref%replaySlots]
	*s = record{off: int32(g.at), n: int32(len(data)), round: g.round, key: key, from: in.From, local: in.Local, listener: in.Listener}
	copy(g.buf[g.at:], data)
	g.at += len(data)
	g.next++
	return ref%replaySlots + 1
}

// load copies the request of a reference into dst. It reports false when it was
// overwritten since, or when the listener that it came in on is gone from snap.
func (r *replay) load(key uint64, ref uint32, snap *snapshot.Snapshot, dst []byte) (stored, bool) {
	if ref == 0 {
		return stored{}, false
	}
	g := r.ring(key)
	g.Lock()
	defer g.Unlock()
	s := &g.slots[(ref-1)%replaySlots]
	// it is there if nothing was written over it: this round below at, or the round before above at
	fresh := s.round == g.round || s.round+1 == g.round && int(s.off) >= g.at
	if s.key != key || s.n == 0 || !fresh {
		return stored{}, false
	}
	listener := snap.Listener(s.listener.Key) // the one of then may lead to sockets that are no more
	if listener == nil {
		return stored{}, false
	}
	return stored{data: append(dst[:0], g.buf[s.off:s.off+s.n]...), from: s.from, local: s.local, listener: listener}, true
}
