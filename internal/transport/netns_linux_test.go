//go:build linux && (amd64 || arm64)

package transport

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread in a network namespace of its own, in which the
// given commands have been run. The thread ends with it.
func inNamespace(t *testing.T, commands []string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "a network namespace needs root: sudo -E go test")
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool+" is missing: apt-get install iproute2")
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		for _, c := range commands {
			if out, err := exec.Command("sh", "-c", c).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", c, err, out)
				return
			}
		}
		f()
	}()
	<-done
}

// missing skips, but in CI nothing is skipped.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Where the path's MTU is too small for a train, its datagrams go one by one (IP
// fragments them), the socket learns it, and small ones still go as trains.
func TestTrainsRefusedByThePath(t *testing.T) {
	inNamespace(t, []string{"ip link set lo mtu 1500 up"}, func() {
		for _, addr := range []netip.AddrPort{lo4, lo6} {
			s, r := open(t, addr, Options{}), open(t, addr, Options{RecvBuf: 1 << 20})
			b, o := newBatch(t, MaxBatch), NewOut(0, 0)
			flush := func(size int) Stats {
				before := s.Stats()
				for i := range 10 {
					o.Add(append(o.Room(size), strings.Repeat(string(rune('a'+i)), size)...), r.LocalAddr(), netip.Addr{}, 1)
				}
				if n := s.Flush(o); n != 0 {
					t.Errorf("%d of size %d failed: %v", n, size, o.Failures())
				}
				for i, d := range recvN(t, r, b, 10) {
					if d.data != strings.Repeat(string(rune('a'+i)), size) {
						t.Errorf("datagram %d of size %d is not what was sent", i, size)
					}
				}
				after := s.Stats()
				after.GSOSends -= before.GSOSends
				after.GSOFallbacks -= before.GSOFallbacks
				return after
			}
			for _, step := range []struct{ size, trains, apart uint64 }{
				{1000, 1, 0}, {3000, 0, 1}, {2500, 0, 0}, {1400, 1, 0},
			} {
				if st := flush(int(step.size)); st.GSOSends != step.trains || st.GSOFallbacks != step.apart {
					t.Errorf("%v size %d: %d trains sent, %d taken apart; want %d, %d", addr, step.size, st.GSOSends, st.GSOFallbacks, step.trains, step.apart)
				}
			}
			s.gso.hold.Store(2) // as if many flushes had passed
			if st := flush(3000); st.GSOFallbacks != 0 {
				t.Error("forgotten too early")
			}
			if st := flush(3000); st.GSOFallbacks != 1 {
				t.Error("what was learned is never forgotten")
			}
		}
	})
}

