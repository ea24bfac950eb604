//go:build linux && (amd64 || arm64)

package transport

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is a bound UDP socket. Recv is for one goroutine at a time; all else may be
// called by any, Flush by each with an Out of its own.
type Socket struct {
	fd       int
	local    netip.AddrPort
	v6       bool   // AF_INET6, else AF_INET
	wildcard bool   // bound to no address: datagrams come and go with control messages that say which
	control  bool   // received datagrams carry control messages
	poll     poller // of the receiver
	hot      bool   // Recv keeps its P while it waits, see holdFor

	recvTimeout time.Duration // as last set on fd; of the receiver
	errPending  atomic.Bool

	icmpMu sync.Mutex // of icmp; ICMP is rare
	icmp   icmpReader

	gso   gsoLimit
	users atomic.Int64 // calls under way, times two; bit 0: Close was called
	st    counters

	shared  atomic.Bool             // another process reads it as long as this one does not
	hurried atomic.Bool             // Recv waits hurriedWait at the most
	woken   atomic.Bool             // Rest does not wait
	resting atomic.Pointer[os.File] // of who rests; else nil
}

// ListenUDP opens n sockets on one address; with more than one the kernel spreads
// datagrams over them by the hash of addresses and ports. Port 0 takes a free one. IPv6 sockets never take IPv4. The error is a
// *ListenError and says who holds the port, or what to do.
func ListenUDP(addr netip.AddrPort, n int, opt Options) ([]*Socket, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if n < 1 || !addr.IsValid() {
		return nil, &ListenError{Addr: addr, Errno: syscall.EINVAL}
	}
	// The first bind is without SO_REUSEPORT, else a second start by the same user
	// would share the port and take half of the datagrams. The option is set after
	// it, which opens the group to the other sockets and leaves no gap.
	first, err := openSocket(addr, opt, opt.ReusePort)
	if err != nil {
		return nil, err
	}
	if n > 1 && !opt.ReusePort {
		if err := unix.SetsockoptInt(first.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			first.Close()
			return nil, &ListenError{Addr: addr, Errno: errnoOf(err), Why: "SO_REUSEPORT"}
		}
	}
	sockets := []*Socket{first}
	for len(sockets) < n {
		s, err := openSocket(first.local, opt, true)
		if err != nil {
			for _, o := range sockets {
				o.Close()
			}
			return nil, err
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func openSocket(addr netip.AddrPort, opt Options, reuse bool) (*Socket, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &ListenError{Addr: addr, Errno: errnoOf(err)}
	}
	s := &Socket{fd: fd, v6: family == unix.AF_INET6, wildcard: addr.Addr().IsUnspecified(), poll: pollFor(opt), hot: opt.Spin >= 0}
	s.gso.init(!opt.NoGSO && gsoWorks(fd))
	if s.v6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err = errors.Join(err, s.setOptions(opt, reuse)); err != nil {
		unix.Close(fd)
		return nil, &ListenError{Addr: addr, Errno: errnoOf(err), Why: "socket options"}
	}
	if err := unix.Bind(fd, sockaddrOf(addr)); err != nil {
		unix.Close(fd)
		if opt.Quiet {
			return nil, &ListenError{Addr: addr, Errno: errnoOf(err)}
		}
		return nil, explain(addr, errnoOf(err))
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return nil, &ListenError{Addr: addr, Errno: errnoOf(err)}
	}
	s.local = addrPortOf(sa)
	return s, nil
}

func (s *Socket) setOptions(opt Options, reuse bool) error {
	set := func(on bool, level, name int) (err error) {
		if on {
			err = unix.SetsockoptInt(s.fd, level, name, 1)
		}
		return err
	}
	err := errors.Join(
		set(reuse, unix.SOL_SOCKET, unix.SO_REUSEPORT),
		set(s.v6, unix.IPPROTO_IPV6, unix.IPV6_RECVERR),
		set(!s.v6, unix.IPPROTO_IP, unix.IP_RECVERR),
		set(s.v6 && s.wildcard, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO),
		set(!s.v6 && s.wildcard, unix.IPPROTO_IP, unix.IP_PKTINFO),
	)
	if err != nil {
		return err
	}
	// Before Linux 5.0 there is no UDP_GRO: datagrams then come one by one.
	gro := opt.GRO && set(true, unix.SOL_UDP, unix.UDP_GRO) == nil
	s.control = gro || s.wildcard
	setBuffer(s.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, opt.RecvBuf)
	setBuffer(s.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, opt.SendBuf)
	return nil
}

// setBuffer asks for a buffer beyond the system's maximum, and without the right
// to that for what the system gives.
func setBuffer(fd, force, plain, bytes int) {
	if bytes > 0 && unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, bytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, bytes)
	}
}

