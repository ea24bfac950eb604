package consistenthash

// Outline is Build without the memory: the table remembers no owners and finds the one of a slot each time, which takes
// some nanoseconds and about one more a member. It is made in microseconds, and so are the tables that WithWeights and
// Resize make of it. It suits a pool on which little comes, of which there may be thousands.
func Outline(secret Key, members []Member) *Table {
	t := newTable(newRoster(secret, members), weightsOf(members))
	t.outline = true
	return t
}

// IsOutline says whether the table is one that could remember owners and does not.
func (t *Table) IsOutline() bool { return t.outline && t.few == nil }

// Fill returns the table with its owners remembered; t stays as it is. Where old (may be nil) is a table that has
// owners, of whatever members under the same secret, what it takes is as little as the change between them.
func (t *Table) Fill(old *Table) *Table {
	u := newTable(t.roster, t.weights)
	if old == nil || old.width() == 0 || old.secret != t.secret {
		u.fill()
	} else {
		u.fillFrom(old, old.whereIn(t.roster))
	}
	return u
}
