package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/handover"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/quick"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// talk is the two ends of a handover.
func talk(t testing.TB) (predecessor, successor *handover.Conn) {
	t.Helper()
	a, file, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := handover.FromFile(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// replaced has a new engine take over from an old one, which serves what is left of it until the test ends.
func replaced(t *testing.T, old *Engine, set *object.Set) (*Engine, *Taken, *Farewell) {
	t.Helper()
	a, b := talk(t)
	left := make(chan *Farewell)
	go func() {
		f, err := old.HandOver(a)
		if err != nil {
			t.Error(err)
		}
		left <- f
	}()
	e, err := Start(Config{Set: set, Revision: 1, Strict: true, Secret: []byte("a secret for tests"), Workers: 2, From: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	taken, err := e.TakeOver()
	if err != nil {
		t.Fatal(err)
	}
	f := <-left
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { f.Serve(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return e, taken, f
}

func startSet(t *testing.T, set *object.Set) *Engine {
	t.Helper()
	e, err := Start(Config{Set: set, Revision: 1, Strict: true, Secret: []byte("a secret for tests"), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

// A call that is set up while engines change goes on, over whatever transports, and on the connections that were there.
func TestHandOver(t *testing.T) {
	all := []sip.Transport{sip.UDP, sip.TCP, sip.TLS}
	for _, toServer := range all {
		t.Run("servers on "+toServer.String(), func(t *testing.T) {
			server := newUA(t, toServer, "127.0.0.1")
			other := newUA(t, toServer, "127.0.0.1")
			set := streamSet(t, []string{"127.0.0.1"}, toServer, server.addr, other.addr)
			set.Pools[0].LBAlgorithm = object.RoundRobin
			e := startSet(t, set)
			lb := map[sip.Transport]netip.AddrPort{}
			for _, l := range e.Status().Services[0].Listeners {
				lb[l.Transport] = l.Addr
			}
			type begun struct {
				client, server *ua
				invite         heard
				id             string
			}
			var calls []*begun
			for i, tr := range all {
				c := &begun{client: newUA(t, tr, "127.0.0.1"), id: fmt.Sprintf("%s-%d", tr, i)}
				c.client.send(lb[tr], c.client.request("INVITE", "sip:bob@example.com", "caller", "", c.id, 1, nil))
				c.invite, c.server = either(server, other)
				c.server.answer(c.invite, "180 Ringing")
				c.client.recv("SIP/2.0 180")
				calls = append(calls, c)
			}
			again := func(c *begun) { // finds its server, and does not make another transaction
				text := c.client.request("INVITE", "sip:bob@example.com", "caller", "", c.id, 1, nil)
				c.client.send(lb[c.client.tr], text)
				m := c.server.recvAny("INVITE")
				for !slices.Equal(values(m.text, "Call-ID"), []string{c.id}) { // of another call, whose 180 took long
					m = c.server.recvAny("INVITE")
				}
				if got, want := values(m.text, "Via")[0], values(c.invite.text, "Via")[0]; got != want {
					t.Errorf("%s: sent again with %s, before with %s", c.id, got, want)
				}
			}
			half := calls[1].client.to(lb[sip.TCP])
			options := strings.ReplaceAll(calls[1].client.request("OPTIONS", "sip:bob@example.com", "caller", "", "half", 1, nil), "\n", "\r\n")
			net.Conn.Write(half, []byte(options[:100]))
			for range 2 {
				next, taken, _ := replaced(t, e, set)
				e = next
				if taken.Listeners < 3 || taken.Known < 3 || taken.Transactions < 3 {
					t.Errorf("taken over: %+v", taken)
				}
				again(calls[0])
			}
			net.Conn.Write(half, []byte(options[100:]))
			m, by := either(server, other)
			if !strings.HasPrefix(m.text, "OPTIONS") {
				t.Fatalf("what began before ended as\n%s", m.text)
			}
			by.answer(m, "200 OK")
			calls[1].client.recv("SIP/2.0 200")
			for _, c := range calls {
				c.server.answer(c.invite, "200 OK")
				ok := c.client.recv("SIP/2.0 200")
				route := values(ok.text, "Record-Route")
				for i, j := 0, len(route)-1; i < j; i, j = i+1, j-1 {
					route[i], route[j] = route[j], route[i]
				}
				c.client.send(hop(route, lb[c.client.tr]), c.client.request("ACK", c.server.contact(), "caller", "callee", c.id, 1, route))
				c.server.recv("ACK")
				c.client.send(hop(route, lb[c.client.tr]), c.client.request("BYE", c.server.contact(), "caller", "callee", c.id, 2, route))
				c.server.answer(c.server.recv("BYE"), "200 OK")
				c.client.recv("SIP/2.0 200")
			}
			for _, tr := range all { // and new ones find it
				caller := newUA(t, tr, "127.0.0.1")
				caller.send(lb[tr], caller.request("OPTIONS", "sip:bob@example.com", "caller", "", "new-"+tr.String(), 1, nil))
				m, by := either(server, other)
				by.answer(m, "200 OK")
				caller.recv("SIP/2.0 200")
			}
		})
	}
}

// either gives the next message of one of two, and whose it is.
func either(a, b *ua) (heard, *ua) {
	a.t.Helper()
	late := time.After(10 * time.Second)
	for {
		var h heard
		by := a
		select {
		case h = <-a.in:
		case h = <-b.in:
			by = b
		case <-late:
			a.t.Fatal("neither server got anything")
		}
		if by.fresh(h) {
			return h, by
		}
	}
}

// A successor that dies on the way changes nothing, whenever it does.
func TestHandOverGivenUp(t *testing.T) {
	for at := range 4 {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			server := newUA(t, sip.UDP, "127.0.0.1")
			set := streamSet(t, []string{"127.0.0.1"}, sip.UDP, server.addr)
			e := startSet(t, set)
			var clients []*ua
			lb := map[sip.Transport]netip.AddrPort{}
			for _, l := range e.Status().Services[0].Listeners {
				lb[l.Transport] = l.Addr
				clients = append(clients, newUA(t, l.Transport, "127.0.0.1"))
			}
			ask := func(when string) {
				for _, c := range clients {
					c.send(lb[c.tr], c.request("OPTIONS", "sip:bob@example.com", "caller", "", when+c.tr.String(), 1, nil))
					server.answer(server.recv("OPTIONS"), "200 OK")
					c.recv("SIP/2.0 200")
				}
			}
			ask("before")
			a, b := talk(t)
			gaveUp := make(chan error)
			go func() {
				_, err := e.HandOver(a)
				gaveUp <- err
			}()
			steps := []func(){
				func() {},
				func() { b.Send(handover.AskSockets, nil); b.Expect(handover.Sockets) },
				func() { b.Send(handover.AskTables, nil); b.Receive() },
				func() {
					for m, err := b.Receive(); err == nil && m.Kind != handover.Told; m, err = b.Receive() {
						m.CloseFiles()
					}
					b.Send(handover.Loaded, nil)
					b.Expect(handover.Go)
				},
			}
			for _, s := range steps[:at+1] {
				s()
			}
			b.Close()
			if err := <-gaveUp; err == nil {
				t.Fatal("it was taken for a success")
			}
			ask("after")
			next, _, _ := replaced(t, e, set)
			_ = next
			ask("replaced")
		})
	}
}

// A successor that is stopped before it has taken over leaves the sockets as they were.
func TestHandOverStopped(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", server)
	e, lb := start(t, set)
	a, b := talk(t)
	done := make(chan error)
	go func() {
		_, err := e.HandOver(a)
		done <- err
	}()
	next, err := Start(Config{Set: set, Revision: 1, Strict: true, Secret: []byte("a secret for tests"), Workers: 2, From: b})
	if err != nil {
		t.Fatal(err)
	}
	next.Stop()
	if err := <-done; err == nil {
		t.Error("it was taken for a success")
	}
	for i := range 3 {
		client.send(lb, client.request("OPTIONS", fmt.Sprint("c", i), fmt.Sprint("b", i), ""))
		m, from := server.recv()
		server.answer(m, from, 200, "OK")
		client.recv()
	}
}

// calls fills the state of the one service with Call-IDs that are known and up.
func calls(tb testing.TB, e *Engine, n int) {
	tb.Helper()
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0) // no transactions
	b = le.AppendUint32(b, uint32(n))
	now := e.tick(time.Now())
	for range n {
		b = le.AppendUint64(b, rand.Uint64())
		b = le.AppendUint32(le.AppendUint32(b, uint32(now)+32_000), 1)
		b = le.AppendUint32(le.AppendUint32(b, uint32(now)+3600_000), 3<<4) // known and up
	}
	b = le.AppendUint64(b, 0) // nothing stored, nothing to be sent again
	e.tending.Lock()          // nobody is to grow the table meanwhile
	defer e.tending.Unlock()
	l := e.live.Load()
	h := &proxy.Heir{Snapshot: l.snap, Servers: []snapshot.Handle{0, l.snap.Pools[0].Servers[0].Handle}}
	if taken, ok := l.states[0].TakeState(b, h); !ok || taken.Known != n {
		tb.Fatalf("%+v of %d", taken, n)
	}
}

// How long nobody reads, by the number of calls and of connections.
func BenchmarkHandOver(b *testing.B) {
	for _, n := range []struct{ calls, conns int }{{0, 0}, {100_000, 0}, {1_000_000, 0}, {0, 1000}, {100_000, 1000}} {
		b.Run(fmt.Sprintf("%d calls, %d connections", n.calls, n.conns), func(b *testing.B) {
			var halted, cpu time.Duration
			for range b.N {
				h, c := haltOf(b, n.calls, n.conns)
				halted, cpu = halted+h, cpu+c
			}
			b.ReportMetric(float64(halted.Microseconds())/1000/float64(b.N), "ms-halted/op")
			b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "ms-CPU/op")
		})
	}
}

// haltOf is for how long nobody read, and what both processes did from the asking for tables on.
func haltOf(b *testing.B, nCalls, conns int) (halted, cpu time.Duration) {
	set, err := quick.Set([]string{"udp://127.0.0.1:0"}, []string{"127.0.0.1:9"}, quick.Options{NoMonitor: true})
	if err != nil {
		b.Fatal(err)
	}
	vs := set.VirtualServices[0]
	vs.Services = append(vs.Services, object.Service{OverrideNetworkProfileRef: "System-TCP-Proxy"})
	for i := range set.ApplicationProfiles {
		set.ApplicationProfiles[i].SIPServiceProfile.MaxCalls = 2_000_000
	}
	cfg := Config{Set: set, Revision: 1, Strict: true, Secret: []byte("a secret for tests"), Workers: 2}
	old, err := Start(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer old.Stop()
	calls(b, old, nCalls)
	var tcp netip.AddrPort
	for _, l := range old.Status().Services[0].Listeners {
		if l.Transport == sip.TCP {
			tcp = l.Addr
		}
	}
	for range conns {
		c, err := net.Dial("tcp", tcp.String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
	}
	for end := time.Now().Add(10 * time.Second); (&Farewell{e: old}).Left() < conns && time.Now().Before(end); {
		runtime.Gosched()
	}
	here, there := talk(b)
	left := make(chan *Farewell)
	go func() {
		f, err := old.HandOver(here)
		if err != nil {
			b.Error(err)
		}
		left <- f
	}()
	cfg.From = there
	next, err := Start(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer next.Stop()
	before := cpuTime()
	taken, err := next.TakeOver()
	cpu = cpuTime() - before
	if err != nil {
		b.Fatal(err)
	}
	if taken.Up != nCalls || taken.Connections != conns {
		b.Fatalf("taken over: %+v", taken)
	}
	(<-left).Serve(b.Context())
	return taken.Halted, cpu
}
