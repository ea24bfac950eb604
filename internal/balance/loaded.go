package balance

// The algorithms that go by how a server is doing compare two random turns and take the better one: to look for the best
// of all would send every call of the moment to the same one, which is the best no more when they arrive. Two choices
// have nearly all of the gain (Mitzenmacher 2001), and cost the same in a pool of any size.

// responseFloorUS is what response times count as at the least: differences below it are the network's.
const responseFloorUS = 500

// Responded notes the time from a request to the server's first response. Workers may overwrite each other's: one
// response time less in a mean of many.
func (s *State) Responded(us uint64) {
	old := s.response.Load()
	if old == 0 {
		s.response.Store(uint32(min(us, maxResponseUS)))
		return
	}
	mean := int64(old) + (int64(min(us, maxResponseUS))-int64(old))/responseWeight
	s.response.Store(uint32(max(1, mean)))
}

const (
	responseWeight = 16 // a response counts for a sixteenth of the mean
	maxResponseUS  = 100_000_000
)

// ResponseUS is the running mean of the times to the first response; 0: there was none yet.
func (s *State) ResponseUS() uint32 { return s.response.Load() }

// cost is what one more request at server i would wait for, in relation to its ratio: the work that is there and its own,
// by how long the server takes; for FastestResponse that alone.
func (p *Pool) cost(i int32) load {
	s := p.servers[i].State
	us := max(responseFloorUS, int64(s.ResponseUS()))
	if p.algorithm == FastestResponse {
		return load{us, 1} // its ratio is how often it is looked at
	}
	return load{us * (max(0, s.OpenTransactions.Load()) + 1), int64(p.part(i))}
}

// pickOfTwo takes the better of two random servers that fit.
func (p *Pool) pickOfTwo(tried []int32) int32 {
	const maxThrows = 6
	x := p.cursor.at.Add(golden)
	best, least := int32(-1), load{}
	for k := range uint64(maxThrows) {
		i := p.turn(mix(x + k<<32))
		if !p.fits(i, tried) {
			continue
		}
		l := p.cost(i)
		switch {
		case best < 0:
			best, least = i, l
			continue
		case l.below(least):
			return i
		}
		return best // also if it came up twice: so the slowest is asked now and then, and found out when it is slow no more
	}
	if best < 0 {
		return p.anyThatFits(mix(x), tried)
	}
	return best
}
