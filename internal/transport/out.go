package transport

import (
	"net/netip"
	"syscall"
	"unsafe"
)

// Defaults and limits of an Out.
const (
	DefaultOutBytes     = 256 << 10
	DefaultOutDatagrams = 256
	maxOutDatagrams     = 1024
	maxFailures         = 64
)

// Out is a queue of datagrams to be sent by (*Socket).Flush. Their octets stand
// one behind the other in one buffer. It is used by one goroutine at a time.
type Out struct {
	buf      []byte
	used     int
	queue    []queued
	failures []Failure
	wire     wire // how it goes to the kernel
}

type queued struct {
	off, n uint32
	to     netip.AddrPort
	from   netip.Addr
	tag    uint64
}

// NewOut makes a queue for so many octets and datagrams; 0 means the default,
// and more than 1024 datagrams are not taken. It always has room for one datagram of the largest size.
func NewOut(bytes, datagrams int) *Out {
	if bytes <= 0 {
		bytes = DefaultOutBytes
	}
	if datagrams <= 0 {
		datagrams = DefaultOutDatagrams
	}
	o := &Out{
		buf:      make([]byte, max(bytes, MaxDatagram+1)),
		queue:    make([]queued, 0, min(datagrams, maxOutDatagrams)),
		failures: make([]Failure, 0, maxFailures),
	}
	o.wire.init(cap(o.queue))
	return o
}

// Len gives the number of datagrams queued.
func (o *Out) Len() int { return len(o.queue) }

// Room gives an empty slice with a capacity of max octets to append a datagram
// to, or nil when the queue is full: Flush, then ask again. An empty queue has
// room for MaxDatagram octets.
func (o *Out) Room(max int) []byte {
	if max > len(o.buf)-o.used || len(o.queue) == cap(o.queue) {
		return nil
	}
	return o.buf[o.used : o.used : o.used+max]
}

// Add queues a datagram. What was appended to the slice of the last Room is
// taken where it stands, anything else is copied. from is the source address and
// counts only on a socket bound to a wildcard; the zero Addr leaves it to the
// routing table. Two datagrams of the same tag to the same destination leave in
// the order they were added; others may overtake each other within a Flush. It
// reports false, and nothing is queued, when there is no room or the datagram is
// longer than MaxDatagram.
func (o *Out) Add(datagram []byte, to netip.AddrPort, from netip.Addr, tag uint64) bool {
	n := len(datagram)
	if n > len(o.buf)-o.used || n > MaxDatagram || len(o.queue) == cap(o.queue) {
		return false
	}
	if n > 0 && unsafe.SliceData(datagram) != &o.buf[o.used] {
		copy(o.buf[o.used:], datagram)
	}
	o.queue = append(o.queue, queued{off: uint32(o.used), n: uint32(n), to: to, from: from, tag: tag})
	o.used += n
	return true
}

// Failures are the datagrams that the last Flush could not send, the first 64 of
// them. They are valid until the next Add.
func (o *Out) Failures() []Failure { return o.failures }

func (o *Out) fail(q *queued, e syscall.Errno) {
	if len(o.failures) < cap(o.failures) {
		o.failures = append(o.failures, Failure{To: q.to, Tag: q.tag, Errno: e, Data: o.buf[q.off : q.off+q.n]})
	}
}

func (o *Out) reset() { o.used, o.queue = 0, o.queue[:0] }
