//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// RequireFiles sees to it that this process and the programs that it starts may have so many files open, sockets among
// them.
func RequireFiles(t testing.TB, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= n && limit.Max >= n {
		return
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: max(limit.Cur, n), Max: max(limit.Max, n)}); err != nil {
		Missing(t, fmt.Sprintf("%d open files (the limit is %d)", n, limit.Max), "ulimit -Hn, or root")
	}
}

// AwaitRead waits until what was written to an address over TCP has been read there: no octet waits in a socket of either end.
func AwaitRead(t testing.TB, to netip.AddrPort) {
	t.Helper()
	end := kernelHex(to.Addr()) + ":" + portHex(to)
	Until(t, "what was written is read", func() bool {
		return unread(func(from, at string) bool { return at == end }) == 0
	})
}

// AwaitReadFrom waits until what was written from a port over TCP has been read by whoever it was sent to.
func AwaitReadFrom(t testing.TB, port netip.AddrPort) {
	t.Helper()
	end := ":" + portHex(port)
	Until(t, "what was written is read", func() bool {
		return unread(func(from, at string) bool { return strings.HasSuffix(from, end) }) == 0
	})
}

// unread is how many octets that were sent over TCP between ends of interest are neither confirmed nor read.
func unread(counts func(from, to string) bool) (octets int) {
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 5 || f[3] == listening {
				continue
			}
			queue, received, _ := strings.Cut(f[4], ":") // not confirmed, not read
			local, remote := f[1], f[2]
			for _, q := range []struct{ from, to, octets string }{{local, remote, queue}, {remote, local, received}} {
				if counts(q.from, q.to) {
					n, _ := strconv.ParseInt(q.octets, 16, 64)
					octets += int(n)
				}
			}
		}
	}
	return octets
}

// listening is the state of a socket that listens, of which the queues are connections.
const listening = "0A"
