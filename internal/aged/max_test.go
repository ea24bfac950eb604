package aged

import "testing"

// The cap of a table in use: with a lower one nothing new comes in until what is there has expired, with a higher one it
// grows further.
func TestSetMax(t *testing.T) {
	table := New[int](64*32, nil)
	key := func(i int) uint64 { return uint64(i)<<58 | uint64(i+1)<<8 }
	put := func(from, to int, expires Tick) (n int) {
		for i := from; i < to; i++ {
			s := table.Shard(key(i))
			s.Lock()
			if v, until, _ := s.Put(key(i)); v != nil {
				*until = expires
				n++
			}
			s.Unlock()
			table.Tend(1, 0, nil)
		}
		return n
	}
	if n := put(0, 64*40, 100); n != 64*32 {
		t.Fatalf("%d of %d fit", n, 64*32)
	}
	table.SetMax(64 * 200)
	if n := put(64*40, 64*300, 100); n < 64*150 {
		t.Errorf("another %d fit after the cap was raised", n)
	}
	held := table.Len()
	table.SetMax(64 * 10)
	if n := put(64*300, 64*310, 100); n != 0 || table.Len() != held {
		t.Errorf("%d fit after the cap was lowered, %d are held, %d were", n, table.Len(), held)
	}
	table.Tend(200, 64, func(uint64, *int) (Tick, bool) { return 0, false })
	if n := put(64*310, 64*330, 300); n != 64*10 {
		t.Errorf("%d fit once the others had expired, want %d", n, 64*10)
	}
}
