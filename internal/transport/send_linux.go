//go:build linux && (amd64 || arm64)

package transport

import (
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxSendWait  = 5 * time.Millisecond // for room in the socket's buffer, in one Flush
	maxSendTries = 16                   // of one send, when ICMP about earlier datagrams gets in the way
	maxRefused   = 1000                 // of one send, when that is a port unreachable, which no send says of itself
	gsoHold      = 1 << 16              // flushes until a lowered limit of trains is forgotten
)

// wire is the part of an Out that speaks to the kernel; see plan_linux.go for
// the first half.
type wire struct {
	seed      uint64
	gen       uint32
	dests     []dest
	destSlots []uint16 // index in dests + 1
	sizeSlots []sizeSlot
	tagSlots  []tagSlot
	trains    []train
	after     []int32 // by datagram: the next of its train

	msgs []mmsghdr
	iovs []unix.Iovec
	ctls []control
	sent []int32 // by message: its train
	one  mmsghdr // a datagram of a train that is sent by itself
	oneV unix.Iovec
}

// gsoLimit is the largest size of datagrams that go by train. A path with a
// small MTU, or an interface that cannot do checksums, refuses trains which
// others take; what is learned from it holds for the whole socket and is
// forgotten after a while.
type gsoLimit struct {
	max, hold atomic.Int32
	full      int32
}

func (g *gsoLimit) init(works bool) {
	if works {
		g.full = MaxDatagram
		g.max.Store(g.full)
	}
}

func (g *gsoLimit) now() int {
	if g.hold.Load() > 0 && g.hold.Add(-1) == 0 {
		g.max.Store(g.full)
	}
	return int(g.max.Load())
}

// refused lowers the limit after a train of datagrams of size octets was refused
// whose datagrams one by one were not. The steps are those of usual MTUs.
func (g *gsoLimit) refused(size int32, e syscall.Errno) {
	const headers = 48 // IPv6 and UDP
	next := int32(0)
	if e != syscall.EIO { // EIO: the interface can't do it at all
		for _, mtu := range [...]int32{1500, 1280} {
			if size > mtu-headers {
				next = mtu - headers
				break
			}
		}
	}
	g.max.Store(min(next, g.max.Load()))
	g.hold.Store(gsoHold)
}

func gsoWorks(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	return err == nil
}

// flush is what one Flush counts.
type flush struct {
	s       *Socket
	o       *Out
	failed  int
	tries   int           // of the send that is at hand
	waited  time.Duration // for room in the socket's buffer
	out     int
	octets  int
	trains  int
	trained int
}

// Flush sends all that is queued and empties the queue. It returns the number of
// datagrams that could not be sent; they are counted by class, and Failures
// tells them. It waits at most 5 ms, and only when the socket's buffer is full.
func (s *Socket) Flush(o *Out) (failed int) {
	o.failures = o.failures[:0]
	if len(o.queue) == 0 {
		return 0
	}
	f := flush{s: s, o: o}
	w := &o.wire
	w.plan(o.queue, s.gso.now())
	n := f.assemble()
	if s.enter() {
		f.send(n)
		s.leave()
	} else {
		for _, t := range w.sent[:n] {
			f.fail(&w.trains[t], syscall.EBADF)
		}
	}
	st := &s.st
	st.out.Add(uint64(f.out))
	st.outBytes.Add(uint64(f.octets))
	st.sendSizes[sizeClass(len(o.queue))].Add(1)
	if f.trains > 0 {
		st.gsoSends.Add(uint64(f.trains))
		st.gsoDatagrams.Add(uint64(f.trained))
	}
	o.reset()
	return f.failed
}

// assemble writes the message headers of all trains and returns their number.
func (f *flush) assemble() int {
	w, queue := &f.o.wire, f.o.queue
	k, iov := 0, 0
	for t := range w.trains {
		tr := &w.trains[t]
		if tr.gone {
			continue
		}
		d := &w.dests[tr.dest]
		if d.v6 != f.s.v6 || !d.to.IsValid() || d.from.IsValid() && d.from.Unmap().Is4() == f.s.v6 {
			f.fail(tr, syscall.EAFNOSUPPORT)
			continue
		}
		first, end := iov, uint32(0)
		for i := tr.head; i != none; i = w.after[i] {
			q := &queue[i]
			if iov > first && q.off == end { // stands right behind the one before
				w.iovs[iov-1].Len += uint64(q.n)
			} else {
				w.iovs[iov] = unix.Iovec{Base: &f.o.buf[min(int(q.off), len(f.o.buf)-1)], Len: uint64(q.n)}
				iov++
			}
			end = q.off + q.n
		}
		h := &w.msgs[k].hdr
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&d.name)), d.nameLen
		h.Iov, h.Iovlen = &w.iovs[first], uint64(iov-first)
		f.controls(h, &w.ctls[k], d, tr)
		w.sent[k] = int32(t)
		k++
	}
	return k
}

