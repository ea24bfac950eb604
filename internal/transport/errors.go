package transport

import (
	"errors"
	"net/netip"
	"strconv"
	"syscall"
)

var errSlots = errors.New("transport: a batch has 1 to 64 slots")

// ListenError says in one line why an address could not be listened on, and who
// or what would help. errors.Is(err, syscall.EADDRINUSE) and the like work.
type ListenError struct {
	Addr  netip.AddrPort
	Errno syscall.Errno
	Why   string // what follows the errno's text; may be empty
	// Network is "tcp"; "" is udp.
	Network string
}

func (e *ListenError) Error() string {
	network := e.Network
	if network == "" {
		network = "udp"
	}
	s := "listen " + network + " " + e.Addr.String() + ": " + e.Errno.Error()
	if e.Why != "" {
		s += e.Why
	}
	return s
}

// Unwrap gives the errno.
func (e *ListenError) Unwrap() error { return e.Errno }

// RouteError says that there is no way to a destination.
type RouteError struct {
	Dst   netip.Addr
	Errno syscall.Errno
}

func (e *RouteError) Error() string { return "route to " + e.Dst.String() + ": " + e.Errno.Error() }

// Unwrap gives the errno.
func (e *RouteError) Unwrap() error { return e.Errno }

// MemoryError says that the receive slots could not be had.
type MemoryError struct {
	Bytes int
	Errno syscall.Errno
}

func (e *MemoryError) Error() string {
	return "map " + strconv.Itoa(e.Bytes) + " octets for receiving: " + e.Errno.Error()
}

// Unwrap gives the errno.
func (e *MemoryError) Unwrap() error { return e.Errno }
