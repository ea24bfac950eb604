package balance

import "slices"

// maxLooks is how many servers one selection looks at. Up to so many servers in a pool the selection is exact: a server
// with room is found if there is one, and the least loaded is the least loaded. In larger pools it goes by samples, so
// that a full pool can't make every message cost as much as the pool is large.
const maxLooks = 128

// Pick selects a server for the key with hash h (used by ConsistentHash only), none of tried (those that failed this
// request already). It returns -1 when there is none: all down, disabled, draining, tried, or at their limit; or too few up.
// No locks, no allocation.
func (p *Pool) Pick(h uint64, tried []int32) int32 {
	if len(p.selectable) == 0 {
		return -1
	}
	switch p.algorithm {
	case ConsistentHash:
		return p.pickHash(h, tried)
	case RoundRobin:
		return p.pickRoundRobin(tried)
	case Random:
		return p.pickRandom(tried)
	case LeastConnections, FewestTasks:
		return p.pickLeast(tried)
	case LeastLoad, FastestResponse:
		return p.pickOfTwo(tried)
	}
	return -1
}

// nobody is what is picked when no server fits. Where none was tried it was the limit, which is counted here and not by
// Pick: there the count costs half a nanosecond also when there is somebody.
func (p *Pool) nobody(tried []int32) int32 {
	if len(tried) == 0 {
		p.full.Add(1)
	}
	return -1
}

// fits says whether server i may get one more request: it was not tried and is below its limit. What is picked opens its
// transaction only afterwards, so workers that pick at the same moment may exceed the limit, each by one: that costs less
// than to write to the State of every server that is looked at.
func (p *Pool) fits(i int32, tried []int32) bool {
	return !slices.Contains(tried, i) && (p.limit == 0 || p.servers[i].State.OpenTransactions.Load() < p.limit) &&
		(p.opened == 0 || p.servers[i].State.Opened.Load() < p.opened)
}

// anyThatFits is the last resort: the first that fits from some place on.
func (p *Pool) anyThatFits(from uint64, tried []int32) int32 {
	n := uint64(len(p.selectable))
	at := from % n
	for range min(n, maxLooks) {
		if i := p.selectable[at]; p.fits(i, tried) {
			return i
		}
		if at++; at == n {
			at = 0
		}
	}
	return p.nobody(tried)
}
