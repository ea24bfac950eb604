//go:build linux && (amd64 || arm64)

package transport

import (
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// slotStride keeps the beginnings of the slots, which are all that most
	// datagrams need, in different sets of the first cache. At 65,536 they would
	// all fall into the same few.
	slotStride = MaxDatagram + 1 + 17*64
	// trimBytes is how much of the slots may stay in memory while nothing comes.
	// Datagrams of usual size stay far below it.
	trimBytes = 512 << 10
	pageSize  = 4096
)

type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // octets of this message
	_   [4]byte
}

// Batch is a set of receive slots. One goroutine uses it at a time.
type Batch struct {
	msgs    [MaxBatch]mmsghdr
	iovs    [MaxBatch]unix.Iovec
	names   [MaxBatch]rawName
	ctls    [MaxBatch]control
	segment [MaxBatch]uint16 // size of the datagrams of a train in the slot; 0: no train
	local   [MaxBatch]netip.Addr
	mem     []byte // outside of Go's heap: only pages that were written to cost memory
	slots   int
	control bool // control buffers are set in msgs

	filled int // slots the last Recv filled
	next   int // the slot that Next goes to when rest is empty
	rest   []byte
	cur    Datagram

	high [MaxBatch]uint32 // octets of the slot that were written since the last trim
}

// NewBatch makes a batch of 1 to MaxBatch slots of MaxDatagram octets each. They
// take address space, and memory only as far as they were used.
func NewBatch(slots int) (*Batch, error) {
	if slots < 1 || slots > MaxBatch {
		return nil, errSlots
	}
	mem, err := unix.Mmap(-1, 0, slots*slotStride, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, &MemoryError{Bytes: slots * slotStride, Errno: errnoOf(err)}
	}
	// A huge page would be 2 MiB for 4 KiB used. Kernels without them say EINVAL.
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE)
	b := &Batch{mem: mem, slots: slots}
	for i := range slots {
		b.iovs[i] = unix.Iovec{Base: &mem[i*slotStride], Len: MaxDatagram + 1}
		h := &b.msgs[i].hdr
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&b.names[i])), nameLen6
		h.Iov, h.Iovlen = &b.iovs[i], 1
	}
	return b, nil
}

// Close gives the memory back. The batch and its Datagrams are then dead.
func (b *Batch) Close() {
	if b.mem != nil {
		_ = unix.Munmap(b.mem)
	}
	*b = Batch{}
}

// prepare resets what the kernel overwrote in the slots last used.
func (b *Batch) prepare(control bool) {
	n := b.filled
	if control != b.control {
		b.control, n = control, b.slots // the batch has changed sockets
		clear(b.local[:])
	}
	for i := range n {
		h := &b.msgs[i].hdr
		h.Namelen = nameLen6
		if control {
			h.Control, h.Controllen = (*byte)(unsafe.Pointer(&b.ctls[i])), controlSize
		} else {
			h.Control, h.Controllen = nil, 0
		}
	}
	b.filled, b.next, b.rest = 0, 0, nil
}

// Next goes to the next datagram of the last Recv and reports whether there is one.
func (b *Batch) Next() bool {
	if len(b.rest) > 0 { // From and Local stay: a train has one sender
		n := min(len(b.rest), len(b.cur.Data))
		b.cur.Data, b.rest = b.rest[:n:n], b.rest[n:]
		return true
	}
	if b.next >= b.filled {
		return false
	}
	i := b.next
	b.next++
	if b.msgs[i].hdr.Flags&unix.MSG_TRUNC != 0 {
		return b.Next()
	}
	n := int(b.msgs[i].n)
	data := b.mem[i*slotStride : i*slotStride+n : i*slotStride+n]
	if seg := int(b.segment[i]); seg > 0 {
		data, b.rest = data[:seg:seg], data[seg:]
	}
	b.cur = Datagram{Data: data, From: b.names[i].decode(), Local: b.local[i]}
	return true
}

// Datagram gives what Next went to. It is overwritten by the next Next.
func (b *Batch) Datagram() *Datagram { return &b.cur }

// Recv fills the batch with what has arrived and returns the number of
// datagrams. When nothing has, it waits: at most so long (0: not at all; else
// rounded up to the kernel's tick, 1 to 10 ms; up to twice as long when signals
// come). It returns 0 and no error when that time is over, or ErrPending has
// news. The one error is net.ErrClosed.
func (s *Socket) Recv(b *Batch, wait time.Duration) (int, error) {
	if !s.enter() {
		return 0, net.ErrClosed
	}
	defer s.leave()
	b.prepare(s.control)
	n, e := s.recvmmsg(b, unix.MSG_DONTWAIT)
	if e == syscall.EAGAIN && wait > 0 {
		if s.hurried.Load() {
			wait = min(wait, hurriedWait)
		}
		n, e = s.await(b, wait)
	}
	if s.closing() {
		return 0, net.ErrClosed
	}
	if n > 0 {
		return s.received(b, n), nil
	}
	if e != syscall.EAGAIN && e != syscall.EINTR {
		// Whatever else recvmmsg says came from the network by ICMP: its own
		// faults (bad descriptor, bad pointers) cannot happen here. It is
		// said once and does not concern what lies in the receive buffer.
		s.errPending.Store(true)
		if n, _ = s.recvmmsg(b, unix.MSG_DONTWAIT); n > 0 {
			return s.received(b, n), nil
		}
	}
	return 0, nil
}

