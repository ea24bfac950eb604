package balance

// samples is how many random servers of a large pool are compared. With one the busiest of 1,000 servers would have
// several calls more than the mean; with eight it has about one.
const samples = 8

// load is what a server has to do, in relation to its ratio.
type load struct {
	work, ratio int64
}

func (l load) below(o load) bool { return l.work*o.ratio < o.work*l.ratio }

// load returns the load of server i by what the algorithm counts.
func (p *Pool) load(i int32) load {
	s := &p.servers[i]
	if p.algorithm == FewestTasks {
		return load{max(0, s.State.Calls.Load()), int64(p.part(i))}
	}
	return load{max(0, s.State.OpenTransactions.Load()), int64(p.part(i))}
}

// pickLeast takes the least loaded server: of all, or in pools of more than maxLooks servers of some random ones. Of
// equals it takes the one whose turn it is, so that an idle pool is used in proportion to the ratios.
func (p *Pool) pickLeast(tried []int32) int32 {
	if len(p.selectable) > maxLooks {
		return p.leastOfSamples(tried)
	}
	at := p.cursor.at.Add(1)
	best := p.turns[at%uint64(len(p.turns))]
	least := p.load(best)
	if !p.fits(best, tried) {
		best = -1
	}
	from := at % uint64(len(p.selectable))
	for k := range p.selectable {
		k += int(from)
		if k >= len(p.selectable) {
			k -= len(p.selectable)
		}
		i := p.selectable[k]
		if l := p.load(i); (best < 0 || l.below(least)) && p.fits(i, tried) {
			best, least = i, l
		}
	}
	if best < 0 {
		return p.nobody(tried)
	}
	return best
}

func (p *Pool) leastOfSamples(tried []int32) int32 {
	x := p.cursor.at.Add(golden)
	best, least := int32(-1), load{}
	for k := range uint64(samples) {
		i := p.turn(mix(x + k<<32))
		if l := p.load(i); (best < 0 || l.below(least)) && p.fits(i, tried) {
			best, least = i, l
		}
	}
	if best < 0 {
		return p.anyThatFits(mix(x), tried)
	}
	return best
}
