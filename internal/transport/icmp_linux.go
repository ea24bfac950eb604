//go:build linux && (amd64 || arm64)

package transport

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ICMP types that RFC 3261 section 18.4 has treated as a transport failure, and
// the code of destination unreachable that is none: the kernel learns the path
// MTU from it and fragments.
const (
	icmp4Unreachable  = 3
	icmp4FragNeeded   = 4
	icmp4ParamProblem = 12
	icmp6Unreachable  = 1
	icmp6ParamProblem = 4
)

// extendedErr is struct sock_extended_err of linux/errqueue.h, 16 octets; the
// address of the offender stands behind it.
const extendedErrSize = 16

// icmpReader is what one read of the error queue needs.
type icmpReader struct {
	hdr  unix.Msghdr
	iov  unix.Iovec
	name rawName
	ctl  [32]uint64
}

// RecvErr takes the next ICMP error about a datagram of ours; quote receives its
// payload and may be empty. False means that there is none. A datagram of a train
// that was refused on this machine (loopback) is reported once for the train.
// With several sockets on the port, it may have been another that sent. When a Flush
// finds that there is one, nobody who waits in Recv is told: whoever flushes asks
// ErrPending afterwards.
func (s *Socket) RecvErr(quote []byte) (ICMPError, bool) {
	if !s.enter() {
		return ICMPError{}, false
	}
	defer s.leave()
	s.icmpMu.Lock()
	defer s.icmpMu.Unlock()
	for {
		s.errPending.Store(false) // before the read: a Flush elsewhere may set it at any time
		n, e := s.readErrQueue(quote)
		if e == syscall.EINTR {
			continue
		}
		if e != 0 {
			return ICMPError{}, false
		}
		if ie, ok := s.icmp.parse(); ok {
			s.errPending.Store(true)
			ie.Payload = quote[:min(n, len(quote))]
			s.st.icmp.Add(1)
			return ie, true
		}
	}
}

func (s *Socket) readErrQueue(quote []byte) (int, syscall.Errno) {
	r := &s.icmp
	r.name = rawName{}
	r.iov = unix.Iovec{Base: unsafe.SliceData(quote), Len: uint64(len(quote))}
	r.hdr = unix.Msghdr{
		Name: (*byte)(unsafe.Pointer(&r.name)), Namelen: nameLen6, Iov: &r.iov, Iovlen: 1,
		Control: (*byte)(unsafe.Pointer(&r.ctl)), Controllen: uint64(unsafe.Sizeof(r.ctl)),
	}
	n, _, e := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&r.hdr)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	r.iov.Base = nil // the caller's
	return int(n), e
}

// parse reads the control messages of an error. False: one that is no failure.
func (r *icmpReader) parse() (ICMPError, bool) {
	b := (*[unsafe.Sizeof(r.ctl)]byte)(unsafe.Pointer(&r.ctl))[:min(r.hdr.Controllen, uint64(unsafe.Sizeof(r.ctl)))]
	for len(b) >= cmsgHdr {
		size := binary.NativeEndian.Uint64(b)
		if size < cmsgHdr || size > uint64(len(b)) {
			break
		}
		level, typ, data := binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:]), b[cmsgHdr:size]
		isErr := level == unix.IPPROTO_IP && typ == unix.IP_RECVERR || level == unix.IPPROTO_IPV6 && typ == unix.IPV6_RECVERR
		if isErr && len(data) >= extendedErrSize {
			ie := ICMPError{
				Dest:  r.name.decode(),
				Errno: syscall.Errno(binary.NativeEndian.Uint32(data)), Type: data[5], Code: data[6],
				Offender: offender(data[extendedErrSize:]),
			}
			return ie, isFailure(data[4], ie.Type, ie.Code)
		}
		b = b[min((size+7)&^7, uint64(len(b))):]
	}
	return ICMPError{}, false
}

func isFailure(origin, typ, code uint8) bool {
	switch origin {
	case unix.SO_EE_ORIGIN_ICMP:
		return typ == icmp4Unreachable && code != icmp4FragNeeded || typ == icmp4ParamProblem
	case unix.SO_EE_ORIGIN_ICMP6:
		return typ == icmp6Unreachable || typ == icmp6ParamProblem
	}
	return false // SO_EE_ORIGIN_LOCAL: send has returned it as well
}

func offender(sockaddr []byte) netip.Addr {
	var r rawName
	copy((*[nameLen6]byte)(unsafe.Pointer(&r))[:], sockaddr)
	return r.decode().Addr()
}
