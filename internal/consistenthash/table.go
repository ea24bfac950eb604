// Package consistenthash places keys on members so that every change moves as little as can be.
//
// Placement is a pure function of the set of (ID, weight) and a secret: never of the order in which members are
// listed, of the order in which they came, or of what was there before. docs/adr/0003-consistent-hash.md says how.
package consistenthash

// Key is the secret that placement depends on. Who does not know it can't aim keys at a member.
type Key [2]uint64

// Member is one that keys can be placed on.
type Member struct {
	ID     uint64 // stable identity; no two members of one table may share it
	Weight uint32 // share of the keys relative to the others, 0 (gets none: down) to MaxWeight
}

// MaxWeight is the highest weight; more counts as MaxWeight.
const MaxWeight = 1<<16 - 1

// Table is an immutable placement. The zero Table has no members. Safe for concurrent use.
type Table struct {
	members []Member
}

// Change sets the weight of one member.
type Change struct {
	Index  int
	Weight uint32
}

// Build places all slots afresh.
func Build(secret Key, members []Member) *Table { return &Table{members: members} }

// Len returns the number of members, those of weight 0 included.
func (t *Table) Len() int { return len(t.members) }

// Lookup returns the index of the member that the key with hash h is placed on, -1 when every weight is 0.
func (t *Table) Lookup(h uint64) int32 { return -1 }

// Next returns the best choice of the key that is not among tried, -1 when there is none. It is where Lookup would
// place the key if the tried ones had weight 0. It takes about a nanosecond a member.
func (t *Table) Next(h uint64, tried []int32) int32 { return -1 }

// Before says whether the key prefers member i to member j. One of weight 0 comes after all others.
func (t *Table) Before(h uint64, i, j int32) bool { return false }

// WithWeight returns the table that Build would give with member i at weight w.
func (t *Table) WithWeight(i int, w uint32) *Table { return t }

// WithWeights returns the table that Build would give with all these changes made.
func (t *Table) WithWeights(changes []Change) *Table { return t }

// Resize returns the table that Build would give for members (another list: some new, some gone, any order).
func (t *Table) Resize(members []Member) *Table { return t }

// Shares returns the number of slots of each member; they add up to Slots unless every weight is 0.
func (t *Table) Shares() []int { return make([]int, len(t.members)) }

// Moved returns the number of slots (of Slots) that u places on another member, by ID, than t does.
func (t *Table) Moved(u *Table) int { return 0 }
