//go:build linux

package transport

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What does not wait need not be told to Go's scheduler: being told costs as much as a small read, and its monitor, which looks
// every 20 µs for calls that take long, then never rests (the same as at Socket.Recv).

func readNow(fd uintptr, b []byte) (int, error) {
	return transferNow(unix.SYS_READ, fd, b)
}

func writeNow(fd uintptr, b []byte) (int, error) {
	return transferNow(unix.SYS_WRITE, fd, b)
}

func transferNow(call, fd uintptr, b []byte) (int, error) {
	for {
		n, _, e := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch e {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}

// readableNow reports whether a read would tell something, the end of the stream and errors included.
func readableNow(fd uintptr) bool {
	p, none := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}, unix.Timespec{}
	for {
		n, _, e := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&none)), 0, 0, 0)
		if e != unix.EINTR {
			return n != 0 || e != 0
		}
	}
}
