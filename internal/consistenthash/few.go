package consistenthash

import "math"

// few is the placement of so few members that finding the first dart is about as fast as looking it up, and needs no
// memory: most pools are small, and there may be many of them.
type few struct {
	same   bool // all weigh the same
	member [fewMembers]fewMember
}

const fewMembers = 4

type fewMember struct {
	darts
	who   int32
	scale uint64 // elapsed * scale are times in the same unit for all
	last  uint64 // all ones (63) where there is no member: or-ed to its time it makes it later than any
}

// newFew returns nil when the members are not few, or when their weights are so that times would not fit 64 bits.
func newFew(t *Table) *few {
	if t.active > fewMembers {
		return nil
	}
	f := &few{same: len(t.groups) <= 1}
	unit := uint64(1)
	for _, g := range t.groups {
		unit *= uint64(g.weight) / divisor(unit, uint64(g.weight))
	}
	for i := range f.member {
		f.member[i] = fewMember{who: -1, last: math.MaxInt64}
	}
	n := 0
	for _, i := range t.order {
		w := uint64(t.weights[i])
		if w == 0 {
			continue
		}
		if unit/w > 1<<(63-45)/fewMembers { // elapsed is below 2^45
			return nil
		}
		f.member[n] = fewMember{darts: t.darts[i], who: i, scale: unit / w}
		n++
	}
	return f
}

// divisor returns the greatest common divisor.
func divisor(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// first returns the member whose dart hits the slot first, -1 without members.
//
//go:norace
func (f *few) first(slot uint32) int32 {
	a, b, c, d := &f.member[0], &f.member[1], &f.member[2], &f.member[3]
	if f.same {
		ab := lesser(a.rankOf(0, slot), b.rankOf(1, slot))
		cd := lesser(c.rankOf(2, slot), d.rankOf(3, slot))
		return f.member[lesser(ab, cd)%fewMembers].who
	}
	first := lesser(a.timeOf(0, slot), b.timeOf(1, slot))
	if c.last == 0 {
		first = lesser(first, c.timeOf(2, slot))
	}
	if d.last == 0 {
		first = lesser(first, d.timeOf(3, slot))
	}
	return f.member[first%fewMembers].who
}

func (m *fewMember) rankOf(i uint64, slot uint32) uint64 {
	return uint64(m.rank(slot))*fewMembers + i | m.last
}

//go:norace
func (m *fewMember) timeOf(i uint64, slot uint32) uint64 {
	return elapsed(m.rank(slot))*m.scale*fewMembers + i | m.last
}

// lesser returns min(a, b) for numbers below 2^63. The built-in is a branch, and here none can be foreseen.
func lesser(a, b uint64) uint64 {
	d := int64(a - b)
	return b + uint64(d&(d>>63))
}
