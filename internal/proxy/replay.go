package proxy

import (
	"net/netip"
	"sync"

	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Limits of the store of requests that may have to be sent again. A ring begins with room for one request of the
// largest size and doubles while what it forgets is younger than replayKeepNS: a service on which little comes, of
// which there may be thousands, needs 128 KiB and not a megabyte.
const (
	replayRings   = 16
	replayLeast   = 8 << 10  // of a ring, in octets
	replayMost    = 64 << 10 // 1 MiB in all: half a second at 1,000 calls/s
	replayMaxSize = 8 << 10  // larger requests are not stored: they wait for their retransmission
	replayRecord  = 512      // octets of a ring for each request that it remembers at the most
	replayKeepNS  = 1e9
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
	slots []record
	next  uint32 // record to be written next
	began int64  // when this round began, ns
}

type record struct {
	off, n   int32
	round    uint32
	ref      uint32
	key      uint64
	from     netip.AddrPort
	local    netip.Addr
	listener *snapshot.Listener
	flow     uint64
}

func newReplay() *replay { return &replay{} }

// Stored is a request as it came.
type Stored struct {
	Data     []byte
	From     netip.AddrPort
	Local    netip.Addr
	Listener *snapshot.Listener
	Flow     uint64 // number of the connection; 0 for a datagram
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
		g.grow()
		g.began = in.NowNS
	}
	if g.at+len(data) > len(g.buf) && len(g.buf) < replayMost && in.NowNS-g.began < replayKeepNS {
		g.grow()
	}
	if g.at+len(data) > len(g.buf) {
		g.at, g.began = 0, in.NowNS
		g.round++
	}
	ref := g.next
	s := &g.slots[ref%uint32(len(g.slots))]
	*s = record{off: int32(g.at), n: int32(len(data)), round: g.round, ref: ref, key: key, from: in.From, local: in.Local, listener: in.Listener, flow: in.Flow}
	copy(g.buf[g.at:], data)
	g.at += len(data)
	g.next++
	if g.next == 1<<32-1 {
		g.next = 0 // ref+1 is never 0
	}
	return ref + 1
}

// grow doubles a ring; what it holds stays where it is.
func (g *ring) grow() {
	size := max(replayLeast, 2*len(g.buf))
	buf, slots := make([]byte, size), make([]record, size/replayRecord)
	copy(buf, g.buf)
	for _, s := range g.slots {
		if s.n > 0 {
			slots[s.ref%uint32(len(slots))] = s
		}
	}
	g.buf, g.slots = buf, slots
}

// load copies the request of a reference into dst. It reports false when it was
// overwritten since, or when the listener that it came in on is gone from snap.
func (r *replay) load(key uint64, ref uint32, snap *snapshot.Snapshot, dst []byte) (Stored, bool) {
	g := r.ring(key)
	g.Lock()
	defer g.Unlock()
	s := g.find(key, ref)
	if s == nil {
		return Stored{}, false
	}
	listener := snap.Listener(s.listener.Key) // the one of then may lead to sockets that are no more
	if listener == nil {
		return Stored{}, false
	}
	return Stored{Data: append(dst[:0], g.buf[s.off:s.off+s.n]...), From: s.from, Local: s.local, Listener: listener, Flow: s.flow}, true
}

// find finds the record of a reference; nil if it was overwritten since.
func (g *ring) find(key uint64, ref uint32) *record {
	if ref == 0 || len(g.slots) == 0 {
		return nil
	}
	s := &g.slots[(ref-1)%uint32(len(g.slots))]
	// it is there if nothing was written over it: this round below at, or the round before above at
	fresh := s.round == g.round || s.round+1 == g.round && int(s.off) >= g.at
	if s.ref != ref-1 || s.key != key || s.n == 0 || !fresh {
		return nil
	}
	return s
}
