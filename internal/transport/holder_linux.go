//go:build linux && (amd64 || arm64)

package transport

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// explain turns the errno of bind into a sentence that helps.
func explain(addr netip.AddrPort, e syscall.Errno) *ListenError {
	le := &ListenError{Addr: addr, Errno: e}
	switch e {
	case syscall.EADDRINUSE:
		if who := holder(addr); who != "" {
			le.Why = " by " + who
		}
	case syscall.EACCES:
		first := 1024
		if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
			first, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		if int(addr.Port()) < first {
			le.Why = ": ports below " + strconv.Itoa(first) + " need CAP_NET_BIND_SERVICE (setcap cap_net_bind_service=+ep " +
				os.Args[0] + ") or sysctl net.ipv4.ip_unprivileged_port_start=" + strconv.Itoa(int(addr.Port()))
		}
	case syscall.EADDRNOTAVAIL:
		le.Why = ": no interface here has " + addr.Addr().String()
	}
	return le
}

// holder names the process that stands in the way of binding addr, for instance
// "kamailio (pid 1234)", or "" when that can't be seen: another user's process
// keeps its files to itself.
func holder(addr netip.AddrPort) string {
	inode := ""
	if addr.Addr().Is4() {
		inode = socketInode("/proc/thread-self/net/udp", addr)
	}
	if inode == "" { // for IPv4 too: a socket of both families stands there
		inode = socketInode("/proc/thread-self/net/udp6", addr)
	}
	if inode == "" {
		return ""
	}
	want := "socket:[" + inode + "]"
	files, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, f := range files {
		if l, err := os.Readlink(f); err == nil && l == want {
			pid := strings.Split(f, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			if pid == strconv.Itoa(os.Getpid()) {
				return "this process itself (pid " + pid + ")"
			}
			return strings.TrimSpace(string(name)) + " (pid " + pid + ")"
		}
	}
	return ""
}

// socketInode looks in a table of /proc/net for a socket on the port whose
// address is the same as addr or, like addr, stands for all.
func socketInode(table string, addr netip.AddrPort) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...
		col := strings.Fields(sc.Text())
		if len(col) < 10 {
			continue
		}
		local, ok := procAddr(col[1])
		if !ok || local.Port() != addr.Port() {
			continue
		}
		if local.Addr().Unmap() == addr.Addr() || local.Addr().IsUnspecified() || addr.Addr().IsUnspecified() {
			return col[9]
		}
	}
	return ""
}

// procAddr reads "0100007F:13C4": words of 4 octets in the machine's order, and
// the port as a plain number.
func procAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	p, perr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || perr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, uint16(p)), ok
}
