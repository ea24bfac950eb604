//go:build !linux

package health

import (
	"errors"
	"net/netip"
	"syscall"
)

// errNoPing is what ping monitors get where the package has no ICMP sockets.
var errNoPing = errors.New("ping monitors work on Linux only")

// PingPermitted says whether ping monitors can work here: an error says what is missing.
func PingPermitted() error { return errNoPing }

type icmpSocket struct{}

func openICMP(netip.Addr) (*icmpSocket, error)                   { return nil, errNoPing }
func (s *icmpSocket) close() error                               { return nil }
func (s *icmpSocket) send(b []byte, to netip.Addr) syscall.Errno { return syscall.ENOSYS }
func (p *pinger) receive(*icmpSocket)                            { p.l.wg.Done() }
