package consistenthash

import (
	"encoding/binary"

	"github.com/dchest/siphash"
)

// slotBits sets how evenly keys can spread: the part of a server's share that comes from slots and not from the keys
// themselves has a standard deviation of sqrt(n/2/Slots). ADR 0003 shows why 20 is one too few.
const slotBits = 21

// Slots is the number of slots that the keys fall into. It never depends on the members, since that would move keys.
const Slots = 1 << slotBits

const slotMask = Slots - 1

// fold is the shift of the xorshift in the middle of a permutation. Being more than half of slotBits, it undoes itself.
const fold = 11

// darts is the order in which one member throws at the slots: a permutation of them that can be read both ways.
// Rank 0 is its first dart.
type darts struct {
	flip, mul, mul2, add uint32
	tie                  uint32 // of two that hit a slot at the same time the one with the lower tie was first
}

// rank returns which dart hits the slot.
func (d *darts) rank(slot uint32) uint32 {
	x := (slot ^ d.flip) * d.mul & slotMask
	x ^= x >> fold
	return (x*d.mul2 + d.add) & slotMask
}

// Two slots can be ranked with the multiplications of one: the second stands at the upper end of a 64-bit word, where
// the product of the first, of 2*slotBits, does not reach and its own loses what is to be lost anyway.
const (
	highLane  = 64 - slotBits
	bothLanes = 1 | 1<<highLane
	laneMask  = slotMask * bothLanes
	foldMask  = (slotMask >> fold) * bothLanes
)

// inverse returns the x with odd*x = 1 modulo 2^32.
func inverse(odd uint32) uint32 {
	x := odd // right in the lowest 3 bits; each step doubles them
	for range 4 {
		x *= 2 - odd*x
	}
	return x
}

// newDarts draws the darts of a member.
func newDarts(secret Key, id uint64) darts {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], id)
	x, y := siphash.Hash128(secret[0], secret[1], b[:])
	return darts{
		flip: uint32(x) & slotMask,
		mul:  uint32(x>>slotBits)&slotMask | 1,
		mul2: uint32(x>>(2*slotBits))&slotMask | 1,
		add:  uint32(y) & slotMask,
		tie:  uint32(y >> 32),
	}
}
