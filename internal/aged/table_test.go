package aged

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/alloctest"
)

// The table against a map, under random operations and a clock that wraps.
func TestAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type ref struct {
			expires Tick
			value   int
		}
		tab, model := New[int](1<<20, nil), map[uint64]ref{}
		now := Tick(rapid.Uint32().Draw(t, "origin"))
		key := rapid.Uint64Range(0, 40)
		spread := func(k uint64) uint64 { return (k + 1) << 8 } // all in shard 0, homes side by side
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			k := spread(key.Draw(t, "key"))
			s := tab.Shard(k)
			s.Lock()
			switch rapid.IntRange(0, 5).Draw(t, "op") {
			case 0, 1:
				if s.Get(k, now) != nil {
					break
				}
				exp := now + Tick(rapid.IntRange(0, 50).Draw(t, "ttl"))
				v, until, _ := s.Put(k)
				*v, *until = rapid.Int().Draw(t, "value"), exp
				model[k] = ref{exp, *v}
			case 2:
				s.Delete(k)
				delete(model, k)
			case 3:
				if s.Get(k, now) != nil {
					s.Touch(k, now+100)
					model[k] = ref{now + 100, model[k].value}
				}
			case 4:
				now += Tick(rapid.IntRange(0, 30).Draw(t, "advance"))
			case 5:
				s.Unlock()
				tab.Tend(now, shardCount, func(k uint64, v *int) (Tick, bool) {
					if m, ok := model[k]; !ok || !m.expires.Before(now) || m.value != *v {
						t.Fatalf("forgot %d with %d too early", k, *v)
					}
					delete(model, k)
					return 0, false
				})
				s.Lock()
			}
			s.Unlock()
			for k := range uint64(41) {
				k = spread(k)
				s := tab.Shard(k)
				s.Lock()
				v := s.Get(k, now)
				m, ok := model[k]
				ok = ok && !m.expires.Before(now)
				if (v != nil) != ok || ok && *v != m.value {
					t.Fatalf("key %d: have %v, want %v %v", k, v, ok, m)
				}
				s.Unlock()
			}
		}
	})
}

func TestCapAndGrowth(t *testing.T) {
	const cap = 64 * 1000
	kick := make(chan struct{}, 1)
	tab := New[uint32](cap, kick)
	r := rand.New(rand.NewPCG(1, 1))
	stored := 0
	for range 2 * cap {
		k := r.Uint64()
		s := tab.Shard(k)
		s.Lock()
		if v, until, _ := s.Put(k); v != nil {
			*until = 1000
			stored++
		}
		s.Unlock()
		select {
		case <-kick:
			tab.Tend(0, 0, nil)
		default:
		}
	}
	if stored != tab.Len() || stored != cap {
		t.Fatalf("stored %d, Len %d, cap %d", stored, tab.Len(), cap)
	}
	if tab.Full.Load() != cap {
		t.Fatalf("Full counted %d of %d refusals", tab.Full.Load(), cap)
	}
	gone := 0
	tab.Tend(2000, shardCount, func(uint64, *uint32) (Tick, bool) {
		gone++
		return 0, false
	})
	if gone != cap || tab.Len() != 0 {
		t.Fatalf("forgot %d, %d left", gone, tab.Len())
	}
}

// What has expired but was not yet forgotten comes back through Put, so that the
// counters it held can be settled.
func TestPutHandsBackTheExpired(t *testing.T) {
	tab := New[int](64, nil)
	s := tab.Shard(5)
	v, until, old := s.Put(5)
	if *v, *until = 42, 10; old {
		t.Fatal("a new entry is called old")
	}
	if s.Get(5, 11) != nil {
		t.Fatal("an expired entry was found")
	}
	if v, until, old = s.Put(5); !old || *v != 42 || *until != 10 {
		t.Fatalf("Put gave %d, %d, %v", *v, *until, old)
	}
}

func TestNoAllocation(t *testing.T) {
	tab := New[uint64](1<<16, nil)
	k := uint64(0)
	if n := alloctest.PerRun(1000, func() {
		k += 0x9e3779b97f4a7c15
		s := tab.Shard(k)
		s.Lock()
		_, until, _ := s.Put(k)
		*until = 10
		s.Get(k, 5)
		s.Delete(k)
		s.Unlock()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkPutGetDelete(b *testing.B) {
	tab := New[uint64](1<<16, nil)
	k := uint64(0)
	for b.Loop() {
		k += 0x9e3779b97f4a7c15
		s := tab.Shard(k)
		s.Lock()
		s.Put(k)
		s.Delete(k)
		s.Unlock()
	}
}