func (f *flush) controls(h *unix.Msghdr, c *control, d *dest, tr *train) {
	n := 0
	if f.s.wildcard && d.srcLen > 0 {
		*c = d.source
		n = d.srcLen
	}
	if tr.count > 1 {
		n += c.putSegment(n, uint16(f.o.queue[tr.head].n))
	}
	h.Control, h.Controllen = nil, 0
	if n > 0 {
		h.Control, h.Controllen = (*byte)(unsafe.Pointer(c)), uint64(n)
	}
}

// send hands n messages to the kernel. It stops at the first that fails and is
// asked again from there, when it says why.
func (f *flush) send(n int) {
	w := &f.o.wire
	for done := 0; done < n; {
		// The call never blocks, so that Go's scheduler need not know of it.
		r, _, e := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(f.s.fd), uintptr(unsafe.Pointer(&w.msgs[done])),
			uintptr(n-done), unix.MSG_DONTWAIT, 0, 0)
		if e == 0 {
			for _, t := range w.sent[done : done+int(r)] {
				f.account(&w.trains[t])
			}
			if done += int(r); done < n {
				// What stopped it is not said if it was news of ICMP: the socket has
				// given that away now, and the next call succeeds.
				f.s.errPending.Store(true)
			}
			f.tries = 0
			continue
		}
		tr := &w.trains[w.sent[done]]
		switch {
		case f.again(e):
			continue
		case tr.count > 1 && e != syscall.EAGAIN && e != syscall.ENOBUFS && e != syscall.EPERM:
			f.apart(&w.msgs[done], tr, e)
		default:
			f.fail(tr, e)
		}
		done++
		f.tries = 0
	}
}

// again decides whether a send that failed with e is worth another try.
func (f *flush) again(e syscall.Errno) bool {
	switch e {
	case syscall.EINTR:
		return true
	case syscall.EAGAIN:
		return f.waitWritable()
	case syscall.EINVAL, syscall.EAFNOSUPPORT, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.EACCES, syscall.EIO, syscall.EBADF:
		return false
	}
	// The rest may be what ICMP said of an earlier datagram to somebody else: the
	// socket gives that to whichever call comes next, once. Others may send to the
	// same dead server meanwhile, and each error that they read from the queue has
	// the next one told: so it may be so many times in a row.
	f.s.errPending.Store(true)
	f.tries++
	if e == syscall.ECONNREFUSED {
		return f.tries < maxRefused
	}
	return f.tries < maxSendTries
}

// waitWritable waits until the socket's buffer has room, as long as this Flush
// may still wait.
func (f *flush) waitWritable() bool {
	if f.waited >= maxSendWait {
		return false
	}
	f.s.st.sendWaits.Add(1)
	start := time.Now()
	fds := [1]unix.PollFd{{Fd: int32(f.s.fd), Events: unix.POLLOUT}}
	_, _ = unix.Poll(fds[:], int((maxSendWait-f.waited+time.Millisecond-1)/time.Millisecond))
	f.waited += max(time.Since(start), time.Microsecond)
	return true
}

// apart sends the datagrams of a refused train one by one.
func (f *flush) apart(m *mmsghdr, tr *train, refusal syscall.Errno) {
	w := &f.o.wire
	w.one = *m
	w.one.hdr.Iov, w.one.hdr.Iovlen = &w.oneV, 1
	if w.one.hdr.Controllen -= cmsgSegment; w.one.hdr.Controllen == 0 {
		w.one.hdr.Control = nil
	}
	size, sent := int32(f.o.queue[tr.head].n), 0
	for i := tr.head; i != none; i = w.after[i] {
		q := &f.o.queue[i]
		w.oneV = unix.Iovec{Base: &f.o.buf[q.off], Len: uint64(q.n)}
		f.tries = 0
		for {
			_, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(f.s.fd), uintptr(unsafe.Pointer(&w.one.hdr)), unix.MSG_DONTWAIT)
			if e == 0 {
				f.out, f.octets, sent = f.out+1, f.octets+int(q.n), sent+1
				break
			}
			if !f.again(e) {
				f.failOne(q, e)
				break
			}
		}
	}
	if sent > 0 {
		f.s.st.gsoFallbacks.Add(1)
		f.s.gso.refused(size, refusal)
	}
}

func (f *flush) account(tr *train) {
	f.out += int(tr.count)
	f.octets += int(tr.bytes)
	if tr.count > 1 {
		f.trains++
		f.trained += int(tr.count)
	}
}

func (f *flush) fail(tr *train, e syscall.Errno) {
	for i := tr.head; i != none; i = f.o.wire.after[i] {
		f.failOne(&f.o.queue[i], e)
	}
}

func (f *flush) failOne(q *queued, e syscall.Errno) {
	f.failed++
	f.s.st.sendErrors[ClassOf(e)].Add(1)
	f.o.fail(q, e)
}