// pollFor tells how long to poll. On a machine with one CPU it would only keep
// those away who are to send us something. A process that is bound to one CPU of
// several has it mostly to itself, so NumCPU is not what counts.
func pollFor(opt Options) poller {
	if opt.Spin != 0 {
		most := max(opt.Spin, 0)
		return poller{least: min(LeastSpin, most), most: most}
	}
	online, err := os.ReadFile("/sys/devices/system/cpu/online") // "0-3,6", or "0"
	if several := strings.ContainsAny(string(online), "-,"); !several && err == nil || runtime.GOMAXPROCS(0) == 1 {
		return poller{}
	}
	return poller{least: LeastSpin, most: DefaultSpin}
}

// LocalAddr is the address the socket is bound to, with the port it got.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Stats reads the counters. Any goroutine may ask, also after Close.
func (s *Socket) Stats() Stats {
	st := s.st.read()
	if !s.enter() {
		return st
	}
	defer s.leave()
	var mem [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(mem))
	_, _, e := syscall.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&mem)), uintptr(unsafe.Pointer(&size)), 0)
	if e == 0 {
		st.KernelDrops = uint64(mem[unix.SK_MEMINFO_DROPS])
	}
	return st
}

// enter marks a call under way, so that the descriptor is not closed, and
// perhaps used again for another file, under its hands. False: it is closed.
func (s *Socket) enter() bool {
	if s.users.Add(2)&1 == 0 {
		return true
	}
	s.leave()
	return false
}

func (s *Socket) leave() {
	if s.users.Add(-2) == 1 && s.users.CompareAndSwap(1, closedForGood) {
		unix.Close(s.fd)
	}
}

// closedForGood in users: the descriptor is gone. Far below zero and odd, so that
// calls that come late find bit 0 set and never count up to 1 again.
const closedForGood = -1<<62 + 1

func (s *Socket) closing() bool { return s.users.Load()&1 != 0 }

// Close wakes a blocked Recv at once and closes the socket when the last call
// under way has returned. Any goroutine may call it, more than once too.
func (s *Socket) Close() error {
	s.users.Add(2)
	if s.users.Or(1)&1 == 0 && !s.shared.Load() {
		// shutdown of an unconnected UDP socket returns ENOTCONN and yet wakes
		// whoever waits in recvmmsg: inet_shutdown of the kernel does so on purpose.
		_ = unix.Shutdown(s.fd, unix.SHUT_RD)
	}
	s.leave()
	return nil
}

// LocalAddrFor tells which source address the routing table gives to datagrams
// for dst. Nothing is sent.
func LocalAddrFor(dst netip.Addr) (netip.Addr, error) {
	dst = dst.Unmap()
	family := unix.AF_INET
	if dst.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}, &RouteError{Dst: dst, Errno: errnoOf(err)}
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sockaddrOf(netip.AddrPortFrom(dst, 9))); err != nil {
		return netip.Addr{}, &RouteError{Dst: dst, Errno: errnoOf(err)}
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}, &RouteError{Dst: dst, Errno: errnoOf(err)}
	}
	return addrPortOf(sa).Addr(), nil
}

func errnoOf(err error) syscall.Errno {
	var e syscall.Errno
	errors.As(err, &e)
	return e
}
