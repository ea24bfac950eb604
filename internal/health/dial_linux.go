package health

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dialControl lets the kernel choose the local port when it connects, not when it binds: then it need be free only towards that
// one server, and a thousand probes a second do not use up the ports.
func dialControl(network, _ string, c syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return nil
	}
	// Before Linux 4.2 there is no such option, and more ports are used.
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) })
}
