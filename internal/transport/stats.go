package transport

import (
	"math/bits"
	"sync/atomic"
	"syscall"
)

// SizeClasses is the number of classes of Stats.RecvSizes and SendSizes: 1, 2-3,
// 4-7, 8-15, 16-31, 32-63, 64-127, 128 and more datagrams in one call.
const SizeClasses = 8

// ErrClass says why a datagram was not sent.
type ErrClass uint8

// The classes of Stats.SendErrors.
const (
	ErrOther       ErrClass = iota
	ErrFull                 // EAGAIN, ENOBUFS, ENOMEM: the socket's buffer or the interface's queue was full
	ErrRefused              // ECONNREFUSED: again and again an ICMP port unreachable of earlier datagrams
	ErrUnreachable          // EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN: no route
	ErrTooLong              // EMSGSIZE
	ErrForbidden            // EPERM, EACCES: a filter or a prohibiting route
	ErrBadAddress           // EINVAL, EADDRNOTAVAIL, EAFNOSUPPORT: wrong family, port 0, source not ours
	ErrClosed               // the socket was closed
	NumErrClass
)

var errClassNames = [NumErrClass]string{
	"other", "full", "refused", "unreachable", "too_long", "forbidden", "bad_address", "closed",
}

// String gives the class as a metric label.
func (c ErrClass) String() string {
	if c >= NumErrClass {
		return errClassNames[ErrOther]
	}
	return errClassNames[c]
}

// ClassOf tells the class of an errno of send.
func ClassOf(e syscall.Errno) ErrClass {
	switch e {
	case syscall.EAGAIN, syscall.ENOBUFS, syscall.ENOMEM:
		return ErrFull
	case syscall.ECONNREFUSED:
		return ErrRefused
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN:
		return ErrUnreachable
	case syscall.EMSGSIZE:
		return ErrTooLong
	case syscall.EPERM, syscall.EACCES:
		return ErrForbidden
	case syscall.EINVAL, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EDESTADDRREQ:
		return ErrBadAddress
	case syscall.EBADF:
		return ErrClosed
	}
	return ErrOther
}

// Stats are the counters of a socket since it was opened.
type Stats struct {
	In, InBytes   uint64              // datagrams received and their octets
	Out, OutBytes uint64              // datagrams sent and their octets
	RecvSizes     [SizeClasses]uint64 // calls of Recv that gave something, by datagrams
	SendSizes     [SizeClasses]uint64 // calls of Flush with something, by datagrams
	GROTrains     uint64              // slots that held more than one datagram
	GRODatagrams  uint64              // datagrams in them
	GSOSends      uint64              // sends of more than one datagram
	GSODatagrams  uint64              // datagrams in them
	GSOFallbacks  uint64              // trains taken apart since the path refused them
	Truncated     uint64              // datagrams longer than a slot, dropped
	Blocked       uint64              // times Recv waited in the kernel
	SendWaits     uint64              // times Flush waited for a full buffer
	ICMP          uint64              // errors given by RecvErr
	SendErrors    [NumErrClass]uint64 // datagrams not sent, by class
	KernelDrops   uint64              // datagrams the kernel dropped since the receive buffer was full
}

// counters are the live form of Stats. They are added to once a batch or more
// seldom, so that atomics are affordable.
type counters struct {
	in, inBytes, groTrains, groDatagrams, truncated, blocked, icmp atomic.Uint64
	recvSizes                                                      [SizeClasses]atomic.Uint64
	_                                                              [64]byte // receiver and senders may be different threads

	out, outBytes, gsoSends, gsoDatagrams, gsoFallbacks, sendWaits atomic.Uint64
	sendSizes                                                      [SizeClasses]atomic.Uint64
	sendErrors                                                     [NumErrClass]atomic.Uint64
}

// sizeClass tells the class of a batch of n datagrams, n at least 1.
func sizeClass(n int) int { return min(bits.Len(uint(n))-1, SizeClasses-1) }

// read sums up the counters; KernelDrops is left to the socket.
func (c *counters) read() Stats {
	st := Stats{
		In: c.in.Load(), InBytes: c.inBytes.Load(), Out: c.out.Load(), OutBytes: c.outBytes.Load(),
		GROTrains: c.groTrains.Load(), GRODatagrams: c.groDatagrams.Load(),
		GSOSends: c.gsoSends.Load(), GSODatagrams: c.gsoDatagrams.Load(), GSOFallbacks: c.gsoFallbacks.Load(),
		Truncated: c.truncated.Load(), Blocked: c.blocked.Load(), SendWaits: c.sendWaits.Load(), ICMP: c.icmp.Load(),
	}
	for i := range st.RecvSizes {
		st.RecvSizes[i], st.SendSizes[i] = c.recvSizes[i].Load(), c.sendSizes[i].Load()
	}
	for i := range st.SendErrors {
		st.SendErrors[i] = c.sendErrors[i].Load()
	}
	return st
}
