package lab

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// Ports that the tests use: the same in the tests' own namespace and outside.
const firstPort, lastPort = 25000, 25999

var handedOut atomic.Uint32

// Addr returns an address with a port that nothing uses yet, on UDP and on TCP.
func Addr(t testing.TB, host string) netip.AddrPort {
	t.Helper()
	ip := netip.MustParseAddr(host)
	for range lastPort - firstPort + 1 {
		n := handedOut.Add(1) - 1
		a := netip.AddrPortFrom(ip, uint16(firstPort+n%(lastPort-firstPort+1)))
		if free(a) {
			return a
		}
	}
	t.Fatalf("no free port from %d to %d on %s", firstPort, lastPort, host)
	return netip.AddrPort{}
}

// Addrs returns one address with a free port for each host.
func Addrs(t testing.TB, hosts ...string) []netip.AddrPort {
	t.Helper()
	var out []netip.AddrPort
	for _, host := range hosts {
		out = append(out, Addr(t, host))
	}
	return out
}

func free(a netip.AddrPort) bool {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(a))
	if err != nil {
		return false
	}
	udp.Close()
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(a))
	if err != nil {
		return false
	}
	tcp.Close()
	return true
}
