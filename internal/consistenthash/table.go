// Package consistenthash places keys on members so that every change moves as little as can be.
//
// Placement is a pure function of the set of (ID, weight) and a secret: never of the order in which members are
// listed, of the order in which they came, or of what was there before.
//
// A key falls into one of Slots slots. Every member throws darts at the slots, in an order of its own that the secret
// and its ID decide, each dart at its time, the faster the heavier the member; the member that hits a slot first owns
// it. So nothing but a member's own ID and weight decides when it hits a slot: a member that goes leaves its slots to
// whoever comes next there, and one that comes takes only slots that it hits first. The table remembers the owners.
// docs/adr/0003-consistent-hash.md weighs it against others.
package consistenthash

import "slices"

// Key is the secret that placement depends on. Who does not know it can't aim keys at a member.
type Key [2]uint64

// Member is one that keys can be placed on.
type Member struct {
	ID     uint64 // stable identity; no two members of one table may share it
	Weight uint32 // share of the keys relative to the others, 0 (gets none: down) to MaxWeight
}

// MaxWeight is the highest weight; more counts as MaxWeight.
const MaxWeight = 1<<16 - 1

// roster is what tables with the same members, of whatever weights, share.
type roster struct {
	secret Key
	ids    []uint64
	darts  []darts
	order  []int32 // the members in the order in which they go first when they throw at the same time
	place  []int32 // of each member in order
}

// group is the members of one weight: among them the lower rank is the earlier dart.
type group struct {
	weight  uint32
	members []int32 // in the roster's order
}

// Table is an immutable placement; Build makes one. Safe for concurrent use.
type Table struct {
	*roster
	weights []uint32
	groups  []group
	active  int    // members with a weight
	total   uint64 // of the weights

	few     *few // nil when there are more than a few active members
	outline bool // it remembers no owners, however many members it has
	// else the owner of every slot, in the narrowest type that holds the index of every member:
	narrow *[Slots]uint8
	middle *[Slots]uint16
	wide   *[Slots]uint32
	latest moment // no owner's dart is later
}

// Len returns the number of members, those of weight 0 included.
func (t *Table) Len() int { return len(t.weights) }

// slotOf spreads what differs in h, wherever in h it is, over the slots.
func slotOf(h uint64) uint32 { return uint32(h * 0x9e3779b97f4a7c15 >> (64 - slotBits)) }

// Lookup returns the index of the member that the key with hash h is placed on, -1 when every weight is 0.
func (t *Table) Lookup(h uint64) int32 { return t.owner(slotOf(h)) }

// owner is Lookup for a slot.
//
//go:norace
func (t *Table) owner(slot uint32) int32 {
	switch {
	case t.narrow != nil:
		return int32(t.narrow[slot])
	case t.middle != nil:
		return int32(t.middle[slot])
	case t.wide != nil:
		return int32(t.wide[slot])
	case t.few != nil:
		return t.few.first(slot)
	}
	return t.first(slot, nil)
}

// Next returns the best choice of the key that is not among tried, -1 when there is none. It is where Lookup would
// place the key if the tried ones had weight 0. It takes about a nanosecond a member.
func (t *Table) Next(h uint64, tried []int32) int32 { return t.first(slotOf(h), tried) }

// Before says whether the key prefers member i to member j. One of weight 0 comes after all others.
func (t *Table) Before(h uint64, i, j int32) bool {
	if t.weights[i] == 0 || t.weights[j] == 0 {
		return t.weights[i] != 0
	}
	slot := slotOf(h)
	return t.earlier(i, t.darts[i].rank(slot), j, t.darts[j].rank(slot))
}

// earlier says whether member i's dart of rank ri comes before member j's of rank rj.
//
//go:norace
func (t *Table) earlier(i int32, ri uint32, j int32, rj uint32) bool {
	wi, wj := t.weights[i], t.weights[j]
	if wi == wj {
		return ri < rj || ri == rj && t.place[i] < t.place[j]
	}
	c := moment{elapsed(ri), wi}.cmp(moment{elapsed(rj), wj})
	return c < 0 || c == 0 && t.place[i] < t.place[j]
}

// first returns the member, none of tried, whose dart hits the slot first; -1 when there is none.
func (t *Table) first(slot uint32, tried []int32) int32 {
	best, bestRank := int32(-1), uint32(0)
	for g := range t.groups {
		who, rank := t.groups[g].first(t.roster, slot, tried)
		if who >= 0 && (best < 0 || t.earlier(who, rank, best, bestRank)) {
			best, bestRank = who, rank
		}
	}
	return best
}

// first is Table.first within the group; it returns the rank too.
func (g *group) first(r *roster, slot uint32, tried []int32) (who int32, rank uint32) {
	who, rank = -1, Slots
	for _, i := range g.members {
		if k := r.darts[i].rank(slot); k < rank && !slices.Contains(tried, i) {
			who, rank = i, k
		}
	}
	return who, rank
}
