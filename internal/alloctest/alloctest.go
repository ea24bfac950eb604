// Package alloctest counts what a function allocates, for tests.
package alloctest

import "testing"

// tries is how often a count is taken anew: what the function itself allocates is there every time.
const tries = 5

// PerRun is testing.AllocsPerRun but for what others do meanwhile. The runtime counts for the whole process, and
// goroutines that an earlier test left behind, closing what it had open, or clean-ups after a collection are in its
// figure; the least of a few figures is the function's own.
func PerRun(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for i := 1; i < tries && least > 0; i++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}
