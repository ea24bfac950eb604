package consistenthash

import (
	"math"
	"slices"
)

// Change sets the weight of one member.
type Change struct {
	Index  int
	Weight uint32
}

// WithWeight returns the table that Build would give with member i at weight w.
func (t *Table) WithWeight(i int, w uint32) *Table { return t.WithWeights([]Change{{i, w}}) }

// WithWeights returns the table that Build would give with all these changes made. Where they are few it costs little
// more than a copy of the table.
func (t *Table) WithWeights(changes []Change) *Table {
	weights := slices.Clone(t.weights)
	for _, c := range changes {
		weights[c.Index] = min(c.Weight, MaxWeight)
	}
	if slices.Equal(weights, t.weights) {
		return t
	}
	u := newTable(t.roster, weights)
	u.fillFrom(t, nil)
	return u
}

// Resize returns the table that Build would give for members (another list: some new, some gone, any order).
func (t *Table) Resize(members []Member) *Table {
	weights := weightsOf(members)
	if slices.EqualFunc(t.ids, members, func(id uint64, m Member) bool { return id == m.ID }) {
		if slices.Equal(weights, t.weights) {
			return t
		}
		u := newTable(t.roster, weights)
		u.fillFrom(t, nil)
		return u
	}
	u := newTable(newRoster(t.secret, members), weights)
	u.fillFrom(t, t.whereIn(u.roster))
	return u
}

// whereIn gives the index of every member of t in another roster, negative where it has none.
func (t *Table) whereIn(r *roster) []int32 {
	at := make(map[uint64]int32, len(r.ids))
	for i, id := range r.ids {
		at[id] = int32(i)
	}
	now := make([]int32, len(t.ids))
	for i, id := range t.ids {
		j, ok := at[id]
		if !ok {
			j = -1
		}
		now[i] = j
	}
	return now
}

// fillFrom finds the owners of all slots from those that old had. Member i of old is now[i] of t, or gone when that is
// negative; a nil now says that all are where they were.
func (t *Table) fillFrom(old *Table, now []int32) {
	if old.outline {
		t.outline = true
		return
	}
	if now == nil {
		now = make([]int32, old.Len())
		for i := range now {
			now[i] = int32(i)
		}
	}
	p := newPlan(t, old, now)
	if old.width() == 0 || p.costNS > t.fillNS() {
		t.fill()
		return
	}
	t.latest = old.latest
	switch t.width() {
	case 8:
		t.narrow = new([Slots]uint8)
		fillFrom(t, t.narrow[:], old, p)
	case 16:
		t.middle = new([Slots]uint16)
		fillFrom(t, t.middle[:], old, p)
	case 32:
		t.wide = new([Slots]uint32)
		fillFrom(t, t.wide[:], old, p)
	}
}

// plan is what has to be done to the owners of one table to get those of another.
type plan struct {
	keep   []int32 // for each member of the old table its index in the new one; -1 when its slots are asked for again
	raised []int32 // members of the new table that are heavier than before, or new: they throw again
	costNS float64
}

func newPlan(t, old *Table, now []int32) *plan {
	p := &plan{keep: now}
	before := make([]uint32, t.Len()) // the weight of each member in the old table
	var lost uint64                   // of the old weights
	for i, w := range old.weights {
		j := now[i]
		if j >= 0 {
			before[j] = w
		}
		if j < 0 || t.weights[j] < w {
			p.keep[i] = -1
			lost += uint64(w)
		}
	}
	p.costNS = Slots * (copyNS + t.askNS()*float64(lost)/float64(max(old.total, 1)))
	for j, w := range t.weights {
		if w > before[j] {
			p.raised = append(p.raised, int32(j))
			p.costNS += dartNS * float64(dartsBefore(old.latest, w))
		}
	}
	return p
}

func fillFrom[T index](t *Table, owners []T, old *Table, p *plan) {
	q := &question{t: t}
	switch old.width() {
	case 8:
		take(q, owners, old.narrow[:], p.keep)
	case 16:
		take(q, owners, old.middle[:], p.keep)
	case 32:
		take(q, owners, old.wide[:], p.keep)
	}
	for _, i := range p.raised {
		throw(t, owners, i, 0, min(dartsBefore(t.latest, t.weights[i])+1, Slots)) // one more: it may win the tie
	}
	if t.latest.cmp(t.momentAt(3*math.Log(Slots))) > 0 {
		t.latest = tighten(t, owners)
	}
}

// tighten returns the moment of the latest of the owners' darts. After many members have come one by one what was true
// of the old table is true but of little use, and every further one would throw far too many darts.
//
//go:norace
func tighten[T index](t *Table, owners []T) moment {
	latest := t.momentAt(0)
	for slot, o := range owners {
		m := moment{elapsed(t.darts[o].rank(uint32(slot))), t.weights[o]}
		if m.cmp(latest) > 0 {
			latest = m
		}
	}
	return latest
}

// take copies the owners that stay and asks for the others.
//
//go:norace
func take[T, O index](q *question, owners []T, from []O, keep []int32) {
	to := make([]T, len(keep))
	for i, k := range keep {
		to[i] = T(k) // -1 is ^T(0), no owner
	}
	owners = owners[:len(from)]
	for slot, o := range from {
		v := to[o]
		owners[slot] = v
		if v == ^T(0) && q.add(uint32(slot)) {
			answer(q, owners)
		}
	}
	answer(q, owners)
}

// Shares returns the number of slots of each member; they add up to Slots unless every weight is 0.
//
//go:norace
func (t *Table) Shares() []int {
	s := make([]int, t.Len())
	if t.active == 0 {
		return s
	}
	for slot := range uint32(Slots) {
		s[t.owner(slot)]++
	}
	return s
}

// Moved returns the number of slots (of Slots) that u places on another member, by ID, than t does.
//
//go:norace
func (t *Table) Moved(u *Table) int {
	n := 0
	for slot := range uint32(Slots) {
		i, j := t.owner(slot), u.owner(slot)
		if i < 0 || j < 0 {
			if i != j {
				n++
			}
		} else if t.ids[i] != u.ids[j] {
			n++
		}
	}
	return n
}
