package proxy

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// A request that came over a stream and leaves in a datagram is lost if the datagram is: its client does not send it
// again (RFC 3261 17.1.1.2, 17.1.2.2). We do that for it, as if it had, with timers A and E, until something is heard or
// 64*T1 have passed. Requests that stay on streams, or came in datagrams, never come here.

// Limits of what is sent again.
const (
	// repeatMost is how many octets of requests a service keeps for that, and repeatFixed what each takes beside its own.
	repeatMost  = 8 << 20
	repeatFixed = 256
	// repeatFree is how many buffers are kept for the next ones.
	repeatFree = 256
	repeatsNS  = 64 * t1NS
	t1NS       = 500e6
	// Intervals are T1 times a power of two; those of timer E end with T2.
	repeatSteps = 6
	t2Step      = 3
)

// repeats is the requests of a service that we send again.
type repeats struct {
	n    atomic.Int32
	full atomic.Uint64 // that were not kept, for there are too many

	mu     sync.Mutex // guards what follows
	byKey  map[uint64]*repeat
	steps  [repeatSteps]fifo
	octets int
	free   []*repeat
}

// repeat is one request. It stands in one fifo, until its time comes, also when nobody wants it any more.
type repeat struct {
	Stored
	key         uint64
	began, next int64 // ns
	step        int
	invite      bool
	done        bool
}

// fifo is requests that wait equally long: the first comes first.
type fifo struct {
	all  []*repeat
	head int
}

func (f *fifo) push(r *repeat) {
	if f.head > 64 && f.head > len(f.all)/2 {
		n := copy(f.all, f.all[f.head:])
		clear(f.all[n:])
		f.all, f.head = f.all[:n], 0
	}
	f.all = append(f.all, r)
}

// pop takes the first one out whose time has come.
func (f *fifo) pop(now int64) *repeat {
	if f.head == len(f.all) || f.all[f.head].next > now {
		return nil
	}
	r := f.all[f.head]
	f.all[f.head] = nil
	f.head++
	return r
}

// repeatKey tells a CANCEL from its INVITE, which has its branch.
func repeatKey(k uint64, m sip.Method) uint64 {
	if m == sip.Cancel {
		return ^k
	}
	return k
}

// repeatTo notes how a request leaves: one of a stream that leaves in a datagram is sent again by us.
func (p *Proxy) repeatTo(r *request, face *snapshot.Face, why Reason) {
	if !r.stream() || r.m.Method == sip.Ack {
		return
	}
	moved := why == FailedOverSilence || why == FailedOverICMP || why == FailedOver503 || why == FailedOverCode || why == FailedOverConnection
	if r.Again && !moved || why == KnownTransaction && r.m.Method != sip.Cancel {
		return
	}
	q, k := &r.State.repeats, repeatKey(key(r.bind, r.salt), r.m.Method)
	if face.Transport.Stream() {
		q.end(k)
		return
	}
	q.begin(k, r.Input, moved)
}

// begin keeps a request, with timers that begin anew if it was moved to another server.
func (q *repeats) begin(k uint64, in *Input, moved bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	began := in.NowNS
	if old := q.byKey[k]; old != nil {
		if !moved {
			return
		}
		began = old.began
		q.forget(old)
	}
	if q.octets+len(in.Msg.Buf)+repeatFixed > repeatMost {
		q.full.Add(1)
		return
	}
	r := &repeat{}
	if n := len(q.free); n > 0 {
		r, q.free = q.free[n-1], q.free[:n-1]
	}
	*r = repeat{Stored: Stored{Data: append(r.Data[:0], in.Msg.Buf...), From: in.From, Local: in.Local, Listener: in.Listener, Flow: in.Flow},
		key: k, began: began, next: in.NowNS + t1NS, invite: in.Msg.Method == sip.Invite}
	if q.byKey == nil {
		q.byKey = map[uint64]*repeat{}
	}
	q.byKey[k] = r
	q.octets += len(r.Data) + repeatFixed
	q.n.Add(1)
	q.steps[0].push(r)
}

