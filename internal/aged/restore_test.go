package aged

import (
	"testing"

	"pgregory.net/rapid"
)

// A table that was restored from another answers as that did, whatever room was reserved; the cap holds.
func TestRestore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := New[int](1<<20, nil)
		n := rapid.IntRange(0, 3000).Draw(t, "entries")
		seed := rapid.Uint64().Draw(t, "seed")
		for i := range n {
			k := (uint64(i) + seed) * 0x9e3779b97f4a7c15
			if v := table.Restore(k, Tick(i)); v != nil {
				*v = i
			}
		}
		other := New[int](1<<20, nil)
		other.Reserve(rapid.IntRange(0, 2*n).Draw(t, "reserved"))
		table.Each(func(key uint64, v int, expires Tick) {
			o := other.Restore(key, expires)
			if o == nil {
				t.Fatalf("%x is there already", key)
			}
			*o = v
		})
		if other.Len() != table.Len() {
			t.Fatalf("%d entries, want %d", other.Len(), table.Len())
		}
		for i := range n {
			k := (uint64(i) + seed) * 0x9e3779b97f4a7c15
			v, until, ok := table.Peek(k)
			if o, otherUntil, otherOK := other.Peek(k); o != v || otherUntil != until || otherOK != ok {
				t.Fatalf("%x is %d until %d (%v), was %d until %d (%v)", k, o, otherUntil, otherOK, v, until, ok)
			}
		}
		small := New[int](640, nil)
		small.Reserve(n)
		fit := 0
		table.Each(func(key uint64, _ int, expires Tick) {
			if small.Restore(key, expires) != nil {
				fit++
			}
		})
		if fit > 640 || small.Len() != fit {
			t.Fatalf("%d fit where 640 may be, %d are held", fit, small.Len())
		}
	})
}
