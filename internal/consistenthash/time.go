package consistenthash

import (
	"math"
	"math/bits"
)

// A member of weight w throws dart k at the time elapsed(k) / w. Of all members the one whose dart comes first owns the
// slot. Were elapsed(k) = k, heavy members would run out of slots and get less than their part; as it is, the time at
// which a member hits a given slot has an exponential distribution of rate w, and the first of several such times
// belongs to each in proportion to its rate, whatever they are.
//
// All of it is exact arithmetic: engines on different processors must agree on every slot.

const (
	timeBits = 40 // binary places of a time
	stepBits = 10
	logSteps = 1 << stepBits // steps of the table; between them it is a straight line
)

var log2Table = makeLog2Table()

// makeLog2Table returns log2(1 + i/logSteps), timeBits places behind the point, by repeated squaring.
func makeLog2Table() (t [logSteps + 1]uint64) {
	for i := range t[:logSteps] {
		y := uint64(logSteps+i) << (63 - stepBits) // from 1 to 2, 63 places
		for range timeBits {
			t[i] <<= 1
			hi, lo := bits.Mul64(y, y)
			if hi>>63 == 1 { // the square is 2 or more
				t[i]++
				y = hi
			} else {
				y = hi<<1 | lo>>63
			}
		}
	}
	t[logSteps] = 1 << timeBits
	return t
}

// elapsed returns -log2(1 - (k+1/2)/Slots) with timeBits places: it grows strictly with k, from almost 0 to
// slotBits+1 at the last slot.
func elapsed(k uint32) uint64 {
	// As a floating point number an integer of this size is exact, and its bits are what the logarithm starts from: the
	// exponent, the step in the table, the rest. To look for the first bit and shift takes twice as long.
	const exponentBits, bias = 52, 1023
	left := math.Float64bits(float64(int32(2*Slots - 2*k - 1)))
	i := left >> (exponentBits - stepBits) & (logSteps - 1)
	rest := left >> (exponentBits - slotBits) & (1<<(slotBits-stepBits) - 1)
	low, high := log2Table[i], log2Table[i+1]
	log := (left>>exponentBits-bias)<<timeBits + low + (high-low)*rest>>(slotBits-stepBits)
	return (slotBits+1)<<timeBits - log
}

// moment is the time elapsed / weight, kept as a fraction.
type moment struct {
	elapsed uint64 // below 2^45, so times a weight it stays below 2^61
	weight  uint32
}

func (m moment) cmp(o moment) int {
	a, b := m.elapsed*uint64(o.weight), o.elapsed*uint64(m.weight)
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// dartsBefore returns how many darts a member of the weight throws before m.
func dartsBefore(m moment, weight uint32) uint32 {
	low, high := uint32(0), uint32(Slots)
	for low < high {
		k := (low + high) / 2
		if (moment{elapsed(k), weight}).cmp(m) < 0 {
			low = k + 1
		} else {
			high = k
		}
	}
	return low
}
