package agent

// run is a stretch of a line with one value.
type run struct {
	value float32
	end   uint32 // tick behind its last
}

// line is the history of one figure: a value a tick. Stretches of one value, which is most of what idle servers have, are
// kept as one: a thousand pools that nobody calls take next to nothing.
type line struct {
	runs []run   // that have ended, the oldest first
	now  float32 // the value since the last of them
}

// set makes v the value from a tick on; what ended before keep is forgotten. room is how many more runs all lines may
// have: without any the line forgets its oldest for it. It gives how many runs more there are, and how many were lost.
func (l *line) set(v float32, tick, keep uint32, room int) (more, lost int) {
	if v == l.now {
		return 0, 0
	}
	before := len(l.runs)
	old := 0
	for old < len(l.runs) && l.runs[old].end <= keep {
		old++
	}
	if room <= 0 && old == 0 {
		if len(l.runs) == 0 {
			l.now = v // all of its past is taken for the new value
			return 0, 1
		}
		old, lost = 1, 1
	}
	if old > 0 {
		l.runs = l.runs[:copy(l.runs, l.runs[old:])]
	}
	l.runs = append(l.runs, run{l.now, tick})
	l.now = v
	return len(l.runs) - before, lost
}

// fill writes the values of the ticks from a first one on; what is not known any more is the oldest value known.
func (l *line) fill(out []float32, first uint32) {
	at := 0
	for _, r := range l.runs {
		for at < len(out) && first+uint32(at) < r.end {
			out[at] = r.value
			at++
		}
	}
	for ; at < len(out); at++ {
		out[at] = l.now
	}
}

// span gives mean and maximum of n ticks from a first one on.
func (l *line) span(first, n uint32) (mean, most float32) {
	sum, from := 0.0, first
	add := func(v float32, end uint32) {
		end = min(end, first+n)
		if end <= from {
			return
		}
		if from == first || v > most {
			most = v
		}
		sum += float64(v) * float64(end-from)
		from = end
	}
	for _, r := range l.runs {
		add(r.value, r.end)
	}
	add(l.now, first+n)
	return float32(sum / float64(n)), most
}
