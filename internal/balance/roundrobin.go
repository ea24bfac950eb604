package balance

import (
	"cmp"
	"slices"
)

// maxTurns bounds a round. Where the ratios add up to more they are scaled down, none below 1.
const maxTurns = 1 << 17

// newTurns returns one round: every server comes as often as its ratio says, its turns spread evenly over the round,
// and those of servers with the same ratio beside and not on top of each other.
func newTurns(servers []Server) []int32 {
	counts := turnCounts(servers)
	peers := make(map[uint32]int) // by turns a round
	total := 0
	for _, n := range counts {
		peers[n]++
		total += int(n)
	}
	type turn struct {
		at     float64 // 0 to 1, place in the round
		server int32
	}
	round := make([]turn, 0, total)
	seen := make(map[uint32]int, len(peers))
	for i, n := range counts {
		first := (float64(seen[n]) + 0.5) / float64(peers[n])
		seen[n]++
		for k := range n {
			round = append(round, turn{(float64(k) + first) / float64(n), int32(i)})
		}
	}
	slices.SortFunc(round, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.server, b.server))
	})
	turns := make([]int32, len(round))
	for i := range round {
		turns[i] = round[i].server
	}
	return turns
}

// turnCounts returns how many turns a round each server has.
func turnCounts(servers []Server) []uint32 {
	counts := make([]uint32, len(servers))
	var common, total uint64
	for i := range servers {
		counts[i] = servers[i].Ratio
		total += uint64(counts[i])
		for a, b := uint64(counts[i]), common; ; a, b = b, a%b { // Euclid
			if b == 0 {
				common = a
				break
			}
		}
	}
	if common == 0 {
		return counts
	}
	shrink := max(float64(common), float64(total)/maxTurns)
	for i, n := range counts {
		counts[i] = max(1, uint32(float64(n)/shrink+0.5))
	}
	return counts
}

// pickRoundRobin takes the next turn, or one of those that follow it.
func (p *Pool) pickRoundRobin(tried []int32) int32 {
	const maxSkips = 16
	n := uint64(len(p.turns))
	at := p.cursor.at.Add(1)
	for k := range min(n, maxSkips) {
		if i := p.turns[(at+k)%n]; p.fits(i, tried) {
			return i
		}
	}
	return p.anyThatFits(at, tried)
}
