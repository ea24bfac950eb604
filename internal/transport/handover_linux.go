//go:build linux && (amd64 || arm64)

package transport

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// hurriedWait is how long Recv waits at the most in the kernel on a socket that is about to change hands: nothing else ends
// that wait.
const hurriedWait = time.Millisecond

// Hurry has Recv come back soon, whatever it was told to wait, or ends that.
func (s *Socket) Hurry(on bool) { s.hurried.Store(on) }

// Wake has Rest return at once, or ends that.
func (s *Socket) Wake(on bool) {
	s.woken.Store(on)
	if f := s.resting.Load(); on && f != nil {
		_ = f.SetReadDeadline(longAgo)
	}
}

// Descriptor has use look at the socket's file descriptor.
func (s *Socket) Descriptor(use func(fd int)) error {
	if !s.enter() {
		return os.ErrClosed
	}
	defer s.leave()
	use(s.fd)
	return nil
}

// Detach closes the descriptor and not the socket, which another process has too. Nobody may be waiting in Recv or Rest.
func (s *Socket) Detach() {
	s.users.Add(2)
	s.users.Or(1)
	s.leave()
}

// Own says that the other process reads an adopted socket no more. Until then closing it must not disturb that one.
func (s *Socket) Own() { s.shared.Store(false) }

// AdoptUDP makes a Socket of one that another process has open, and takes the file, closed in the end.
func AdoptUDP(f *os.File, opt Options) (*Socket, error) {
	defer f.Close()
	var fd int
	var err error
	raw, rawErr := f.SyscallConn()
	if rawErr != nil {
		return nil, rawErr
	}
	if rawErr = raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); rawErr != nil {
		return nil, rawErr
	}
	if err != nil {
		return nil, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	local := addrPortOf(sa)
	s := &Socket{fd: fd, local: local, v6: local.Addr().Is6(), wildcard: local.Addr().IsUnspecified(), poll: pollFor(opt), hot: opt.Spin >= 0}
	s.gso.init(!opt.NoGSO && gsoWorks(fd))
	if err := s.setOptions(opt, false); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.shared.Store(true)
	s.errPending.Store(true) // what the other one did not read any more
	return s, nil
}
