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
	Until(t, "what was written is read", func() bool { return unread(to) == 0 })
}

// unread is how many octets that were sent to an address over TCP are neither confirmed nor read.
func unread(to netip.AddrPort) (octets int) {
	end := kernelHex(to.Addr()) + ":" + portHex(to)
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 5 || f[3] == listening || f[1] != end && f[2] != end {
				continue
			}
			queue, received, _ := strings.Cut(f[4], ":") // not confirmed, not read
			if f[1] == end {
				queue = received
			}
			n, _ := strconv.ParseInt(queue, 16, 64)
			octets += int(n)
		}
	}
	return octets
}

// listening is the state of a socket that listens, of which the queues are connections.
const listening = "0A"