// restore keeps a request that another process kept. What waits equally long comes in the order of its time.
func (q *repeats) restore(r *repeat) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byKey == nil {
		q.byKey = map[uint64]*repeat{}
	}
	if q.byKey[r.key] != nil {
		return
	}
	q.byKey[r.key] = r
	q.octets += len(r.Data) + repeatFixed
	q.n.Add(1)
	f := &q.steps[r.step]
	i, _ := slices.BinarySearchFunc(f.all[f.head:], r.next, func(o *repeat, next int64) int { return cmp.Compare(o.next, next) })
	f.all = slices.Insert(f.all, f.head+i, r)
}

// forget lets go of a request. The caller holds the lock.
func (q *repeats) forget(r *repeat) {
	if r.done {
		return
	}
	delete(q.byKey, r.key)
	q.octets -= len(r.Data) + repeatFixed
	q.n.Add(-1)
	r.done = true
}

func (q *repeats) end(k uint64) {
	if q.n.Load() == 0 {
		return
	}
	q.mu.Lock()
	if r := q.byKey[k]; r != nil {
		q.forget(r)
	}
	q.mu.Unlock()
}

// heard notes a response: an INVITE is not sent again after any, others seldom after a provisional one.
func (q *repeats) heard(k uint64, status int) {
	if q.n.Load() == 0 {
		return
	}
	q.mu.Lock()
	switch r := q.byKey[k]; {
	case r == nil:
	case status >= 200 || r.invite:
		q.forget(r)
	default:
		r.step = t2Step
	}
	q.mu.Unlock()
}

// due gives the next request whose time has come, its text copied into dst. over says that its 64*T1 are over.
func (q *repeats) due(now int64, snap *snapshot.Snapshot, dst []byte) (s Stored, over, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.steps {
		for r := q.steps[i].pop(now); r != nil; r = q.steps[i].pop(now) {
			ln := snap.Listener(r.Listener.Key)
			if ln == nil {
				q.forget(r)
			}
			if r.done {
				if len(q.free) < repeatFree {
					q.free = append(q.free, r)
				}
				continue
			}
			s = r.Stored
			s.Data, s.Listener = append(dst[:0], r.Data...), ln
			left := r.began + repeatsNS - r.next
			if left <= 0 {
				q.forget(r)
				return s, true, true
			}
			r.again(left)
			q.steps[r.step].push(r)
			return s, false, true
		}
	}
	return s, false, false
}

// again sets when a request is sent next. The first interval, which is the shortest, comes once, and before the end.
func (r *repeat) again(left int64) {
	r.step = min(r.step+1, repeatSteps-1)
	if !r.invite {
		r.step = min(r.step, t2Step)
	}
	for r.step > 0 && t1NS<<r.step > left {
		r.step--
	}
	r.next += t1NS << r.step
}

// Repeats counts the requests that are kept to be sent again, and those that were not since there were too many.
func (s *State) Repeats() (kept int, full uint64) {
	return int(s.repeats.n.Load()), s.repeats.full.Load()
}

// Due gives the next request that is to be sent again, its text in dst; over says that it is to be given up instead: see
// Proxy.TimedOut.
func (s *State) Due(now int64, snap *snapshot.Snapshot, dst []byte) (r Stored, over, ok bool) {
	if s.repeats.n.Load() == 0 {
		return r, false, false
	}
	return s.repeats.due(now, snap, dst)
}

// TimedOut decides about a request to which nothing came for 64*T1: who sent an INVITE is told (16.7, 16.8), others know
// by themselves (RFC 4320 4.1).
func (p *Proxy) TimedOut(in *Input) Verdict {
	m := in.Msg
	p.begin(m)
	if m.Method != sip.Invite {
		return Verdict{Reason: TimedOut}
	}
	r := request{Input: in, m: m, svc: in.Listener.Service}
	p.bindRequest(&r)
	p.abandon(&r)
	return p.refuse(in, 408, "Request Timeout", TimedOut)
}
