//go:build unix && !linux

package transport

import "golang.org/x/sys/unix"

func readNow(fd uintptr, b []byte) (n int, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		n, err = unix.Read(int(fd), b)
	}
	return n, err
}

func writeNow(fd uintptr, b []byte) (n int, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		n, err = unix.Write(int(fd), b)
	}
	return n, err
}

func readableNow(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(p, 0); err != unix.EINTR {
			return n != 0
		}
	}
}
