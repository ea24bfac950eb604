package health

import (
	"container/heap"
	"net/netip"
	"sync/atomic"
	"time"
)

// outcome is how a probe ended.
type outcome struct {
	code   Code
	status int    // SIP status code; 0 = none
	detail string // for failures: what was seen, to be shown
	silent bool   // passed because nothing came back: no latency to speak of
}

// serverKey is under what the health of a server persists.
type serverKey struct {
	pool string
	addr netip.AddrPort
}

// server is one server of one pool. The loop owns it, but for the two atomics.
type server struct {
	key      serverKey
	checks   []*check // in the order of the target's monitors
	minUp    int
	paused   bool
	gone     bool // it is watched no more
	state    State
	reason   Code
	since    time.Time
	public   atomic.Uint32 // State, for Manager.State
	kickedNS atomic.Int64  // when the last obeyed kick was, ns since the Manager began; math.MinInt64/2 = never
}

// check is one server under one monitor. The loop owns it.
type check struct {
	srv   *server
	mon   *Monitor
	addr  netip.AddrPort // that is probed: the server's with the monitor's port; port 0 for ping
	local netip.AddrPort // from which; unspecified = the kernel chooses
	name  string         // that its certificate must have; "" = its address alone
	p     prober
	m     machine
	hist  history
	stats *monitorStats

	at        time.Time // when something is to be done: start (in starts), retransmission or timeout (in timers)
	queue     *queue    // that it stands in; nil = none (paused)
	index     int       // in queue
	urgent    bool      // start before all others that are due
	lastStart time.Time // start of the last check; zero = none yet

	// Valid while a check is in flight, that is, run is not 0.
	run        uint64 // random, in what is sent; never used twice
	started    time.Time
	deadline   time.Time
	resend     time.Time // zero = no more
	attempt    int       // datagrams sent less one
	proceeding bool      // a provisional response has come
	sent       bool      // at least one datagram left this machine
	soft       outcome   // what to say when nothing better comes until the deadline; code Success = nothing yet
	cancel     func()    // of probes with a goroutine
	sameAddr   *check    // next in the list of checks in flight to the same address
	route      netip.Addr
}

// queue is a heap of checks by at, the urgent ones first.
type queue []*check

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].urgent != q[j].urgent {
		return q[i].urgent
	}
	return q[i].at.Before(q[j].at)
}
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	c := x.(*check)
	c.index = len(*q)
	*q = append(*q, c)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return c
}

// put moves c into q, to be found there at the time at.
func (c *check) put(q *queue, at time.Time) {
	c.urgent = false
	c.move(q, at)
}

// hurry moves c into q before all others that are due. The time at must have come: an urgent check that is not due keeps the others waiting.
func (c *check) hurry(q *queue, at time.Time) {
	c.urgent = true
	c.move(q, at)
}

func (c *check) move(q *queue, at time.Time) {
	c.at = at
	if c.queue == q {
		heap.Fix(q, c.index)
		return
	}
	c.take()
	c.queue = q
	heap.Push(q, c)
}

// take takes c out of whatever queue it stands in.
func (c *check) take() {
	if c.queue != nil {
		heap.Remove(c.queue, c.index)
		c.queue = nil
	}
}
