package engine

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/quick"
	"github.com/carillon-sip/carillon/internal/transport"
)

// What so many workers make of a socket that is full: messages to ten servers that
// do not answer, all there before the first is decided about. Nobody else needs the
// CPUs then, so that two of them tell how workers share a socket.
func BenchmarkDrain(b *testing.B) {
	const messages = 30_000
	for _, c := range []struct{ workers, sockets int }{{1, 1}, {2, 1}, {3, 1}, {2, 2}} {
		b.Run(fmt.Sprintf("workers=%d/sockets=%d", c.workers, c.sockets), func(b *testing.B) {
			var servers []string
			for i := range 10 {
				s := listen(b, fmt.Sprintf("127.0.0.%d:0", 11+i))
				servers = append(servers, s.LocalAddr().String())
			}
			set, err := quick.Set([]string{"udp://127.0.0.1:0"}, servers, quick.Options{NoMonitor: true})
			if err != nil {
				b.Fatal(err)
			}
			e, err := Start(Config{Set: set, Revision: 1, Secret: []byte("a secret for tests"), Workers: c.workers, Sockets: c.sockets,
				UDP: transport.Options{RecvBuf: 256 << 20, SendBuf: sendBuf, GRO: true}})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Stop()
			lanes := e.live.Load().groups[0].lanes
			sent := func() (n uint64) {
				for _, l := range lanes {
					n += l.sock.Stats().Out
				}
				return n
			}
			var took time.Duration
			for b.Loop() {
				for _, l := range lanes {
					l.decide.Lock()
				}
				fill(b, lanes[0].sock.LocalAddr(), messages)
				before, start := sent(), time.Now()
				for _, l := range lanes {
					l.decide.Unlock()
				}
				for sent()-before < messages {
					if time.Since(start) > 10*time.Second {
						b.Fatalf("%d of %d messages left", sent()-before, messages)
					}
					time.Sleep(500 * time.Microsecond)
				}
				took += time.Since(start)
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/messages, "ns/message")
			b.ReportMetric(float64(messages)*float64(b.N)/took.Seconds(), "messages/s")
		})
	}
}

func listen(b *testing.B, addr string) *transport.Socket {
	ss, err := transport.ListenUDP(netip.MustParseAddrPort(addr), 1, transport.Options{RecvBuf: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ss[0].Close() })
	return ss[0]
}

var filled int // numbers the calls of all runs

// fill sends n requests, each of a call of its own, of several sizes and senders.
func fill(b *testing.B, to netip.AddrPort, n int) {
	const senders = 16
	for range senders {
		s, out := listen(b, "127.0.0.2:0"), transport.NewOut(0, 0)
		for range n / senders {
			filled++
			text := fmt.Appendf(nil, "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP %[1]s;branch=z9hG4bK%[2]d;rport\r\n"+
				"Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a%[2]d\r\nTo: <sip:bob@example.com>\r\nCall-ID: call-%[2]d\r\n"+
				"CSeq: 1 MESSAGE\r\nUser-Agent: %0[3]*[2]d\r\nContent-Length: 0\r\n\r\n", s.LocalAddr(), filled, 1+filled*7919%400)
			for !out.Add(text, to, netip.Addr{}, uint64(filled)) {
				s.Flush(out)
			}
		}
		s.Flush(out)
	}
}

// A batch waits for those before it that have messages of its calls, and for no
// other; which of them are done may change meanwhile.
func TestBatchesWaitForTheirCalls(t *testing.T) {
	l := newLane(nil, 0)
	for range 4 {
		l.workers = append(l.workers, &worker{lane: l, flight: flight{calls: new([flightBits / 64]uint64)}})
	}
	depart := func(i int, calls ...uint64) *flight {
		f := &l.workers[i].flight
		l.enter()
		f.clear()
		for _, c := range calls {
			f.add(c)
		}
		l.depart(f)
		return f
	}
	first, second, third := depart(0, 1, 2), depart(1, 3, 4), depart(2, 2, 4, 9)
	l.await(first)
	l.await(second) // shares nothing: at once
	if n := len(third.after); n != 2 {
		t.Fatalf("the third batch follows %d, want 2", n)
	}
	sent := make(chan struct{})
	go func() {
		l.await(third)
		close(sent)
	}()
	for l.waiting.Load() == 0 {
		runtime.Gosched()
	}
	l.land(first)
	if again := depart(0, 9); len(again.after) != 1 || again.after[0].of != third {
		t.Fatalf("a later batch of the first worker follows %v", again.after)
	}
	select {
	case <-sent:
		t.Fatal("the third batch left before the second, which has the call 4")
	default:
	}
	l.land(second)
	<-sent
	if l.waits.Load() == 0 {
		t.Error("nothing counted")
	}
}

