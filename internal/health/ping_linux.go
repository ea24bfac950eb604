package health

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// icmpSocket is a socket for echo requests: an unprivileged one (SOCK_DGRAM) where the system allows it, else a raw one.
type icmpSocket struct {
	file *os.File
	conn syscall.RawConn
	v6   bool
	raw  bool
}

// PingPermitted says whether ping monitors can work here: an error says what is missing.
func PingPermitted() error {
	s, err := openICMP(netip.IPv4Unspecified())
	if err != nil {
		return err
	}
	return s.close()
}

func openICMP(local netip.Addr) (*icmpSocket, error) {
	s := &icmpSocket{v6: local.Is6()}
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if s.v6 {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|flags, proto)
	if err != nil {
		s.raw = true
		if fd, err = unix.Socket(family, unix.SOCK_RAW|flags, proto); err != nil {
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
				return nil, fmt.Errorf("no right to ICMP sockets: give the process a group within sysctl net.ipv4.ping_group_range, or CAP_NET_RAW: %w", err)
			}
			return nil, fmt.Errorf("ICMP socket: %w", err)
		}
	}
	if err := s.setOptions(fd); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("ICMP socket: %w", err)
	}
	if !local.IsUnspecified() {
		if err := unix.Bind(fd, sockaddr(local)); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("ICMP socket on %v: %w", local, err)
		}
	}
	s.file = os.NewFile(uintptr(fd), "icmp")
	if s.conn, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, fmt.Errorf("ICMP socket: %w", err)
	}
	return s, nil
}

// solRaw and icmpFilter are SOL_RAW and ICMP_FILTER of linux/icmp.h, which x/sys lacks.
const solRaw, icmpFilter = 255, 1

// setOptions asks for ICMP errors, and keeps from a raw socket what is no echo reply.
func (s *icmpSocket) setOptions(fd int) error {
	if !s.v6 {
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1); err != nil || !s.raw {
			return err
		}
		all := uint32(0xffffffff)
		return unix.SetsockoptInt(fd, solRaw, icmpFilter, int(int32(all&^(1<<echoReply4))))
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1); err != nil || !s.raw {
		return err
	}
	var f unix.ICMPv6Filter
	for i := range f.Data {
		f.Data[i] = 0xffffffff
	}
	f.Data[echoReply6/32] &^= 1 << (echoReply6 % 32)
	return unix.SetsockoptICMPv6Filter(fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &f)
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

func addrOf(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr).Unmap()
	}
	return netip.Addr{}
}

func (s *icmpSocket) close() error { return s.file.Close() }

func (s *icmpSocket) send(b []byte, to netip.Addr) syscall.Errno {
	var e syscall.Errno
	err := s.conn.Control(func(fd uintptr) {
		if err := unix.Sendto(int(fd), b, unix.MSG_DONTWAIT, sockaddr(to)); err != nil && !errors.As(err, &e) {
			e = unix.EIO
		}
	})
	if err != nil {
		return unix.EBADF
	}
	return e
}

// receive hands replies and ICMP errors to the loop, until s is closed.
func (p *pinger) receive(s *icmpSocket) {
	defer p.l.wg.Done()
	buf := make([]byte, 2048)
	for {
		var es []event
		err := s.conn.Read(func(fd uintptr) bool {
			es = p.read(s, int(fd), buf)
			return len(es) > 0
		})
		if errors.Is(err, os.ErrClosed) {
			return
		}
		for _, e := range es {
			if !p.l.post(e) {
				return
			}
		}
		if err != nil {
			// The poller saw an error and nothing else; what there is to read then waits for its next look.
			select {
			case <-time.After(openRetry):
			case <-p.l.stop:
				return
			}
		}
	}
}

// maxRead bounds what read takes at once.
const maxRead = 64

// read takes what is there from socket and error queue.
func (p *pinger) read(s *icmpSocket, fd int, buf []byte) []event {
	var es []event
	at := time.Now()
	for range maxRead {
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			continue // an ICMP error, which is in the queue below
		}
		b := buf[:n]
		if s.raw && !s.v6 && n > 0 { // IPv4 raw sockets give the IP header too
			b = b[min(n, int(b[0]&0xf)*4):]
		}
		if run, ok := replyRun(b, s.v6, p.mark); ok {
			es = append(es, event{kind: answered, run: run, from: netip.AddrPortFrom(addrOf(from), 0), at: at})
		}
	}
	oob := make([]byte, 512)
	for range maxRead {
		_, oobn, _, dest, err := unix.Recvmsg(fd, buf, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			break
		}
		if out := errQueueOutcome(oob[:oobn]); out.code != Success {
			es = append(es, event{kind: unreachable, from: netip.AddrPortFrom(addrOf(dest), 0), at: at, out: out})
		}
	}
	return es
}

const (
	sockExtendedErrLen = 16 // struct sock_extended_err of linux/errqueue.h: errno, origin, type, code, ...
	icmpUnreachable4   = 3
	icmpUnreachable6   = 1
)

// errQueueOutcome reads the control messages of one error. Only destination unreachable counts; Success stands for all others.
func errQueueOutcome(oob []byte) outcome {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return outcome{}
	}
	for _, m := range msgs {
		is4 := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR
		is6 := m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !is4 && !is6 || len(m.Data) < sockExtendedErrLen {
			continue
		}
		origin, typ := m.Data[4], m.Data[5]
		if origin == unix.SO_EE_ORIGIN_ICMP && typ == icmpUnreachable4 || origin == unix.SO_EE_ORIGIN_ICMP6 && typ == icmpUnreachable6 {
			// Nothing that ICMP may say of an echo request speaks of a port.
			out := outcomeOf(syscall.Errno(binary.NativeEndian.Uint32(m.Data)), ServerUnreachable)
			out.code, out.detail = ServerUnreachable, "ICMP: "+out.detail
			return out
		}
	}
	return outcome{}
}
