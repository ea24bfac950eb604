package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/transport"
)

// lane is a socket and what its workers take turns by. One of them reads, one
// decides, and each enters the second before it leaves the first: so batches are
// decided about in the order they were read, whoever sent what is in them. They
// are sent side by side, but for messages of one Call-ID: a batch that has some
// waits for the earlier ones that have some too. docs/adr/0005-order-and-workers.md
// has the reasons.
type lane struct {
	sock    *transport.Socket
	index   int // in the group; its workers send on the sockets of that index
	workers []*worker

	turn   chan struct{} // holds a token when nobody reads
	decide sync.Mutex    // also guards what follows, and the calls of all flights
	batch  uint64        // number of the last batch that went to be sent

	mu      sync.Mutex // of landed
	landed  sync.Cond
	waiting atomic.Int32 // workers that wait for landed, or are about to

	shared atomic.Uint64 // batches during which another worker read on
	waits  atomic.Uint64 // batches that waited for an earlier one of the same call
}

func newLane(s *transport.Socket, index int) *lane {
	l := &lane{sock: s, index: index, turn: make(chan struct{}, 1)}
	l.landed.L = &l.mu
	l.turn <- struct{}{}
	return l
}

const (
	// helpFrom is the number of datagrams in a batch from which on another worker
	// reads on meanwhile. Below it, passing the turn costs more than it gains, and
	// one worker does everything by itself.
	helpFrom = 32
	// patience is how often a worker looks whether it may go on before it sleeps:
	// some 10 µs, about what being woken takes.
	patience = 2000
	// usefulWorkers is how many workers a lane can keep busy: reading and deciding,
	// each done by one at a time, are about a quarter of the work each.
	usefulWorkers = 4
)

// take waits for the turn to read, at most until the timer says so.
func (l *lane) take(t *time.Timer) bool {
	for range patience {
		select {
		case <-l.turn:
			return true
		default:
		}
	}
	t.Reset(recvWait)
	select {
	case <-l.turn:
		return true
	case <-t.C:
		return false
	}
}

// pass lets another worker read.
func (l *lane) pass() { l.turn <- struct{}{} }

// enter makes the caller the one who decides.
func (l *lane) enter() {
	for range patience {
		if l.decide.TryLock() {
			return
		}
	}
	l.decide.Lock()
}

// flight is the Call-IDs of which a worker's batch has messages to send.
type flight struct {
	batch atomic.Uint64            // number of the batch while it is being sent, else 0
	calls *[flightBits / 64]uint64 // nil while the worker rests
	set   []uint16                 // the bits of calls that are set
	after []earlier                // what has to be sent before
}

// earlier is a batch of another worker.
type earlier struct {
	of    *flight
	batch uint64
}

// flightBits is how many bits tell Call-IDs apart. Of two batches of 64 calls each
// one pair in sixteen is then taken to share one.
const flightBits = 1 << 16

// add notes that the batch has a message of the call. The worker decides.
func (f *flight) add(call uint64) {
	bit := uint16(call)
	if w, m := &f.calls[bit/64], uint64(1)<<(bit%64); *w&m == 0 {
		*w |= m
		f.set = append(f.set, bit)
	}
}

// clear forgets the batch. The worker decides, and sends nothing.
func (f *flight) clear() {
	for _, bit := range f.set {
		f.calls[bit/64] = 0
	}
	f.set = f.set[:0]
}

func (f *flight) shares(o *flight) bool {
	for _, bit := range f.set {
		if o.calls[bit/64]>>(bit%64)&1 != 0 {
			return true
		}
	}
	return false
}

// follow notes which of the batches that are being sent have calls of this one.
// The worker decides.
func (l *lane) follow(f *flight) {
	f.after = f.after[:0]
	for _, w := range l.workers {
		if o := &w.flight; o != f {
			if n := o.batch.Load(); n != 0 && f.shares(o) {
				f.after = append(f.after, earlier{o, n})
			}
		}
	}
}

// depart makes a batch one that later ones may have to wait for. The worker
// decides, and does no more.
func (l *lane) depart(f *flight) {
	l.follow(f)
	l.batch++
	f.batch.Store(l.batch)
	l.decide.Unlock()
}

// await waits until what follow found has been sent.
func (l *lane) await(f *flight) {
	for _, a := range f.after {
		for range patience {
			if a.of.batch.Load() != a.batch {
				break
			}
		}
		if a.of.batch.Load() != a.batch {
			continue
		}
		l.waits.Add(1)
		l.waiting.Add(1)
		l.mu.Lock()
		for a.of.batch.Load() == a.batch {
			l.landed.Wait()
		}
		l.mu.Unlock()
		l.waiting.Add(-1)
	}
}

// land says that the batch has been sent.
func (l *lane) land(f *flight) {
	f.batch.Store(0)
	if l.waiting.Load() > 0 {
		l.mu.Lock()
		l.landed.Broadcast()
		l.mu.Unlock()
	}
}
