package consistenthash

import (
	"cmp"
	"math"
	"slices"
)

// What finding owners costs, in nanoseconds (any unit does: only their relation decides, and it decides only which of
// the ways to the same table is taken).
const (
	dartNS  = 7.0 // throw one dart and see whether it is the first
	askNS   = 4.0 // ask for the owner of one slot,
	rankNS  = 0.7 // plus, for every member, rank the slot,
	groupNS = 5.0 // plus, for every weight, compare the first dart with that of other weights
	copyNS  = 0.7 // take over one slot
)

// Build places all slots afresh.
func Build(secret Key, members []Member) *Table {
	t := newTable(newRoster(secret, members), weightsOf(members))
	t.fill()
	return t
}

func weightsOf(members []Member) []uint32 {
	w := make([]uint32, len(members))
	for i := range members {
		w[i] = min(members[i].Weight, MaxWeight)
	}
	return w
}

// newRoster draws the darts of the members.
func newRoster(secret Key, members []Member) *roster {
	n := len(members)
	r := &roster{
		secret: secret,
		ids:    make([]uint64, n),
		darts:  make([]darts, n),
		order:  make([]int32, n),
		place:  make([]int32, n),
	}
	for i, m := range members {
		r.ids[i] = m.ID
		r.darts[i] = newDarts(secret, m.ID)
		r.order[i] = int32(i)
	}
	slices.SortStableFunc(r.order, func(i, j int32) int {
		return cmp.Or(cmp.Compare(r.darts[i].tie, r.darts[j].tie), cmp.Compare(r.ids[i], r.ids[j]))
	})
	for p, i := range r.order {
		r.place[i] = int32(p)
	}
	return r
}

// newTable returns a table that still has no owners.
func newTable(r *roster, weights []uint32) *Table {
	t := &Table{roster: r, weights: weights}
	at := make(map[uint32]int)
	for _, i := range r.order {
		w := weights[i]
		if w == 0 {
			continue
		}
		t.active++
		t.total += uint64(w)
		g, ok := at[w]
		if !ok {
			g = len(t.groups)
			at[w] = g
			t.groups = append(t.groups, group{weight: w})
		}
		t.groups[g].members = append(t.groups[g].members, i)
	}
	t.few = newFew(t)
	return t
}

// width is how many bits an owner takes, 0 when the table has none.
func (t *Table) width() int {
	switch n := t.Len(); {
	case t.few != nil, t.outline:
		return 0
	case n <= math.MaxUint8: // indices to 254; 255 says that there is no owner
		return 8
	case n <= math.MaxUint16:
		return 16
	}
	return 32
}

// fill finds the owners of all slots from nothing.
func (t *Table) fill() {
	switch t.width() {
	case 8:
		t.narrow = new([Slots]uint8)
		fill(t, t.narrow[:])
	case 16:
		t.middle = new([Slots]uint16)
		fill(t, t.middle[:])
	case 32:
		t.wide = new([Slots]uint32)
		fill(t, t.wide[:])
	}
}

// index is the type of an owner; its highest value says that there is none.
type index interface{ uint8 | uint16 | uint32 }

// The loops over all slots are kept from the race detector (go:norace): they write only tables that nobody else has yet,
// and it would make them ten times slower in everybody's tests.

// fill lets all members throw until most slots have an owner, and asks for the others one by one: a late dart finds an
// empty slot too seldom.
//
//go:norace
func fill[T index](t *Table, owners []T) {
	none := ^T(0)
	for i := range owners {
		owners[i] = none
	}
	rounds := t.rounds()
	steps := int(math.Ceil(rounds / 0.75))
	t.latest = t.momentAt(0)
	thrown := make([]uint32, len(t.groups))
	for s := 1; s <= steps; s++ {
		// Not one member after the other to the end, but all a bit: then most darts that come too late are seen to.
		t.latest = t.momentAt(rounds * float64(s) / float64(steps))
		for g := range t.groups {
			grp := &t.groups[g]
			until := dartsBefore(t.latest, grp.weight)
			for _, i := range grp.members {
				throw(t, owners, i, thrown[g], until)
			}
			thrown[g] = until
		}
	}
	q := &question{t: t}
	for slot, o := range owners {
		if o == none && q.add(uint32(slot)) {
			answer(q, owners)
		}
	}
	answer(q, owners)
}

// rounds returns how many darts a slot should see in the mean before the empty ones are asked for.
func (t *Table) rounds() float64 {
	return max(0, math.Log(t.askNS()/dartNS))
}

// askNS is the cost of asking for the owner of one slot.
func (t *Table) askNS() float64 {
	return askNS + rankNS*float64(t.active) + groupNS*float64(len(t.groups)-1)
}

// fillNS is the cost of fill.
func (t *Table) fillNS() float64 {
	if t.few != nil {
		return 0
	}
	r := t.rounds()
	return Slots * (r*dartNS + math.Exp(-r)*t.askNS())
}

// momentAt returns the moment at which a slot has seen this many darts in the mean. It is a matter of cost only, so
// floating point will do.
func (t *Table) momentAt(rounds float64) moment {
	return moment{uint64(rounds / math.Ln2 * (1 << timeBits) / float64(t.total)), 1}
}

// throw throws the darts of member i from one rank to before another: it gets the slots that it hits before their owner.
//
//go:norace
func throw[T index](t *Table, owners []T, i int32, from, until uint32) {
	d := &t.darts[i]
	inv, inv2 := inverse(d.mul), inverse(d.mul2)
	x := (from - d.add) * inv2
	for k := from; k < until; k++ {
		y := x & slotMask
		y ^= y >> fold
		slot := y*inv&slotMask ^ d.flip
		if o := owners[slot]; o == ^T(0) || t.earlier(i, k, int32(o), t.darts[o].rank(slot)) {
			owners[slot] = T(i)
		}
		x += inv2
	}
}
