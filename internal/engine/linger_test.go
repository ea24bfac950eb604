package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/quick"
)

// whoHas waits until one of the peers has a datagram to read.
func whoHas(peers ...*peer) *peer {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		for _, p := range peers {
			p.conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			raw, _ := p.conn.SyscallConn()
			var n int
			raw.Read(func(fd uintptr) bool {
				n, _, _ = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
				return n > 0
			})
			if n > 0 {
				return p
			}
		}
	}
	peers[0].t.Fatal("nobody got anything")
	return nil
}

// A service that is disabled and enabled again, or gets another name, knows its open
// transactions: a CANCEL goes where its INVITE went, also with round robin.
func TestTransactionsOutliveTheirService(t *testing.T) {
	disable := func(s *object.Set) { s.VirtualServices[0].Enabled = false }
	rename := func(s *object.Set) { s.VirtualServices[0].Name = "other" }
	for name, steps := range map[string][]func(*object.Set){
		"disabled and enabled":     {disable, nil},
		"renamed":                  {rename},
		"disabled, then renamed":   {disable, rename},
		"renamed, and named again": {rename, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
			set := func(change func(*object.Set)) *object.Set {
				s := quickSet(t, "127.0.0.1:0", a, b)
				s.Pools[0].LBAlgorithm = object.RoundRobin
				if change != nil {
					change(s)
				}
				return s
			}
			e, lb := start(t, set(nil))
			const calls = 9 // an odd number: round robin does not come out right by itself
			servers := map[string]*peer{}
			for i := range calls {
				client.send(lb, client.request("INVITE", fmt.Sprintf("call-%d", i), fmt.Sprintf("x%d", i), ""))
				p := whoHas(a, b)
				m, from := p.recv()
				servers[string(m.Bytes(m.CallID))] = p
				p.answer(m, from, 180, "Ringing")
				client.recv()
			}
			for _, change := range steps {
				if err := e.Apply(set(change), next(e)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range calls {
				id := fmt.Sprintf("call-%d", i)
				client.send(lb, client.request("CANCEL", id, fmt.Sprintf("x%d", i), ""))
				if m, _ := servers[id].recv(); m.Method.String() != "CANCEL" || string(m.Bytes(m.CallID)) != id {
					t.Fatalf("the server of %s got: %s", id, m.Buf)
				}
			}
			if n := e.Status().Services[0].Reasons["known_transaction"]; n != calls {
				t.Errorf("%d CANCELs found their transaction, want %d", n, calls)
			}
			if n := len(e.states); n != 1 {
				t.Errorf("%d services have state", n)
			}
		})
	}
}

// A change that is refused has no effect on what is leaving either: it ends when its
// time is over.
func TestRefusedChangeBringsNothingBack(t *testing.T) {
	server, taken := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, _ := start(t, quickSet(t, "127.0.0.1:0", server))
	if err := e.Apply(quickSet(t, "127.0.0.2:0", server), next(e)); err != nil {
		t.Fatal(err)
	}
	both, err := quick.Set([]string{"udp://127.0.0.1:0", "udp://" + taken.addr.String()}, []string{server.addr.String()}, quick.Options{NoMonitor: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Apply(both, next(e)); err == nil {
		t.Fatal("a listener on an address that is taken")
	}
	e.mu.Lock()
	e.closeLeft(time.Now().Add(lingerFor))
	kept := len(e.groups) + len(e.leaving)
	e.mu.Unlock()
	if kept != 1 {
		t.Errorf("%d listeners are kept, want 1", kept)
	}
}

// What a service has counted never falls: not when a listener leaves it, nor when that
// is closed, nor when it goes to another service, nor over a new name.
func TestCountsNeverFall(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := func(at ...string) *object.Set { // names of services, each with its address
		s := quickSet(t, "127.0.0.1:0", server)
		s.VirtualServices, s.VsVips = nil, nil
		for i := 0; i < len(at); i += 2 {
			one := quickSet(t, at[i+1]+":0", server)
			vs, vip := one.VirtualServices[0], one.VsVips[0]
			vs.Name, vs.VsVipRef, vip.Name = at[i], at[i], at[i]
			s.VirtualServices, s.VsVips = append(s.VirtualServices, vs), append(s.VsVips, vip)
		}
		return s
	}
	e, _ := start(t, set("one", "127.0.0.1", "two", "127.0.0.2"))
	ask := func(n int) { // of the second service
		addr := e.Status().Services[1].Listeners[0].Addr
		for i := range n {
			id := fmt.Sprint("ask-", n, "-", i)
			client.send(addr, strings.Replace(client.request("OPTIONS", id, id, ""), "sip:bob@example.com SIP", "sip:"+addr.String()+" SIP", 1))
			if m, _ := client.recv(); m.Status != 200 {
				t.Fatalf("%s", m.Buf)
			}
		}
	}
	expect := func(name string, want uint64) {
		t.Helper()
		for _, s := range e.Status().Services {
			if s.Name == name && (s.Reasons["options_answered"] != want || s.Answers[200] != want) {
				t.Errorf("%s has %v, want %d", name, s.Reasons, want)
			}
		}
	}
	apply := func(s *object.Set) {
		t.Helper()
		if err := e.Apply(s, next(e)); err != nil {
			t.Fatal(err)
		}
	}
	ask(5)
	expect("two", 5)
	apply(set("one", "127.0.0.1", "two", "127.0.0.9"))
	expect("two", 5)
	e.mu.Lock()
	e.closeLeft(time.Now().Add(lingerFor))
	e.mu.Unlock()
	expect("two", 5)
	ask(3) // at its new address
	expect("two", 8)
	apply(set("one", "127.0.0.9", "two", "127.0.0.1"))
	ask(2)
	expect("one", 0)
	expect("two", 10)
	apply(set("one", "127.0.0.9", "three", "127.0.0.1"))
	expect("three", 10)
	ask(1)
	expect("three", 11)
}
