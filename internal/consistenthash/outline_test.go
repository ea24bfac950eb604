package consistenthash

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// An outline places every key as the table does, whatever it was made from, and so does what Fill makes of it.
func TestOutlineIsTheTable(t *testing.T) {
	universe := draw(60, 20, 9)
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		pick := func() (m []Member) {
			at := r.IntN(len(universe))
			for i := range r.IntN(len(universe) + 1) {
				m = append(m, universe[(at+i)%len(universe)])
			}
			return m
		}
		first, second := pick(), pick()
		outline := Outline(secret, first)
		before := outline.Fill(nil)
		outline = outline.Resize(second)
		if n := len(second); n > 0 {
			i := r.IntN(n)
			outline = outline.WithWeight(i, r.Uint32N(20))
		}
		full := outline.Fill(before)
		if full.IsOutline() || outline.width() != 0 {
			t.Fatal("the outline remembers owners, or the table does not")
		}
		for k := range uint32(2000) {
			slot := k * 40503 & slotMask
			want := outline.first(slot, nil)
			if a, b := outline.owner(slot), full.owner(slot); a != want || b != want {
				t.Fatalf("seed %d, slot %d: outline %d, table %d, want %d", seed, slot, a, b, want)
			}
		}
	}
}

func BenchmarkOutlineLookup(b *testing.B) {
	for _, n := range []int{5, 20, 50, 255} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := Outline(secret, draw(n, 1, 1))
			h, sum := uint64(1), int32(0)
			for b.Loop() {
				h = h*6364136223846793005 + 1442695040888963407
				sum += t.Lookup(h)
			}
		})
	}
}
