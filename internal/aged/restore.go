package aged

// Restore puts an entry in that another table of the kind had. Unlike Put it makes room at once, up to the cap; beyond it, and
// for a key that is there, it gives nil. It is for a table that nobody uses yet.
func (t *Table[V]) Restore(key uint64, expires Tick) *V {
	s := t.Shard(key)
	s.Lock()
	defer s.Unlock()
	if s.find(key) >= 0 {
		return nil
	}
	for s.live >= s.limit && s.limit < int(t.maxShard.Load()) {
		if !s.extend() {
			s.moveTo(make([]slot[V], 2*len(s.slots)))
		}
	}
	v, until, _ := s.Put(key)
	if v != nil {
		*until = expires
	}
	return v
}

// Reserve makes room for so many entries, of a table that nobody uses yet. Entries that come in the order of another table
// would pile up in one that grows on the way.
func (t *Table[V]) Reserve(entries int) {
	each := min(int(perShard(entries)), int(t.maxShard.Load()))
	size := firstSize
	for each+each/8 > limitOf(size) { // shards are not all alike
		size *= 2
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		if len(s.slots) < size && entries > 0 {
			s.moveTo(make([]slot[V], size))
		}
		s.Unlock()
	}
}