// A queue that fills up in the middle of a batch is sent, and what the kernel
// refuses of it goes to another server; the message that was being written then
// leaves as it was meant to, and once.
func TestFullQueueWithFailures(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	server.conn.SetReadBuffer(16 << 20)
	// from 127.0.0.1 there is no way to an address elsewhere
	set, err := quick.Set([]string{"udp://127.0.0.1:0"}, []string{server.addr.String(), "192.0.2.1:5060"}, quick.Options{NoMonitor: true})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Start(Config{Set: set, Revision: 1, Strict: true, Secret: []byte("a secret for tests"), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	// 300 requests of 6 KB are some batches, each more than a queue holds
	const calls = 300
	lane := e.live.Load().groups[0].lanes[0]
	lane.decide.Lock()
	filler := strings.Repeat("x", 6000)
	for i := range calls {
		id := fmt.Sprintf("call-%d", i)
		client.send(lane.sock.LocalAddr(), client.request("INVITE", id, id, "Subject: "+id+"\nX-Filler: "+filler+"\n"))
	}
	lane.decide.Unlock()
	got := map[string]int{}
	for {
		server.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		st := e.Status().Services[0]
		alive := int(e.Status().Pools[0].Servers[0].Requests["INVITE"])
		if sum := alive + int(e.Status().Pools[0].Servers[1].Requests["INVITE"]); sum >= calls && len(got) >= alive {
			if len(got) < calls/3 || st.Reasons["failed_over_icmp"] == 0 {
				t.Errorf("%d calls of %d came, %v", len(got), calls, st.Reasons)
			}
			break
		}
		m, _ := server.recv()
		id := string(m.Bytes(m.CallID))
		subject, _ := m.HeaderValue("subject")
		if via := string(m.Bytes(m.Via[1].Branch)); via != "z9hG4bK"+id || string(m.Bytes(subject)) != id || m.NVia != 2 {
			t.Fatalf("call %s left with branch %s and subject %s", id, via, m.Bytes(subject))
		}
		if got[id]++; got[id] > 1 {
			t.Errorf("call %s left %d times", id, got[id])
		}
	}
}

// A worker whose flush takes the kernel's hint of an ICMP error deals with it, while
// another one sleeps in Recv and is not woken: calls of a dead server do not wait.
func TestFailOverWaitsForNobody(t *testing.T) {
	const rounds, calls = 20, 2 * helpFrom
	alive, dead, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", alive, dead)
	set.Pools[0].RetryBudgetPercent, set.Pools[0].RetryBudgetPerSecond = 100, 1000
	set.Pools[0].Servers[0].Ratio = 20 // the other gets a few: more errors would wake the one that sleeps after all
	// of a train that loopback refuses only the first datagram is reported
	e, err := Start(Config{Set: set, Revision: 1, Secret: []byte("a secret for tests"), Workers: 2, UDP: transport.Options{RecvBuf: recvBuf, SendBuf: sendBuf, NoGSO: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	lb := e.Status().Services[0].Listeners[0].Addr
	dead.conn.Close()
	lane := e.live.Load().groups[0].lanes[0]
	var took []time.Duration
	for round := range rounds {
		lane.decide.Lock() // so that the calls are one batch
		for i := range calls {
			id := fmt.Sprintf("call-%d-%d", round, i)
			client.send(lb, client.request("OPTIONS", id, id, ""))
		}
		begin := time.Now()
		lane.decide.Unlock()
		for range calls { // unanswered: no datagram wakes the one that sleeps
			alive.recv()
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	if took[rounds*3/4] > recvWait/2 { // waiting for the one that sleeps is recvWait; the slowest rounds may be the machine's, which stood still
		t.Errorf("fail-over took %v in %d rounds", took, rounds)
	}
	if n := e.Status().Services[0].Reasons["failed_over_icmp"]; n < rounds {
		t.Errorf("only %d calls were taken to another server", n)
	}
}
