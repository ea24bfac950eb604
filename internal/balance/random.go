package balance

import "math/bits"

// golden is 2^64 divided by the golden ratio: its multiples fall evenly, and mix makes noise of them (SplitMix64).
const golden = 0x9e3779b97f4a7c15

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// turn returns the server of a random turn: each comes up in proportion to its ratio.
func (p *Pool) turn(random uint64) int32 {
	at, _ := bits.Mul64(random, uint64(len(p.turns)))
	return p.turns[at]
}

// pickRandom takes random turns until one fits.
func (p *Pool) pickRandom(tried []int32) int32 {
	const maxThrows = 8
	x := p.cursor.at.Add(golden)
	for k := range uint64(maxThrows) {
		if i := p.turn(mix(x + k<<32)); p.fits(i, tried) {
			return i
		}
	}
	return p.anyThatFits(mix(x), tried)
}
