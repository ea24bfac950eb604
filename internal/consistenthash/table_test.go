package consistenthash

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/alloctest"
)

var secret = Key{0x0123456789abcdef, 0xfedcba9876543210}

// draw returns n members with weights from 1 to maxWeight.
func draw(n int, maxWeight uint32, seed uint64) []Member {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	m := make([]Member, n)
	for i := range m {
		m[i] = Member{ID: r.Uint64(), Weight: 1 + r.Uint32N(maxWeight)}
	}
	return m
}

// sizes has a pool of every way that a table can be stored and filled.
var sizes = []struct {
	n         int
	maxWeight uint32
}{{1, 1}, {2, 20}, {4, 1}, {4, 20}, {5, 1}, {6, 20}, {20, 1}, {100, 20}, {254, 1}, {255, 1}, {256, 20}, {2000, 1}}

// same fails the test unless the two tables place every key alike.
func same(t interface {
	Helper()
	Fatalf(string, ...any)
}, what string, a, b *Table) {
	t.Helper()
	if n := a.Moved(b); n != 0 {
		t.Fatalf("%s: %d slots differ", what, n)
	}
}

// owners returns the owner of every slot.
func owners(t *Table) []int32 {
	o := make([]int32, Slots)
	for slot := range o {
		o[slot] = t.owner(uint32(slot))
	}
	return o
}

// TestPlacementIsForEver: engines of different versions and on different processors must agree. When this fails every
// call in progress would lose its server on the day of the upgrade.
func TestPlacementIsForEver(t *testing.T) {
	for _, c := range []struct {
		members []Member
		want    uint64
	}{
		{draw(3, 1, 1), 0x9b3b5e414af37317},
		{draw(4, 20, 1), 0x4837447d5689d46f},
		{draw(50, 1, 1), 0xa5507d4eea35c496},
		{draw(50, 20, 1), 0xd81356cbc7d9b658},
		{draw(300, 20, 1), 0x4a29f84c111e1ca9},
	} {
		table := Build(secret, c.members)
		f := fnv.New64a()
		for h := range uint64(100_000) {
			i := table.Lookup(h * 0x9e3779b97f4a7c15)
			f.Write([]byte{byte(i), byte(i >> 8)})
		}
		if got := f.Sum64(); got != c.want {
			t.Errorf("%d members are placed %#x, were placed %#x", len(c.members), got, c.want)
		}
	}
}

func TestEveryOwnerIsFirst(t *testing.T) {
	for _, s := range sizes {
		table := Build(secret, draw(s.n, s.maxWeight, 2))
		for k := range uint32(20000/s.n + 10) {
			slot := k * 40503 & slotMask
			if got, want := table.owner(slot), table.first(slot, nil); got != want {
				t.Fatalf("%v: slot %d belongs to %d, but %d hits it first", s, slot, got, want)
			}
		}
	}
}

func TestRemovalMovesOnlyWhatItMust(t *testing.T) {
	for _, s := range sizes {
		members := draw(s.n, s.maxWeight, 3)
		full := Build(secret, members)
		i := s.n / 2
		less := full.WithWeight(i, 0)
		a, b := owners(full), owners(less)
		for slot := range a {
			if a[slot] != int32(i) && a[slot] != b[slot] {
				t.Fatalf("%v: without %d slot %d moved from %d to %d", s, i, slot, a[slot], b[slot])
			}
			if b[slot] == int32(i) {
				t.Fatalf("%v: slot %d still belongs to %d, which has no weight", s, slot, i)
			}
		}
		same(t, fmt.Sprint(s, " after it came back"), less.WithWeight(i, members[i].Weight), full)

		without := slices.Delete(slices.Clone(members), i, i+1)
		same(t, fmt.Sprint(s, " without it"), less, Build(secret, without))
		same(t, fmt.Sprint(s, " after it was taken off the list"), full.Resize(without), less)
		same(t, fmt.Sprint(s, " after it was put on the list again"), full.Resize(without).Resize(members), full)
	}
}

