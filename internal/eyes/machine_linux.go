package eyes

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What the engine asks for, see engine: receive and send buffer of a socket.
const (
	wantRead  = 8 << 20
	wantWrite = 4 << 20
	wantFiles = 8192
)

// elsewhere says why a process is not to be looked at from here; empty: it is.
func elsewhere(pid int) string {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return ""
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	switch {
	case os.IsPermission(err):
		return fmt.Sprintf("process %d is another user's: run doctor as that one, or as root", pid)
	case err != nil:
		return fmt.Sprintf("there is no process %d here: it runs in a container, or on a machine of the same name", pid)
	case its != own:
		return fmt.Sprintf("it runs in another network namespace: nsenter -t %d -n carillon doctor", pid)
	}
	return ""
}

// pathMTU is how large a packet may be that goes where a socket is connected to; 0: the kernel does not tell.
func pathMTU(conn *net.UDPConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	mtu := 0
	_ = raw.Control(func(fd uintptr) { // a socket that was just made
		if mtu, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU); err != nil {
			mtu, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU)
		}
	})
	return mtu
}

// machine looks at limits and the clock of this machine, and of the engines on it.
func (d *doctor) machine(*sample) {
	for _, p := range d.places {
		if p.here {
			d.process(p)
		}
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		d.note("skipped", "clock", "", "the kernel does not tell: %v", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		d.note("warn", "clock", "Run an NTP client, such as chrony: times of traces, logs and certificates depend on it.", "the kernel says that it is not synchronized")
	default:
		d.ok("clock", "synchronized")
	}
}

// process looks at the limits of an engine.
func (d *doctor) process(p site) {
	proc := fmt.Sprintf("/proc/%d/", p.pid)
	if mayExceed(proc + "status") {
		d.ok("buffers of engine "+p.name, "it has CAP_NET_ADMIN, and sets them whatever rmem_max and wmem_max say")
	} else {
		d.buffer("rmem_max", wantRead, "received messages", 0.2)
		d.buffer("wmem_max", wantWrite, "sent messages", 0.1)
	}
	name := "open files of engine " + p.name
	limit, err := fileLimit(proc + "limits")
	open, openErr := os.ReadDir(proc + "fd")
	mend := "Raise it: LimitNOFILE= of its unit, or 'ulimit -n " + strconv.Itoa(wantFiles) + "' before it starts."
	switch {
	case err != nil || openErr != nil:
		d.note("skipped", name, "Run doctor as the engine's user, or as root.", "its limit cannot be read")
	case len(open)*10 > limit*8:
		d.note("bad", name, mend, "%d of %d are open: soon it can take no more connections", len(open), limit)
	case limit < wantFiles:
		d.note("warn", name, mend, "%d are open, and %d may be: each listener takes a few, and each connection one", len(open), limit)
	default:
		d.ok(name, "%d are open, and %d may be", len(open), limit)
	}
}

// mayExceed reports whether a process has CAP_NET_ADMIN.
func mayExceed(status string) bool {
	data, err := os.ReadFile(status)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			return err == nil && caps>>unix.CAP_NET_ADMIN&1 == 1
		}
	}
	return false
}

// fileLimit is how many files a process may have open now.
func fileLimit(limits string) (int, error) {
	data, err := os.ReadFile(limits)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "Max open files"); ok {
			if f := strings.Fields(text); len(f) > 0 {
				return strconv.Atoi(f[0])
			}
		}
	}
	return 0, fmt.Errorf("%s has no line of open files", limits)
}

func (d *doctor) buffer(name string, want int, what string, lasts float64) {
	data, err := os.ReadFile("/proc/sys/net/core/" + name)
	if err != nil {
		d.note("skipped", name, "", "%v", err)
		return
	}
	have, err := strconv.Atoi(strings.TrimSpace(string(data)))
	switch {
	case err != nil:
		d.note("skipped", name, "", "%v", err)
	case have < want:
		d.note("warn", name, "'sysctl -w net.core."+name+"="+strconv.Itoa(want)+"', and a file in /etc/sysctl.d; an engine with CAP_NET_ADMIN needs it not.",
			"%d octets, and the engine asks for %d: buffers for %s hold less than %.1f s at full speed", have, want, what, lasts)
	default:
		d.ok(name, "%d octets", have)
	}
}