// await polls for a short while, which answers sooner than sleeping and being
// woken when the next datagram is near, and then waits in the kernel.
func (s *Socket) await(b *Batch, wait time.Duration) (int, syscall.Errno) {
	if s.poll.most == 0 {
		return s.sleep(b, wait)
	}
	start := time.Now()
	window, last := s.poll.window(), time.Duration(0)
	for last < window {
		if n, e := s.recvmmsg(b, unix.MSG_DONTWAIT); e != syscall.EAGAIN {
			s.poll.waited(0)
			return n, e
		}
		since := time.Since(start)
		s.poll.between(since - last)
		last = since
	}
	n, e := s.sleep(b, wait)
	s.poll.waited(time.Since(start))
	return n, e
}

// sleep waits in the kernel. Go's scheduler interrupts it by signals, to look at the stack or to have its turn, which
// it gets when block returns; whoever waits has not waited to the end for that.
func (s *Socket) sleep(b *Batch, wait time.Duration) (int, syscall.Errno) {
	s.st.blocked.Add(1)
	n, e := s.block(b, wait)
	if e == syscall.EINTR {
		for end := time.Now().Add(wait); e == syscall.EINTR; n, e = s.block(b, wait) {
			if s.closing() || s.hurried.Load() || !time.Now().Before(end) {
				return 0, syscall.EAGAIN
			}
		}
	}
	if e == syscall.EAGAIN {
		b.trim()
	}
	return n, e
}

// block waits once.
func (s *Socket) block(b *Batch, wait time.Duration) (int, syscall.Errno) {
	if s.errPending.Load() {
		return 0, syscall.EAGAIN // a Flush elsewhere took the kernel's hint; the caller has work
	}
	n, e := 0, syscall.EAGAIN
	if s.hot && takeSpare() {
		n, e = s.hold(b, min(wait, holdFor))
		wait -= holdFor
	}
	if e == syscall.EAGAIN && wait > 0 {
		s.setRecvTimeout(wait)
		r, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&b.msgs)),
			uintptr(b.slots), unix.MSG_WAITFORONE, 0, 0)
		if errno == 0 {
			return int(r), 0
		}
		e = errno
	}
	return n, e
}

// holdFor is how long Recv waits in the kernel as if it computed. A goroutine in
// a system call loses its processor (P) to Go's scheduler and takes it back
// afterwards, and the scheduler's monitor then wakes every 20 µs to see to that,
// which at a thousand calls a second costs as much as all the rest. It has to be
// below 10 ms, at which the monitor ends the time slice of the goroutine by a
// signal. The collector stops the world the same way, so it need not wait.
const holdFor = 8 * time.Millisecond

// holding counts the Recvs of the process that wait so.
var holding atomic.Int32

// takeSpare takes a P to hold, if there is one beyond the number of CPUs: those
// are left for goroutines that have something to do.
func takeSpare() bool {
	if int(holding.Add(1)) <= runtime.GOMAXPROCS(0)-runtime.NumCPU() {
		return true
	}
	holding.Add(-1)
	return false
}

func (s *Socket) hold(b *Batch, wait time.Duration) (int, syscall.Errno) {
	defer holding.Add(-1)
	s.setRecvTimeout(wait)
	return s.recvmmsg(b, unix.MSG_WAITFORONE)
}

func (s *Socket) setRecvTimeout(d time.Duration) {
	if d == s.recvTimeout {
		return
	}
	tv := unix.NsecToTimeval(int64(max(d, time.Microsecond)))
	if unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv) == nil {
		s.recvTimeout = d
	}
}

// recvmmsg does not tell Go's scheduler of the call: with MSG_DONTWAIT it never
// blocks, and for the other case see holdFor.
func (s *Socket) recvmmsg(b *Batch, flags uintptr) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&b.msgs)), uintptr(b.slots), flags, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// received counts what came and returns the number of datagrams in n slots.
func (s *Socket) received(b *Batch, n int) int {
	datagrams, octets, trains, trained := 0, 0, 0, 0
	for i := range n {
		m := &b.msgs[i]
		b.high[i] = max(b.high[i], m.n)
		if m.hdr.Flags&unix.MSG_TRUNC != 0 {
			s.st.truncated.Add(1)
			continue
		}
		segment, k := 0, 1
		if s.control {
			segment, b.local[i] = b.ctls[i].parse(m.hdr.Controllen)
		}
		b.segment[i] = 0
		if segment > 0 && int(m.n) > segment {
			b.segment[i] = uint16(segment)
			k = (int(m.n) + segment - 1) / segment
			trains, trained = trains+1, trained+k
		}
		datagrams += k
		octets += int(m.n)
	}
	b.filled = n
	s.st.in.Add(uint64(datagrams))
	s.st.inBytes.Add(uint64(octets))
	s.st.recvSizes[sizeClass(max(datagrams, 1))].Add(1)
	if trains > 0 {
		s.st.groTrains.Add(uint64(trains))
		s.st.groDatagrams.Add(uint64(trained))
	}
	return datagrams
}

// trim gives memory back after a burst of large datagrams or trains, once the
// socket has been idle for a whole wait.
func (b *Batch) trim() {
	used := 0
	for i := range b.slots {
		used += int(b.high[i]+pageSize-1) &^ (pageSize - 1)
	}
	if used > trimBytes && unix.Madvise(b.mem, unix.MADV_DONTNEED) == nil {
		clear(b.high[:])
	}
}

// ErrPending reports that RecvErr may have something. The queue must then be
// emptied: what stands in it takes room of the receive buffer.
func (s *Socket) ErrPending() bool { return s.errPending.Load() }
