//go:build linux && (amd64 || arm64)

package transport

import (
	"os"

	"golang.org/x/sys/unix"
)

// Rest waits as long as it takes until Recv may have something, an error or the end of the socket included. Unlike Recv
// it costs no thread meanwhile: the wait is Go's network poller's. Being woken takes some 20 µs longer, and going to
// rest a few system calls, so it is for sockets on which nothing came for a while. It reports false where there can be
// no such wait: out of descriptors, mostly. Only the receiver may call it.
func (s *Socket) Rest() bool {
	if !s.enter() {
		return true
	}
	defer s.leave()
	if s.errPending.Load() {
		return true
	}
	// The poller is to know the socket only while it rests, since it would wake a thread for every datagram. So it gets a
	// descriptor of its own, closed afterwards. It takes only one that does not block, which both descriptors are
	// then, and nobody minds: all other calls ask not to block by themselves.
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	if unix.SetNonblock(fd, true) != nil {
		unix.Close(fd)
		return false
	}
	f := os.NewFile(uintptr(fd), "udp")
	s.resting.Store(f)
	defer func() {
		s.resting.Store(nil)
		f.Close()
		_ = unix.SetNonblock(s.fd, false)
	}()
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	looked := false
	if s.woken.Load() { // after resting: Wake does it the other way round
		return true
	}
	err = conn.Read(func(fd uintptr) bool {
		if looked || s.closing() {
			return true
		}
		looked = true
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(p, 0)
		return n > 0
	})
	return err == nil || s.woken.Load()
}
