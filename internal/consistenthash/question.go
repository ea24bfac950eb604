package consistenthash

import "math"

// question asks for the owners of some slots at once: every member is ranked for two slots by the same instructions,
// and read once for all of them.
type question struct {
	t     *Table
	n     int
	slots [questionSize]uint32
	pairs [questionSize / 2]uint64
	rank  [questionSize]uint32    // of the first dart of the group at hand
	place [questionSize]uint32    // whose it is: place among the group's members
	best  [questionSize]candidate // of the groups so far
}

const questionSize = 512

type candidate struct {
	moment
	who int32
}

// add adds a slot and says whether the question is full.
//
//go:norace
func (q *question) add(slot uint32) bool {
	q.slots[q.n%questionSize] = slot
	q.n++
	return q.n == questionSize
}

// answer writes the owners of the slots and empties the question.
//
//go:norace
func answer[T index](q *question, owners []T) {
	n := (q.n + 1) / 2
	for i := range q.pairs[:n] {
		q.pairs[i] = uint64(q.slots[2*i]) | uint64(q.slots[2*i+1])<<highLane // the last may be half a pair: any slot will do
	}
	groups := q.t.groups
	for g := range groups {
		if len(groups[g].members) <= fewPlaces {
			q.rankFew(&groups[g], q.pairs[:n])
		} else {
			q.rankMany(&groups[g], q.pairs[:n])
		}
		if len(groups) == 1 {
			q.take(&groups[g])
		} else {
			q.compare(&groups[g], g == 0, g == len(groups)-1)
		}
	}
	for i, slot := range q.slots[:q.n] {
		owners[slot] = T(q.best[i].who)
	}
	q.n = 0
}

// reaches sees to it that no dart is later than the table says.
func (t *Table) reaches(m moment) {
	if m.cmp(t.latest) > 0 {
		t.latest = m
	}
}

// rankMany finds the first dart of the group for every slot.
//
//go:norace
func (q *question) rankMany(g *group, pairs []uint64) {
	for i := range q.rank {
		q.rank[i] = Slots
	}
	for place, m := range g.members {
		d := &q.t.darts[m]
		flip, add := uint64(d.flip)*bothLanes, uint64(d.add)*bothLanes
		mul, mul2 := uint64(d.mul), uint64(d.mul2)
		for i, x := range pairs {
			x = (x ^ flip) * mul & laneMask
			x ^= x >> fold & foldMask
			x = x*mul2 + add
			i = i % (questionSize / 2) * 2
			if low := uint32(x) & slotMask; low < q.rank[i] {
				q.rank[i], q.place[i] = low, uint32(place)
			}
			if high := uint32(x >> highLane); high < q.rank[i+1] {
				q.rank[i+1], q.place[i+1] = high, uint32(place)
			}
		}
	}
}

// Of few members each has a good chance to be the first so far, and a processor that guesses wrong loses more than the
// dart costs. So these are ranked without branches, rank and place in one number.
const (
	placeBits = 32 - slotBits
	fewPlaces = 64
)

// rankFew is rankMany for at most fewPlaces members.
//
//go:norace
func (q *question) rankFew(g *group, pairs []uint64) {
	for i := range q.rank {
		q.rank[i] = math.MaxUint32
	}
	for place, m := range g.members {
		d := &q.t.darts[m]
		flip, add := uint64(d.flip)*bothLanes, uint64(d.add)*bothLanes
		mul, mul2 := uint64(d.mul), uint64(d.mul2)
		for i, x := range pairs {
			x = (x ^ flip) * mul & laneMask
			x ^= x >> fold & foldMask
			x = x*mul2 + add
			i = i % (questionSize / 2) * 2
			low, high := uint32(x)<<placeBits|uint32(place), uint32(x>>highLane)<<placeBits|uint32(place)
			q.rank[i] = uint32(lesser(uint64(q.rank[i]), uint64(low)))
			q.rank[i+1] = uint32(lesser(uint64(q.rank[i+1]), uint64(high)))
		}
	}
	for i, r := range q.rank {
		q.rank[i], q.place[i] = r>>placeBits, r&(1<<placeBits-1)
	}
}

// take takes the first darts of the only group.
//
//go:norace
func (q *question) take(g *group) {
	var last uint32
	for i, place := range q.place[:q.n] {
		q.best[i].who = g.members[place]
		last = max(last, q.rank[i])
	}
	q.t.reaches(moment{elapsed(last), g.weight})
}

// compare keeps, for every slot, the earlier of the group's first dart and that of the groups before.
//
//go:norace
func (q *question) compare(g *group, isFirst, isLast bool) {
	for i, place := range q.place[:q.n] {
		c := candidate{moment{elapsed(q.rank[i]), g.weight}, g.members[place]}
		b := &q.best[i]
		if isFirst {
			*b = c
		} else if d := c.cmp(b.moment); d < 0 || d == 0 && q.t.place[c.who] < q.t.place[b.who] {
			*b = c
		}
		if isLast {
			q.t.reaches(b.moment)
		}
	}
}
