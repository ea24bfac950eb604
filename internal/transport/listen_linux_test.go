//go:build linux && (amd64 || arm64)

package transport

import (
	"errors"
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

func TestHeldPortIsRefused(t *testing.T) {
	me := fmt.Sprintf("this process itself (pid %d)", os.Getpid())
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		for _, workers := range []int{1, 3} {
			ss, err := ListenUDP(netip.MustParseAddrPort(addr), workers, Options{})
			if err != nil {
				t.Fatal(err)
			}
			held := ss[0].LocalAddr()
			for n := 1; n <= 2; n++ {
				_, err := ListenUDP(held, n, Options{})
				want := "listen udp " + held.String() + ": address already in use by " + me
				if !errors.Is(err, syscall.EADDRINUSE) || err.Error() != want {
					t.Errorf("%d sockets held, %d more: %v\nwant %s", workers, n, err, want)
				}
			}
			for _, s := range ss {
				s.Close()
			}
			ss, err = ListenUDP(held, 1, Options{})
			if err != nil {
				t.Errorf("the port is free again, and yet: %v", err)
				continue
			}
			ss[0].Close()
		}
	}
}

// A wildcard and a single address stand in each other's way too, and a socket of
// both families in that of IPv4.
func TestHolderOfOverlap(t *testing.T) {
	s := open(t, lo4, Options{})
	all := netip.AddrPortFrom(netip.IPv4Unspecified(), s.LocalAddr().Port())
	if _, err := ListenUDP(all, 2, Options{}); err == nil || !strings.Contains(err.Error(), "in use by this process") {
		t.Errorf("wildcard over 127.0.0.1: %v", err)
	}
	both := plain(t, netip.MustParseAddrPort("[::]:0"))
	port := both.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
	if _, err := ListenUDP(netip.AddrPortFrom(lo4.Addr(), port), 1, Options{}); err == nil || !strings.Contains(err.Error(), "in use by this process") {
		t.Errorf("IPv4 over a socket of both families: %v", err)
	}
}

func TestHoldPort(t *testing.T) {
	if addr := os.Getenv("TRANSPORT_TEST_HOLD"); addr != "" {
		s := open(t, netip.MustParseAddrPort(addr), Options{})
		fmt.Println(s.LocalAddr())
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent has gone
	}
}

// Another process that holds the port is named.
func TestHolderIsNamed(t *testing.T) {
	child := exec.Command(os.Args[0], "-test.run=^TestHoldPort$")
	child.Env = append(os.Environ(), "TRANSPORT_TEST_HOLD=127.0.0.1:0")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer stdin.Close()
	var held string
	if _, err := fmt.Fscanln(stdout, &held); err != nil {
		t.Fatal(err)
	}
	_, err = ListenUDP(netip.MustParseAddrPort(held), 2, Options{})
	want := fmt.Sprintf("address already in use by transport.test (pid %d)", child.Process.Pid)
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want ... %s", err, want)
	}
}

func TestReusePortJoins(t *testing.T) {
	a := open(t, lo4, Options{ReusePort: true})
	b := open(t, a.LocalAddr(), Options{ReusePort: true})
	if a.LocalAddr() != b.LocalAddr() {
		t.Errorf("%v and %v", a.LocalAddr(), b.LocalAddr())
	}
}

func TestListenErrorsHelp(t *testing.T) {
	_, err := ListenUDP(netip.MustParseAddrPort("192.0.2.9:5060"), 1, Options{})
	if want := "listen udp 192.0.2.9:5060: cannot assign requested address: no interface here has 192.0.2.9"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err = ListenUDP(netip.AddrPort{}, 1, Options{}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("no address: %v", err)
	}
	if _, err = ListenUDP(lo4, 0, Options{}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("no sockets: %v", err)
	}
	// The right to low ports is given up on one thread only, which then ends.
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := dropRights(); err != nil {
			done <- err
			return
		}
		_, err := ListenUDP(netip.MustParseAddrPort("127.0.0.1:80"), 1, Options{})
		done <- err
	}()
	err = <-done
	want := "listen udp 127.0.0.1:80: permission denied: ports below 1024 need CAP_NET_BIND_SERVICE (setcap cap_net_bind_service=+ep " +
		os.Args[0] + ") or sysctl net.ipv4.ip_unprivileged_port_start=80"
	if first, _ := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); strings.TrimSpace(string(first)) != "1024" {
		t.Logf("low ports begin at %s here: %v", first, err)
	} else if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// dropRights takes all capabilities from the calling thread.
func dropRights() error {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&h, &none[0])
}

func TestBuffersWithoutRights(t *testing.T) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := dropRights()
		if err == nil {
			var ss []*Socket
			if ss, err = ListenUDP(lo4, 1, Options{RecvBuf: 1 << 30, SendBuf: 1 << 30}); err == nil {
				ss[0].Close()
			}
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The sockets of a group share what comes, by the sender's address; the first,
// which was bound alone, takes part.
func TestGroupShares(t *testing.T) {
	const workers, senders = 3, 120
	ss, err := ListenUDP(lo4, workers, Options{RecvBuf: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range ss {
		defer s.Close()
		if s.LocalAddr() != ss[0].LocalAddr() {
			t.Fatalf("%v and %v in one group", s.LocalAddr(), ss[0].LocalAddr())
		}
	}
	for range senders {
		s := open(t, lo4, Options{})
		send(t, s, "one", ss[0].LocalAddr())
		send(t, s, "two", ss[0].LocalAddr())
	}
	b, total, by := newBatch(t, MaxBatch), 0, map[netip.AddrPort]int{}
	for end := time.Now().Add(patience); total < 2*senders && time.Now().Before(end); {
		for i, s := range ss {
			n, err := s.Recv(b, 0)
			if err != nil {
				t.Fatal(err)
			}
			total += n
			for b.Next() {
				from := b.Datagram().From
				if first, ok := by[from]; ok && first != i {
					t.Errorf("%v went to sockets %d and %d", from, first, i)
				}
				by[from] = i
			}
		}
	}
	for i, s := range ss {
		if n := s.Stats().In; n < senders/workers/2 {
			t.Errorf("socket %d of the group took %d of %d datagrams", i, n, total)
		}
	}
	if total != 2*senders {
		t.Errorf("%d datagrams of %d came", total, 2*senders)
	}
}
