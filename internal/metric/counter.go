// Package metric has counters and histograms that the message path can afford: every worker writes memory of its own,
// readers add up.
package metric

import "sync/atomic"

// pad keeps what one worker writes a whole prefetched pair of cache lines away from what another does.
const pad = 128 / 8

// Counters is a set of counters, indexed from 0, kept apart for every worker.
type Counters struct {
	blocks []Block
}

// Block is one worker's part of Counters. Only that worker may write it.
type Block struct {
	v []uint64
}

// NewCounters returns n counters, all 0, for each of workers.
func NewCounters(workers, n int) *Counters {
	c := &Counters{blocks: make([]Block, workers)}
	for w := range c.blocks {
		c.blocks[w].v = make([]uint64, pad+n+pad)[pad : pad+n : pad+n]
	}
	return c
}

// Len returns the number of counters.
func (c *Counters) Len() int {
	if len(c.blocks) == 0 {
		return 0
	}
	return len(c.blocks[0].v)
}

// Worker returns the block of worker w.
func (c *Counters) Worker(w int) *Block { return &c.blocks[w] }

// Sum returns counter i added up over the workers. Any goroutine may call it.
func (c *Counters) Sum(i int) uint64 {
	var sum uint64
	for w := range c.blocks {
		sum += atomic.LoadUint64(&c.blocks[w].v[i])
	}
	return sum
}

// Reset sets all counters to 0. Nobody may be writing them.
func (c *Counters) Reset() {
	for w := range c.blocks {
		for i := range c.blocks[w].v {
			atomic.StoreUint64(&c.blocks[w].v[i], 0)
		}
	}
}

// Inc adds 1 to counter i.
func (b *Block) Inc(i int) { add(&b.v[i], 1) }

// Add adds d to counter i. Adding ^uint64(0), which is -1, makes a gauge of it: sums are right modulo 2^64, whichever
// worker counts up and whichever down.
func (b *Block) Add(i int, d uint64) { add(&b.v[i], d) }