func TestWeightChangeMovesOnlyWhatItMust(t *testing.T) {
	for _, s := range sizes {
		members := draw(s.n, s.maxWeight, 4)
		i := int32(s.n / 2)
		members[i].Weight = 4
		before := Build(secret, members)
		for _, w := range []uint32{2, 7} {
			after := before.WithWeight(int(i), w)
			a, b := owners(before), owners(after)
			for slot := range a {
				if a[slot] == b[slot] {
					continue
				}
				if w < 4 && a[slot] != i || w > 4 && b[slot] != i {
					t.Fatalf("%v: weight of %d from 4 to %d moves slot %d from %d to %d", s, i, w, slot, a[slot], b[slot])
				}
			}
			changed := slices.Clone(members)
			changed[i].Weight = w
			same(t, fmt.Sprint(s, " weight ", w), after, Build(secret, changed))
		}
	}
}

func TestOrderOfMembersDoesNotMatter(t *testing.T) {
	for _, s := range sizes {
		members := draw(s.n, s.maxWeight, 5)
		a := Build(secret, members)
		r := rand.New(rand.NewPCG(5, 5))
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		same(t, fmt.Sprint(s), a, Build(secret, members))
		same(t, fmt.Sprint(s, " resized"), a, a.Resize(members))
	}
}

// TestHistoryLeavesNoTrace makes random changes one after the other: what comes out is what would have been built.
func TestHistoryLeavesNoTrace(t *testing.T) {
	universe := draw(300, 20, 6)
	rapid.Check(t, func(t *rapid.T) {
		if rapid.IntRange(0, 9).Draw(t, "one in ten, each takes 0.2 s") != 0 {
			return
		}
		n := rapid.IntRange(0, 12).Draw(t, "members")
		if rapid.Bool().Draw(t, "many") {
			n = 245 + n // around where the owners need 16 bits
		}
		now := slices.Clone(universe[:n])
		table := Build(secret, now)
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			if len(now) == 0 || rapid.Bool().Draw(t, "resize") {
				from := rapid.IntRange(0, 6).Draw(t, "from")
				to := min(len(universe), max(from, len(now)+rapid.IntRange(-8, 8).Draw(t, "more")))
				kept := weightsByID(now)
				now = slices.Clone(universe[from:to])
				for i := range now {
					if w, ok := kept[now[i].ID]; ok {
						now[i].Weight = w
					}
				}
				if rapid.Bool().Draw(t, "reverse") {
					slices.Reverse(now)
				}
				table = table.Resize(now)
				continue
			}
			var changes []Change
			for range rapid.IntRange(1, 4).Draw(t, "at once") {
				i := rapid.IntRange(0, len(now)-1).Draw(t, "index")
				w := rapid.SampledFrom([]uint32{0, 0, 1, 2, 20, 1000, MaxWeight + 5}).Draw(t, "weight")
				now[i].Weight = w
				changes = append(changes, Change{i, w})
			}
			table = table.WithWeights(changes)
		}
		same(t, "after all", table, Build(secret, now))
	})
}

func weightsByID(members []Member) map[uint64]uint32 {
	m := make(map[uint64]uint32, len(members))
	for _, x := range members {
		m[x.ID] = x.Weight
	}
	return m
}

// TestGrowthOneByOne: after many have joined the table must not have become slow, see tighten.
func TestGrowthOneByOne(t *testing.T) {
	members := draw(40, 1, 7)
	table := Build(secret, members[:5])
	for n := 6; n <= len(members); n++ {
		table = table.Resize(members[:n])
	}
	same(t, "grown", table, Build(secret, members))
	if limit := table.momentAt(3 * math.Log(Slots)); table.latest.cmp(limit) > 0 {
		t.Error("the latest dart is later than it can be")
	}
	for slot := range uint32(Slots) {
		o := table.owner(slot)
		if (moment{elapsed(table.darts[o].rank(slot)), 1}).cmp(table.latest) > 0 {
			t.Fatalf("slot %d was hit later than the latest", slot)
		}
	}
}

