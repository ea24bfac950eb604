// Package aged is the table of soft state: a sharded hash table from 64-bit keys
// to small values, each entry with a time after which it is gone, and a cap on
// how many there are. The message path takes one short lock of one shard for each
// look-up and never allocates: growing and forgetting are done by Tend, which
// somebody calls from elsewhere.
//
// Keys must already be uniformly distributed (a keyed hash is); they are not
// hashed again. Two things with one key are one thing here.
package aged

import (
	"sync"
	"sync/atomic"
)

// Tick is a point of time in milliseconds from an origin that the caller
// chooses. It wraps after 49 days; only differences are looked at.
type Tick uint32

// Before reports whether t lies before u, for points less than 24 days apart.
func (t Tick) Before(u Tick) bool { return int32(t-u) < 0 }

const (
	shardCount = 64
	// A shard has no slots until its first entry, and grows to firstSize where it stands: that is two small allocations in
	// the life of a shard, and a table that is not used yet, of which there may be thousands, costs some 5 KB.
	leastSize = 16
	firstSize = 64 // 1.5 KB with a 24-octet entry
	// crowdedSixteenths of its slots is how many entries a shard has when Tend doubles it. What is left to 7/8, when
	// it takes no more, is a sixteenth: 30 entries of a shard with 512, or as many ms at 64,000 new ones a second.
	crowdedSixteenths = 13
)

// Table maps keys to values of type V.
type Table[V any] struct {
	shards   [shardCount]Shard[V]
	maxShard atomic.Int64  // entries a shard may hold: the cap of the table, split
	Full     atomic.Uint64 // insertions refused because the cap, or a shard that is about to grow, was full
	kick     chan<- struct{}
	crowded  atomic.Bool // a shard may have to grow
	none     [1]slot[V]  // of shards without entries: never written
	next     int         // the shard that Tend looks at next; only Tend touches it
}

// Shard is one lock and the entries under it.
type Shard[V any] struct {
	sync.Mutex
	slots []slot[V]
	live  int
	limit int // live entries before insertions are refused
	table *Table[V]
	_     [16]byte
}

// slot holds an entry; a key of 0 means none, so that a small value costs no more
// than 12 octets more. unzero makes room for that: 0 and 1 are one key.
type slot[V any] struct {
	key     uint64
	expires Tick
	value   V
}

func (e *slot[V]) used() bool { return e.key != 0 }

func unzero(key uint64) uint64 { return max(key, 1) }

// New makes a table of at most max entries (rounded up to a multiple of 64). When
// a shard fills up, kick gets a value unless it is full: call Tend soon.
func New[V any](max int, kick chan<- struct{}) *Table[V] {
	t := &Table[V]{kick: kick}
	t.maxShard.Store(perShard(max))
	for i := range t.shards {
		s := &t.shards[i]
		s.table = t
		s.slots = t.none[:]
	}
	return t
}

func perShard(max int) int64 { return int64((max + shardCount - 1) / shardCount) }

// SetMax makes max the cap of a table in use. With a lower one nothing is forgotten before its time, but nothing new is
// remembered until there is room.
func (t *Table[V]) SetMax(max int) {
	if t.maxShard.Swap(perShard(max)) == perShard(max) {
		return
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		if len(s.slots) >= leastSize {
			s.limit = min(limitOf(len(s.slots)), int(t.maxShard.Load()))
		}
		if s.live >= s.limit {
			s.wantTending()
		}
		s.Unlock()
	}
}

// limitOf is how many of n slots may be used: linear probing stays short to 7/8.
func limitOf(n int) int { return n - n/8 }

// Shard gives the shard of a key. Lock it, look up, change what the pointers
// point to, unlock: pointers are valid only in between.
func (t *Table[V]) Shard(key uint64) *Shard[V] { return &t.shards[key>>58] }

// home is the slot where a key would like to be. The top bits chose the shard.
func (s *Shard[V]) home(key uint64) int { return int(uint32(key>>8)) & (len(s.slots) - 1) }

// Get finds the value of key that has not expired, or nil.
func (s *Shard[V]) Get(key uint64, now Tick) *V {
	if v, expires := s.Find(key); v != nil && !expires.Before(now) {
		return v
	}
	return nil
}

