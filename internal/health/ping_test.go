package health

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pingMonitor() Monitor {
	return Monitor{Name: "ping", Type: Ping, Interval: 10 * time.Second, Timeout: 4 * time.Second, Rise: 2, Fall: 2}
}

// skipUnlessCI ends a test for want of something: in CI that is a failure.
func skipUnlessCI(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func TestPing(t *testing.T) {
	if err := PingPermitted(); err != nil {
		skipUnlessCI(t, err.Error())
	}
	for _, on := range []netip.Addr{loopback4, loopback6} {
		for _, local := range []netip.Addr{{}, on} {
			target := at(netip.AddrPortFrom(on, 5060), once(pingMonitor()))
			target.Local = netip.AddrPortFrom(local, 5060)
			w := newWatch(t, Config{}, target)
			w.expect(t, Up, Success, "")
			st, _ := w.ServerStatus("p", target.Server)
			if m := st.Monitors[0]; m.LatencyLast <= 0 || m.Port != 0 {
				t.Errorf("%+v", m)
			}
		}
	}
}

// TestPingNotPermitted: without the right to ICMP sockets the error says what to do.
func TestPingNotPermitted(t *testing.T) {
	if group, err := os.ReadFile("/proc/sys/net/ipv4/ping_group_range"); err != nil || !strings.HasPrefix(string(group), "1\t0") {
		t.Skipf("everybody may ping here: ping_group_range %q, %v", group, err)
	}
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread without rights ends with the goroutine
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			errs <- nil
			return
		}
		errs <- PingPermitted()
	}()
	err := <-errs
	if err == nil || !strings.Contains(err.Error(), "CAP_NET_RAW") || !strings.Contains(err.Error(), "ping_group_range") {
		t.Errorf("error %v", err)
	}
}

func TestReplyRun(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		reply := appendEcho(nil, v6, 1, 2, 0x1234, 0x5678)
		if _, ok := replyRun(reply, v6, 0x1234); ok {
			t.Error("a request taken for a reply")
		}
		reply[0] = echoReply4
		if v6 {
			reply[0] = echoReply6
		}
		if run, ok := replyRun(reply, v6, 0x1234); !ok || run != 0x5678 {
			t.Errorf("run %x, %v", run, ok)
		}
		if _, ok := replyRun(reply, v6, 0x9999); ok {
			t.Error("somebody else's reply taken for ours")
		}
		for i := range reply {
			if _, ok := replyRun(reply[:i], v6, 0x1234); ok {
				t.Errorf("reply cut to %d octets taken", i)
			}
		}
	}
	if sum := checksum(appendEcho(nil, false, 1, 2, 3, 4)); sum != 0 {
		t.Errorf("checksum over a request with checksum: %#x", sum)
	}
}

// The tests in a network namespace run this test binary again inside one, where the machine's own network can't be touched:
//
//	+--------- namespace ---------+
//	| lo       127.0.0.1, ::1     |
//	| v0       10.77.0.1/24 ---- v1 (up, nobody there: no ARP is answered)
//	+-----------------------------+
const inNamespace = "CARILLON_HEALTH_IN_NAMESPACE"

func namespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) == t.Name() {
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		skipUnlessCI(t, "the program ip is missing: apt install iproute2")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
	case len(out) == 0:
		skipUnlessCI(t, "no user namespaces here: "+err.Error())
	default:
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
	return false
}

func command(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// TestInNamespaceUnreachable: ICMP host unreachable (here the kernel's own, since no ARP is answered) and a missing route, for each kind of
// monitor that shares a socket; with raw and with unprivileged ICMP sockets.
func TestInNamespaceUnreachable(t *testing.T) {
	t.Parallel()
	if !namespace(t) {
		return
	}
	for _, line := range []string{
		"ip link set lo up", "ip link add v0 type veth peer name v1", "ip link set v0 up", "ip link set v1 up", "ip addr add 10.77.0.1/24 dev v0",
		"ip addr add fd77::1/64 dev v0 nodad", "ip -6 addr add fd77::9/64 dev v0 nodad",
	} {
		command(t, line)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		for file, value := range map[string]string{"mcast_solicit": "1", "retrans_time_ms": "100"} {
			if err := os.WriteFile("/proc/sys/net/"+family+"/neigh/v0/"+file, []byte(value), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	silent, silent6 := netip.MustParseAddrPort("10.77.0.2:5060"), netip.MustParseAddrPort("[fd77::2]:5060")
	noRoute := netip.MustParseAddrPort("10.88.0.2:5060")
	for _, raw := range []bool{true, false} { // a new namespace lets nobody ping without privilege
		if !raw {
			if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0); err != nil {
				t.Fatal(err)
			}
		}
		s, err := openICMP(loopback4)
		if err != nil || s.raw != raw {
			t.Fatalf("%+v, %v; want a raw socket: %v", s, err, raw)
		}
		s.close()
		var rows cases
		row := func(server netip.AddrPort, mon Monitor, state State, reason Code, detail string) {
			name := fmt.Sprintf("%s %v, raw %v", mon.Name, server, raw)
			rows.add(name, newWatch(t, Config{}, at(server, paced(mon, state, reason))), state, reason, detail)
		}
		for _, mon := range []Monitor{pingMonitor(), sipMonitor("sip")} {
			row(silent, mon, Down, ServerUnreachable, "ICMP: no route to host")
			row(silent6, mon, Down, ServerUnreachable, "ICMP: no route to host")
			row(noRoute, mon, Down, ServerUnreachable, "network is unreachable")
		}
		row(netip.AddrPortFrom(loopback4, 5060), pingMonitor(), Up, Success, "")
		row(netip.AddrPortFrom(loopback6, 5060), pingMonitor(), Up, Success, "")
		row(noRoute, tcpMonitor("", "", ""), Down, ServerUnreachable, "unreachable")
		rows.run(t)
	}
}
