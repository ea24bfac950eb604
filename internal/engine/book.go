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
	sums    []uint64
	latency metric.Snapshot

	full  [2]uint64 // of states that were closed: transactions and Call-IDs not remembered; under Engine.mu
	names *tally    // of messages that waited for a host name; only the resolver touches it
}

// maxBooks is how many services may have a book: those that are gone lose theirs beyond it.
const maxBooks = 1000

func newBook() *book { return &book{sums: make([]uint64, numCounters)} }

// begin gives a tally to count in, which the caller alone writes.
func (b *book) begin() *tally {
	t := newTally()
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
		t.addTo(b.sums, &b.latency)
	}
}

// total gives what has been counted until now.
func (b *book) total() (sums []uint64, latency *metric.Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sums, past := slices.Clone(b.sums), b.latency
	for _, t := range b.open {
		t.addTo(sums, &past)
	}
	return sums, &past
}

// addTo adds what a tally has counted to sums.
func (t *tally) addTo(sums []uint64, latency *metric.Snapshot) {
	for i := range sums {
		sums[i] += t.counters.Sum(i)
	}
	latency.Merge(t.latency.Snapshot())
}