// Find gives the value of key and its time, both to be changed as one likes; nil if there is none. One that has expired, but
// was not yet forgotten, is given too.
func (s *Shard[V]) Find(key uint64) (v *V, expires *Tick) {
	key = unzero(key)
	slots := s.slots
	mask := len(slots) - 1
	for i := s.home(key); ; i = (i + 1) & mask {
		e := &slots[i]
		if e.key == key {
			return &e.value, &e.expires
		}
		if !e.used() {
			return nil, nil
		}
	}
}

// Put inserts key, and gives its zeroed value and its time to fill in. It gives nil where there is no room: the caller goes
// on without. An entry of that key that is there, expired or not, is handed back as it was, with old true, so that what it
// held can be given back.
func (s *Shard[V]) Put(key uint64) (v *V, expires *Tick, old bool) {
	key = unzero(key)
	mask := len(s.slots) - 1
	i := s.home(key)
	for ; s.slots[i].used(); i = (i + 1) & mask {
		if s.slots[i].key == key {
			return &s.slots[i].value, &s.slots[i].expires, true
		}
	}
	if s.live >= s.limit {
		if !s.extend() {
			s.table.Full.Add(1)
			s.wantTending()
			return nil, nil, false
		}
		i = s.free(key)
	}
	if s.crowded() {
		s.wantTending()
	}
	s.live++
	e := &s.slots[i]
	*e = slot[V]{key: key}
	return &e.value, &e.expires, false
}

// crowded reports whether Tend is to grow the shard: early enough that none is refused before it does.
func (s *Shard[V]) crowded() bool {
	return s.live*16 >= len(s.slots)*crowdedSixteenths && len(s.slots) >= firstSize
}

// extend gives a small shard more slots at once, and reports false for one that Tend is to grow.
func (s *Shard[V]) extend() bool {
	if len(s.slots) >= firstSize || s.limit >= int(s.table.maxShard.Load()) {
		return false
	}
	size := firstSize
	if len(s.slots) < leastSize {
		size = leastSize
	}
	s.moveTo(make([]slot[V], size))
	return true
}

// moveTo makes bigger the slots of the shard.
func (s *Shard[V]) moveTo(bigger []slot[V]) {
	old := s.slots
	s.slots = bigger
	s.limit = min(limitOf(len(bigger)), int(s.table.maxShard.Load()))
	for i := range old {
		if old[i].used() {
			bigger[s.free(old[i].key)] = old[i]
		}
	}
}

// free is the empty slot where a key that is not there goes.
func (s *Shard[V]) free(key uint64) int {
	mask := len(s.slots) - 1
	i := s.home(key)
	for s.slots[i].used() {
		i = (i + 1) & mask
	}
	return i
}

func (s *Shard[V]) wantTending() {
	s.table.crowded.Store(true)
	select {
	case s.table.kick <- struct{}{}:
	default:
	}
}

// Touch sets a new time for key.
func (s *Shard[V]) Touch(key uint64, expires Tick) {
	if i := s.find(key); i >= 0 {
		s.slots[i].expires = expires
	}
}

// Delete forgets key.
func (s *Shard[V]) Delete(key uint64) {
	if i := s.find(key); i >= 0 {
		s.remove(i)
	}
}

func (s *Shard[V]) find(key uint64) int {
	key = unzero(key)
	mask := len(s.slots) - 1
	for i := s.home(key); s.slots[i].used(); i = (i + 1) & mask {
		if s.slots[i].key == key {
			return i
		}
	}
	return -1
}

// remove empties slot i and moves back what was pushed behind it, so that no
// tombstones pile up.
func (s *Shard[V]) remove(i int) {
	mask := len(s.slots) - 1
	s.live--
	for j := (i + 1) & mask; s.slots[j].used(); j = (j + 1) & mask {
		// the entry at j may fill the hole at i unless its home lies behind i
		if h := s.home(s.slots[j].key); (j-h)&mask >= (j-i)&mask {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
	s.slots[i] = slot[V]{}
}

// Len counts the entries, expired ones that nobody has forgotten yet included.
func (t *Table[V]) Len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		n += s.live
		s.Unlock()
	}
	return n
}

// Peek is Find for who only looks: it copies the value of key, and its time.
func (t *Table[V]) Peek(key uint64) (v V, expires Tick, ok bool) {
	s := t.Shard(key)
	s.Lock()
	defer s.Unlock()
	i := s.find(key)
	if i < 0 {
		return v, 0, false
	}
	return s.slots[i].value, s.slots[i].expires, true
}