func TestNextIsWhereTheKeyWouldGo(t *testing.T) {
	for _, s := range sizes {
		table := Build(secret, draw(s.n, s.maxWeight, 8))
		r := rand.New(rand.NewPCG(8, 8))
		for range 3 {
			var tried []int32
			var changes []Change
			h := r.Uint64()
			for range min(s.n, 3) {
				i := table.Next(h, tried)
				if len(tried) == 0 && i != table.Lookup(h) {
					t.Fatalf("%v: first choice is %d, but Lookup says %d", s, i, table.Lookup(h))
				}
				if len(tried) > 0 && !table.Before(h, tried[len(tried)-1], i) {
					t.Errorf("%v: %d comes after %d, but Before says otherwise", s, i, tried)
				}
				tried = append(tried, i)
				changes = append(changes, Change{int(i), 0})
			}
			i, want := table.Next(h, tried), table.WithWeights(changes).Lookup(h)
			if i != want {
				t.Errorf("%v: after %v comes %d, but without them Lookup says %d", s, tried, i, want)
			}
		}
	}
}

func TestBeforeOrdersAllMembers(t *testing.T) {
	members := draw(30, 20, 9)
	members[3].Weight, members[20].Weight = 0, 0
	table := Build(secret, members)
	order := make([]int32, len(members))
	for i := range order {
		order[i] = int32(i)
	}
	for h := range uint64(50) {
		slices.SortStableFunc(order, func(i, j int32) int {
			switch {
			case table.Before(h, i, j):
				return -1
			case table.Before(h, j, i):
				return 1
			}
			return 0
		})
		var tried []int32
		for _, i := range order[:28] {
			if got := table.Next(h, tried); got != i {
				t.Fatalf("key %d: choice %d is %d by Before, %d by Next", h, len(tried), i, got)
			}
			tried = append(tried, i)
		}
		if got := table.Next(h, tried); got != -1 {
			t.Fatalf("key %d: %d though all others are tried and it has no weight", h, got)
		}
	}
}

func TestNobodyToPlaceOn(t *testing.T) {
	for _, members := range [][]Member{nil, {{ID: 1}}, {{1, 0}, {2, 0}}} {
		table := Build(secret, members)
		if table.Lookup(7) != -1 || table.Next(7, nil) != -1 || table.Len() != len(members) {
			t.Errorf("%v: placed on %d, next %d", members, table.Lookup(7), table.Next(7, nil))
		}
		same(t, "from and to nothing", table, Build(secret, draw(6, 1, 1)).Resize(members))
		for i, slots := range table.Shares() {
			if slots != 0 {
				t.Errorf("%v: %d has %d slots", members, i, slots)
			}
		}
	}
	if n := Build(secret, nil).Moved(Build(secret, draw(2, 1, 1))); n != Slots {
		t.Errorf("from nobody to somebody moves %d slots", n)
	}
}

// TestWeightsThatDoNotFitFew: few members whose weights have so large a common multiple that they need a table.
func TestWeightsThatDoNotFitFew(t *testing.T) {
	members := []Member{{1, 65521}, {2, 65519}, {3, MaxWeight}}
	table := Build(secret, members)
	if table.few != nil {
		t.Fatal("these weights overflow")
	}
	for slot := range uint32(1000) {
		if table.owner(slot) != table.first(slot, nil) {
			t.Fatalf("slot %d belongs to %d, but %d is first", slot, table.owner(slot), table.first(slot, nil))
		}
	}
	same(t, "down and up", table.WithWeight(1, 0).WithWeight(1, 65519), table)
	same(t, "raised", table.WithWeight(1, 1).WithWeight(1, 65519), table)
}

func TestLookupAllocatesNothing(t *testing.T) {
	for _, s := range sizes {
		table := Build(secret, draw(s.n, s.maxWeight, 10))
		tried := []int32{0}
		h := uint64(0)
		if n := alloctest.PerRun(100, func() { h++; table.Lookup(h); table.Next(h, tried); table.Before(h, 0, int32(s.n-1)) }); n != 0 {
			t.Errorf("%v: %v allocations", s, n)
		}
	}
}