func TestRoutesThatRefuse(t *testing.T) {
	inNamespace(t, []string{
		"ip link set lo up",
		"ip route add unreachable 203.0.113.1", "ip route add prohibit 203.0.113.2", "ip route add blackhole 203.0.113.3",
		"ip -6 route add unreachable 2001:db8::1", "ip -6 route add prohibit 2001:db8::2",
	}, func() {
		for _, tc := range []struct {
			to    string
			class ErrClass
		}{
			{"203.0.113.1", ErrUnreachable}, {"203.0.113.2", ErrForbidden}, {"203.0.113.3", ErrBadAddress}, {"198.51.100.1", ErrUnreachable},
			{"2001:db8::1", ErrUnreachable}, {"2001:db8::2", ErrForbidden}, {"2001:db8::3", ErrUnreachable},
		} {
			to := netip.MustParseAddr(tc.to)
			addr := map[bool]string{true: "0.0.0.0:0", false: "[::]:0"}[to.Is4()]
			s, o := open(t, netip.MustParseAddrPort(addr), Options{}), NewOut(0, 0)
			for i := range 5 { // a train
				o.Add([]byte("datagram"), netip.AddrPortFrom(to, 5060), netip.Addr{}, uint64(i))
			}
			failed := s.Flush(o)
			st := s.Stats()
			if failed != 5 || len(o.Failures()) != 5 || st.SendErrors[tc.class] != 5 || st.Out != 0 || st.GSOFallbacks != 0 {
				t.Errorf("%s: %d failed, %v, stats %+v", tc.to, failed, o.Failures(), st)
			}
			if s.gso.now() != MaxDatagram {
				t.Errorf("%s: trains were blamed for the route", tc.to)
			}
		}
		if a, err := LocalAddrFor(netip.MustParseAddr("203.0.113.1")); err == nil {
			t.Errorf("unreachable, from %v", a)
		} else if want := "route to 203.0.113.1: no route to host"; err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

// An interface slower than the sender: Flush waits a little, gives up, and every
// datagram is accounted for.
func TestSlowInterface(t *testing.T) {
	for name, tc := range map[string]struct {
		qdisc   string
		sendBuf int
	}{
		"the socket's buffer is full":   {"tc qdisc add dev lo root tbf rate 2mbit burst 4kb limit 1mb", 16 << 10},
		"the interface's queue is full": {"tc qdisc add dev lo root tbf rate 2mbit burst 4kb limit 10kb", 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			inNamespace(t, []string{"ip link set lo mtu 1500 up", tc.qdisc}, func() {
				for _, opt := range []Options{{NoGSO: true}, {}} {
					opt.SendBuf = tc.sendBuf
					s, r := open(t, lo4, opt), open(t, lo4, Options{RecvBuf: 1 << 20})
					o := NewOut(0, 0)
					for i := range 100 {
						o.Add(make([]byte, 900+i/10), r.LocalAddr(), netip.Addr{}, 1)
					}
					start := time.Now()
					failed := s.Flush(o)
					took := time.Since(start)
					st := s.Stats()
					if st.Out == 0 || failed == 0 || st.Out+st.SendErrors[ErrFull] != 100 || int(st.SendErrors[ErrFull]) != failed {
						t.Errorf("%d failed, stats %+v", failed, st)
					}
					if waited := st.SendWaits > 0; waited != (tc.sendBuf == 16<<10) || took > patience {
						t.Errorf("took %v, %d waits", took, st.SendWaits)
					}
					if tc.sendBuf == 16<<10 || opt.NoGSO {
						recvN(t, r, newBatch(t, MaxBatch), int(st.Out))
						continue
					}
					// the queue cuts a train, and says so only if it takes none of it
					in, b := 0, newBatch(t, MaxBatch)
					for quiet := time.Now(); in < int(st.Out) && time.Since(quiet) < time.Second || in == 0 && time.Since(quiet) < patience; {
						if n, _ := r.Recv(b, 20*time.Millisecond); n > 0 {
							in, quiet = in+n, time.Now()
						}
					}
					if in == 0 || in > int(st.Out) {
						t.Errorf("%d datagrams came of %d", in, st.Out)
					}
				}
			})
		})
	}
}

// A full receive buffer shows in the statistics.
func TestKernelDropsAreSeen(t *testing.T) {
	s, r, o := open(t, lo4, Options{NoGSO: true}), open(t, lo4, Options{RecvBuf: 4096}), NewOut(0, 0)
	for range 100 {
		o.Add(make([]byte, 1000), r.LocalAddr(), netip.Addr{}, 0)
	}
	if n := s.Flush(o); n != 0 {
		t.Fatal(o.Failures())
	}
	b, in := newBatch(t, MaxBatch), 0
	for end := time.Now().Add(patience); ; { // the kernel may be at it still
		n, _ := r.Recv(b, time.Millisecond)
		in += n
		if st := r.Stats(); int(st.KernelDrops)+in == 100 || time.Now().After(end) {
			break
		}
	}
	if st := r.Stats(); st.KernelDrops == 0 || int(st.KernelDrops)+in != 100 {
		t.Errorf("%d came, %d were dropped", in, st.KernelDrops)
	}
}
