package engine

import (
	"slices"
	"sync"

	"github.com/carillon-sip/carillon/internal/metric"
)

// book is what one service has counted since the engine started, whatever listeners
// and workers it had meanwhile: so its sums never fall. Each worker counts in a
// tally of its own, which is added to the sums when the worker turns to another
// service or ends.
type book struct {
	mu      sync.Mutex // guards the next three; not on the message path
	open    []*tally
	sums    []uint64         // nil: 0
	latency *metric.Snapshot // nil: none

	full  [3]uint64 // of states that were closed: transactions and Call-IDs not remembered, requests not kept; under Engine.mu
	names *tally    // of messages that waited for a host name; only the resolver touches it
}

// maxBooks is how many services that are gone may have a book.
const maxBooks = 1000

// tallies are those in which nobody counts; their counters are all 0.
var tallies = sync.Pool{New: func() any { return newTally() }}

// begin gives a tally to count in, which the caller alone writes.
func (b *book) begin() *tally {
	t := tallies.Get().(*tally)
	b.mu.Lock()
	b.open = append(b.open, t)
	b.mu.Unlock()
	return t
}

// end adds up a tally in which nobody counts any more.
func (b *book) end(t *tally) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.open, t); i >= 0 {
		b.open = slices.Delete(b.open, i, i+1)
		if b.sums == nil {
			b.sums, b.latency = make([]uint64, numCounters), new(metric.Snapshot)
		}
		t.addTo(b.sums, b.latency)
		t.counters.Reset()
		t.latency.Reset()
		tallies.Put(t)
	}
}

// total gives what has been counted until now.
func (b *book) total() (sums []uint64, latency *metric.Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sums, latency = make([]uint64, numCounters), new(metric.Snapshot)
	if b.sums != nil {
		copy(sums, b.sums)
		*latency = *b.latency
	}
	for _, t := range b.open {
		t.addTo(sums, latency)
	}
	return sums, latency
}

// blank reports whether nothing was ever counted in the book.
func (b *book) blank() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sums == nil && len(b.open) == 0
}

// addTo adds what a tally has counted to sums.
func (t *tally) addTo(sums []uint64, latency *metric.Snapshot) {
	for i := range sums {
		sums[i] += t.counters.Sum(i)
	}
	latency.Merge(t.latency.Snapshot())
}
