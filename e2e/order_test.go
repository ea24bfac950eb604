package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// Messages of one Call-ID leave in the order they came, in both directions, with any number of workers. SIPp sends ACK
// and BYE, and 180 and 200, back to back: whoever lets them overtake loses calls.
func TestOrderOfCalls(t *testing.T) {
	for _, workers := range []int{2, 4} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			l := load{calls: 4000, rate: 2000}
			f := startFarm(t, lab.Setup{Workers: workers}, "127.0.0.11", "127.0.0.12", "127.0.0.13")
			caller := f.start(l, f.balancer.Addr)
			courses := f.finish(caller, l)
			f.expectWhole(courses, l.calls)
			faults := lab.Faults{Names: f.names}
			for _, c := range courses {
				if !sameOrder(c.Messages, caller.Addr, f.balancer.Addr, f.addrs) {
					faults.Add(c.Messages, "messages overtook each other")
				}
			}
			faults.Report(t)
		})
	}
}

// sameOrder says whether what came from one side left on the other in the same order.
func sameOrder(messages []lab.Message, caller, balancer netip.AddrPort, servers []netip.AddrPort) bool {
	var fromCaller, toServer, fromServer, toCaller []string
	for _, m := range lab.Distinct(messages) {
		key := m.Word() + " " + m.CSeq
		switch {
		case m.Status() == 100: // goes one hop
		case m.Src == caller:
			fromCaller = append(fromCaller, key)
		case m.Dst == caller:
			toCaller = append(toCaller, key)
		case slices.Contains(servers, m.Dst):
			toServer = append(toServer, key)
		case slices.Contains(servers, m.Src):
			fromServer = append(fromServer, key)
		}
	}
	return slices.Equal(fromCaller, toServer) && slices.Equal(fromServer, toCaller)
}

// Requests of one Call-ID follow each other closely: from one socket, and from several, as from
// several proxies in front, with any number of workers. With several sockets to listen on, those of one sender keep their
// order (docs/adr/0005-order-and-workers.md).
func TestOrderOfSenders(t *testing.T) {
	const calls, rounds, ahead = 50, 40, 150
	for _, c := range []struct{ workers, sockets, senders int }{{1, 1, 4}, {2, 1, 1}, {2, 1, 4}, {4, 1, 1}, {4, 1, 4}, {4, 2, 1}} {
		t.Run(fmt.Sprintf("%d workers %d sockets %d senders", c.workers, c.sockets, c.senders), func(t *testing.T) {
			f := startSinks(t, lab.Setup{Workers: c.workers, Args: []string{"--sockets", strconv.Itoa(c.sockets)}}, false)
			from := make([]*net.UDPConn, c.senders)
			for i := range from {
				conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(lab.Addr(t, "127.0.0.2")))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				from[i] = conn
			}
			onOneCPU(t, func() {
				for round := range rounds {
					for call := range calls {
						// No receive buffer on the way may overflow: a lost request proves nothing.
						for end := time.Now().Add(lab.Patience); round*calls+call-f.received() > ahead && time.Now().Before(end); {
							runtime.Gosched()
						}
						via := from[(round+call)%c.senders]
						via.WriteToUDPAddrPort(numbered(via.LocalAddr().String(), f.balancer.Addr, call, round), f.balancer.Addr)
					}
				}
			})
			f.expectOrder(calls, rounds)
		})
	}
}

// numbered is the n-th request of a Call-ID: the CSeq counts.
func numbered(from string, to netip.AddrPort, call, n int) []byte {
	return fmt.Appendf(nil, "MESSAGE sip:order@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[1]s;branch=z9hG4bK-order-%[3]d-%[4]d\r\n"+
		"Max-Forwards: 70\r\nFrom: <sip:order@%[1]s>;tag=o%[3]d\r\nTo: <sip:order@%[2]s>\r\nCall-ID: order-%[3]d\r\n"+
		"CSeq: %[4]d MESSAGE\r\nContent-Length: 0\r\n\r\n", from, to, call, n+1)
}

// onOneCPU runs send on a thread that stays on one CPU: the kernel's loopback keeps order only within one.
func onOneCPU(t *testing.T, send func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, with its affinity, ends with the goroutine
		var all, one unix.CPUSet
		err := unix.SchedGetaffinity(0, &all)
		for cpu := range len(all) * 64 {
			if all.IsSet(cpu) {
				one.Set(cpu)
				break
			}
		}
		if err == nil {
			err = unix.SchedSetaffinity(0, &one)
		}
		if err == nil {
			send()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("cpu affinity: %v", err)
	}
}

// sinks is the balancer with two servers of ours behind it.
type sinks struct {
	t        *testing.T
	wire     *lab.Capture
	servers  []*lab.Answerer
	addrs    []netip.AddrPort
	balancer *lab.Balancer
}

func startSinks(t *testing.T, setup lab.Setup, silent bool, ignored ...netip.Addr) *sinks {
	t.Helper()
	s := &sinks{t: t, wire: lab.StartCapture(t, ignored...), addrs: lab.Addrs(t, "127.0.0.11", "127.0.0.12")}
	for i, a := range s.addrs {
		s.servers = append(s.servers, lab.StartAnswerer(t, a, silent))
		s.wire.Names[a] = fmt.Sprintf("server%d", i+1)
	}
	setup.Listen, setup.Servers = lab.Addrs(t, "127.0.0.1"), s.addrs
	s.balancer = lab.StartBalancer(t, setup)
	s.wire.Names[s.balancer.Addr] = "balancer"
	return s
}

// received is how many requests the servers got.
func (s *sinks) received() int {
	total := 0
	for _, server := range s.servers {
		total += int(server.Requests.Load())
	}
	return total
}

// expectOrder waits until every request has reached a server and checks that each call's left as they came.
func (s *sinks) expectOrder(calls, rounds int) {
	s.t.Helper()
	lab.Until(s.t, "all requests forwarded", func() bool { return s.received() >= calls*rounds })
	faults := lab.Faults{Names: s.wire.Names}
	for id, messages := range s.wire.Calls().ByID {
		if !strings.HasPrefix(id, "order-") {
			continue
		}
		var in, out []string
		for _, m := range lab.Distinct(messages) {
			switch {
			case m.IsResponse():
			case m.Dst == s.balancer.Addr:
				in = append(in, m.CSeq)
			case slices.Contains(s.addrs, m.Dst) && !slices.Contains(out, m.CSeq): // the first attempt counts
				out = append(out, m.CSeq)
			}
		}
		if !slices.Equal(in, out) {
			faults.Add(messages, "left in another order than they came (of %d requests, %d left)", len(in), len(out))
		}
	}
	faults.Report(s.t)
}
