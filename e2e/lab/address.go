//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
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
	// A child that is being started has our sockets until it runs its program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
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

// Bound says whether a UDP socket of this network namespace has the address (or all addresses) and port.
func Bound(a netip.AddrPort) bool {
	bound := false
	eachSocket(func(local string, _ []string) {
		addr, port, _ := strings.Cut(local, ":")
		if port == portHex(a) && (addr == kernelHex(a.Addr()) || strings.Trim(addr, "0") == "") {
			bound = true
		}
	})
	return bound
}

// Queue looks at the UDP sockets bound to exactly this address: the most octets that wait in one of them, and how many
// datagrams all of them had to drop for want of room.
func Queue(a netip.AddrPort) (waiting, dropped int) {
	want := kernelHex(a.Addr()) + ":" + portHex(a)
	eachSocket(func(local string, fields []string) {
		if local != want || len(fields) < 13 {
			return
		}
		_, rx, _ := strings.Cut(fields[4], ":")
		octets, _ := strconv.ParseInt(rx, 16, 64)
		waiting = max(waiting, int(octets))
		drops, _ := strconv.Atoi(fields[12])
		dropped += drops
	})
	return waiting, dropped
}

// eachSocket goes over the lines of /proc/net/udp and udp6: local address and all fields.
func eachSocket(see func(local string, fields []string)) {
	for _, file := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			if fields := strings.Fields(line); len(fields) > 1 {
				see(fields[1], fields)
			}
		}
	}
}

func portHex(a netip.AddrPort) string { return fmt.Sprintf("%04X", a.Port()) }

// kernelHex writes an address as /proc/net/udp does: 32-bit words in the machine's order (little endian here).
func kernelHex(a netip.Addr) string {
	raw := a.AsSlice()
	var b strings.Builder
	for i := 0; i < len(raw); i += 4 {
		fmt.Fprintf(&b, "%02X%02X%02X%02X", raw[i+3], raw[i+2], raw[i+1], raw[i])
	}
	return b.String()
}
