package consistenthash

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestDartsHitEverySlotOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 3 {
		d := newDarts(secret, r.Uint64())
		seen := make([]bool, Slots)
		for slot := range uint32(Slots) {
			rank := d.rank(slot)
			if rank >= Slots || seen[rank] {
				t.Fatalf("%+v: dart %d hits slot %d and another", d, rank, slot)
			}
			seen[rank] = true
		}
	}
}

// TestThrowReadsTheSamePermutation: throw goes from dart to slot, everything else from slot to dart.
func TestThrowReadsTheSamePermutation(t *testing.T) {
	table := newTable(newRoster(secret, []Member{{1, 1}}), []uint32{1})
	owners := make([]uint8, Slots)
	for i := range owners {
		owners[i] = 0xff
	}
	throw(table, owners, 0, 1000, 5000)
	for slot, o := range owners {
		rank := table.darts[0].rank(uint32(slot))
		if (o == 0) != (rank >= 1000 && rank < 5000) {
			t.Fatalf("slot %d of rank %d: %d", slot, rank, o)
		}
	}
}

func TestInverse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		if odd := r.Uint32() | 1; inverse(odd)*odd != 1 {
			t.Fatalf("%d * %d = %d", odd, inverse(odd), odd*inverse(odd))
		}
	}
}

func TestElapsedGrowsAndIsTheLogarithm(t *testing.T) {
	last := uint64(0)
	for k := range uint32(Slots) {
		e := elapsed(k)
		if e <= last && k > 0 {
			t.Fatalf("elapsed(%d) = %d, elapsed(%d) = %d", k-1, last, k, e)
		}
		last = e
		want := -math.Log1p(-(float64(k)+0.5)/Slots) / math.Ln2
		if got := float64(e) / (1 << timeBits); math.Abs(got-want) > 0.0006*want {
			t.Fatalf("elapsed(%d) = %g, want %g", k, got, want)
		}
	}
	if last >= 1<<45 {
		t.Errorf("elapsed goes up to %d, more than 45 bits", last)
	}
}

func TestDartsBefore(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	for range 1000 {
		w := 1 + r.Uint32N(MaxWeight)
		m := moment{elapsed(r.Uint32N(Slots)), 1 + r.Uint32N(MaxWeight)}
		k := dartsBefore(m, w)
		if k > 0 && (moment{elapsed(k - 1), w}).cmp(m) >= 0 || k < Slots && (moment{elapsed(k), w}).cmp(m) < 0 {
			t.Fatalf("weight %d before %v: %d darts", w, m, k)
		}
	}
}

// TestQuestionAgreesWithRank: the two slots in one word are ranked as each alone would be.
func TestQuestionAgreesWithRank(t *testing.T) {
	for _, n := range []int{1, 7, fewPlaces, fewPlaces + 1, 150} {
		members := draw(n, 1, 11)
		table := newTable(newRoster(secret, members), weightsOf(members))
		owners := make([]uint32, Slots)
		q := &question{t: table}
		for slot := range uint32(questionSize - 1) { // an odd number: the last pair is half
			q.add(slot * 4099 & slotMask)
		}
		answer(q, owners)
		for slot := range uint32(questionSize - 1) {
			slot = slot * 4099 & slotMask
			if want := table.first(slot, nil); int32(owners[slot]) != want {
				t.Fatalf("%d members: slot %d is said to belong to %d, want %d", n, slot, owners[slot], want)
			}
		}
	}
}
