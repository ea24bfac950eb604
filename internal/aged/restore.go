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
