package store

import (
	"context"
	"sync"
)

// How far a reader may be behind before its watch is ended; it goes on from there
// when the reader has caught up, or starts anew if that was compacted by then.
const (
	queueBatches   = 4096
	queueSizeBytes = 8 << 20
)

// queue is between a follower and its reader, so that a slow reader holds no memory
// of the store. A Reset makes what is before it moot.
type queue struct {
	out  chan Batch
	more chan struct{} // something was queued
	dry  chan struct{} // everything was taken

	mu        sync.Mutex
	batches   []Batch
	sizeBytes int
}

func newQueue() *queue {
	return &queue{out: make(chan Batch), more: make(chan struct{}, 1), dry: make(chan struct{}, 1)}
}

func (q *queue) push(b Batch) {
	q.mu.Lock()
	if b.Reset {
		q.batches, q.sizeBytes = nil, 0
	} else if n := len(q.batches); n > 0 && b.empty() && q.batches[n-1].empty() {
		q.batches = q.batches[:n-1]
	}
	q.batches = append(q.batches, b)
	q.sizeBytes += b.sizeBytes()
	q.mu.Unlock()
	signal(q.more)
}

func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.batches) > queueBatches || (q.sizeBytes > queueSizeBytes && len(q.batches) > 1)
}

func (q *queue) pop() (b Batch, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return Batch{}, false
	}
	b = q.batches[0]
	q.batches[0] = Batch{}
	q.batches = q.batches[1:]
	q.sizeBytes -= b.sizeBytes()
	return b, true
}

// deliver hands batches to the reader until ctx ends.
func (q *queue) deliver(ctx context.Context) {
	defer close(q.out)
	for {
		b, ok := q.pop()
		if !ok {
			signal(q.dry)
			select {
			case <-ctx.Done():
				return
			case <-q.more:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case q.out <- b:
		}
	}
}

// drained waits until the reader has taken everything.
func (q *queue) drained(ctx context.Context) {
	for {
		q.mu.Lock()
		n := len(q.batches)
		q.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-q.dry:
		}
	}
}

func (b *Batch) empty() bool {
	return !b.Reset && b.Err == nil && len(b.Puts) == 0 && len(b.Deletes) == 0
}

func (b *Batch) sizeBytes() int {
	const perKV = 96
	n := perKV
	for _, kv := range b.Puts {
		n += perKV + len(kv.Key) + len(kv.Value)
	}
	return n + perKV*len(b.Deletes)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
