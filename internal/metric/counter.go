// Package metric has counters and histograms that the message path can afford: every worker writes its own memory,
// readers add up.
package metric

// Counters is a set of counters, indexed from 0, kept apart for every worker.
type Counters struct{}

// Block is one worker's part of Counters. Only that worker may write it.
type Block struct{ v []uint64 }

// NewCounters returns n counters for each of workers.
func NewCounters(workers, n int) *Counters { return &Counters{} }

// Worker returns the block of worker w.
func (c *Counters) Worker(w int) *Block { return nil }

// Sum returns counter i added up over the workers. Any goroutine may call it.
func (c *Counters) Sum(i int) uint64 { return 0 }

// Inc adds 1 to counter i.
func (b *Block) Inc(i int) {}

// Add adds d to counter i. Adding -1 (^uint64(0)) makes it a gauge: sums are right modulo 2^64.
func (b *Block) Add(i int, d uint64) {}
