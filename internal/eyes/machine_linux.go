package eyes

import (
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

// machine looks at limits and the clock of this machine.
func (d *doctor) machine(*sample) {
	d.buffer("rmem_max", wantRead, "received messages", 0.2)
	d.buffer("wmem_max", wantWrite, "sent messages", 0.1)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		if files.Cur < wantFiles {
			d.note("warn", "open files", "Raise it for the engine: LimitNOFILE= of its unit, or 'ulimit -n "+strconv.Itoa(wantFiles)+"'.", "%d may be open in this shell; each listener takes a few, and each client of TCP one", files.Cur)
		} else {
			d.ok("open files", "%d may be open in this shell", files.Cur)
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
