package balance

// maxChoices is how many choices of a key are looked at one by one, each at a cost that grows with the pool, before the
// order among the others is given up.
const maxChoices = 4

// Home is where the key with hash h lives, -1 when all servers are down, disabled or draining. It asks neither for the
// servers' limit nor for how many must be up: what belongs to something older than those (a request of a dialog, an ACK,
// a CANCEL) opens nothing new. Without a consistent hash it is Pick.
func (p *Pool) Home(h uint64) int32 {
	if p.algorithm != ConsistentHash {
		return p.Pick(h, nil)
	}
	if len(p.willing) == 0 {
		return -1
	}
	return p.lookup(h)
}

// pickHash takes the first choice of the key that fits. A second choice is where the key will go once health has
// noticed what this request found out, so the call stays there.
func (p *Pool) pickHash(h uint64, tried []int32) int32 {
	i := p.lookup(h)
	if p.fits(i, tried) {
		return i
	}
	if len(p.selectable) <= maxLooks {
		return p.firstThatFits(h, tried)
	}
	var skip [16]int32
	n := copy(skip[:len(skip)-maxChoices], tried)
	for range maxChoices {
		i = p.table.Next(h, skip[:n])
		if i < 0 {
			return p.nobody(tried)
		}
		if p.fits(i, tried) {
			return i
		}
		skip[n] = i
		n++
	}
	for range maxLooks {
		h = mix(h + golden) // other keys' first choices: each server is come by as often as it is heavy
		if i = p.lookup(h); p.fits(i, tried) {
			return i
		}
	}
	return p.nobody(tried)
}

// firstThatFits returns the server that fits and that the key prefers to all others that do.
func (p *Pool) firstThatFits(h uint64, tried []int32) int32 {
	best := int32(-1)
	for _, i := range p.selectable {
		if (best < 0 || p.table.Before(h, i, best)) && p.fits(i, tried) {
			best = i
		}
	}
	if best < 0 {
		return p.nobody(tried)
	}
	return best
}
