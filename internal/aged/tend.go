package aged

// scanSlots is how many slots are looked at under one hold of a lock: some 10 µs.
const scanSlots = 2048

// Tend grows shards that fill up and, in shards/64 of the table, forgets what
// has expired; gone is called for each such value, under the shard's lock, and must be
// quick. What is to stay gets the time that it gives. Only one goroutine may call Tend.
func (t *Table[V]) Tend(now Tick, shards int, gone func(key uint64, v *V) (until Tick, stays bool)) {
	if t.crowded.Swap(false) {
		for i := range t.shards {
			t.shards[i].grow(int(t.maxShard.Load()))
		}
	}
	for range min(shards, shardCount) {
		t.shards[t.next].forget(now, gone)
		t.next = (t.next + 1) % shardCount
	}
}

// Drain forgets everything, calling gone for each value.
func (t *Table[V]) Drain(gone func(key uint64, v *V)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		for j := range s.slots {
			if s.slots[j].used() {
				gone(s.slots[j].key, &s.slots[j].value)
				s.slots[j] = slot[V]{}
			}
		}
		s.live = 0
		s.Unlock()
	}
}

// Each tells of every entry, those that have expired and are not yet forgotten too, a shard at a time: its entries are
// copied under its lock, and told without it.
func (t *Table[V]) Each(tell func(key uint64, v V, expires Tick)) {
	var copied []slot[V]
	for i := range t.shards {
		s := &t.shards[i]
		copied = copied[:0]
		for from := 0; ; from += scanSlots {
			// slots may move between two holds: an entry may be missed or told twice, as one that comes or goes meanwhile
			s.Lock()
			if from >= len(s.slots) || s.live == 0 {
				s.Unlock()
				break
			}
			for _, e := range s.slots[from:min(from+scanSlots, len(s.slots))] {
				if e.used() {
					copied = append(copied, e)
				}
			}
			s.Unlock()
		}
		for _, e := range copied {
			tell(e.key, e.value, e.expires)
		}
	}
}

// grow doubles a shard that is crowded. The new slots are made
// before the lock is taken.
func (s *Shard[V]) grow(max int) {
	s.Lock()
	size, full := len(s.slots), s.crowded() && s.limit < max
	s.Unlock()
	if !full {
		return
	}
	bigger := make([]slot[V], 2*size)
	s.Lock()
	defer s.Unlock()
	s.moveTo(bigger)
}

func (s *Shard[V]) forget(now Tick, gone func(uint64, *V) (Tick, bool)) {
	for from := 0; ; from += scanSlots {
		s.Lock()
		if from >= len(s.slots) || s.live == 0 {
			s.Unlock()
			return
		}
		for i := from; i < min(from+scanSlots, len(s.slots)); i++ {
			// removing moves another entry into slot i: look at it again
			for s.slots[i].used() && s.slots[i].expires.Before(now) {
				if until, stays := gone(s.slots[i].key, &s.slots[i].value); stays {
					s.slots[i].expires = until
				} else {
					s.remove(i)
				}
			}
		}
		s.Unlock()
	}
}
