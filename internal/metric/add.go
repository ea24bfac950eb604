//go:build !race

package metric

// add adds to what only this goroutine writes and others read with atomic loads. A plain store is enough for that: a
// word is written whole, and the reader may be late. An atomic one costs 5 ns instead of 1, several times a message.
func add(p *uint64, d uint64) { *p += d }
