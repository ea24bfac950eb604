package engine

import (
	"log/slog"
	"net/netip"
	"sync"
	"syscall"
	"testing"
)

// fakeMachine has the addresses and the routes that a test gives it.
type fakeMachine struct {
	mu     sync.Mutex
	addrs  []netip.Prefix
	routes map[netip.Addr]netip.Addr
	asked  int
}

func (f *fakeMachine) machine() machine {
	return machine{
		addrs: func() ([]netip.Prefix, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.addrs, nil
		},
		source: func(dst netip.Addr) (netip.Addr, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.asked++
			if a := f.routes[dst]; a.IsValid() {
				return a, nil
			}
			return netip.Addr{}, syscall.ENETUNREACH
		},
	}
}

// host is an address of the loopback's link.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 8) }

func (f *fakeMachine) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// A wildcard listener knows an address that the machine got later as its own, and
// shows itself to a server at the address that the routes now give.
func TestAddressesAndRoutesThatChange(t *testing.T) {
	one, two := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.9")
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	f := &fakeMachine{addrs: []netip.Prefix{host(one)}, routes: map[netip.Addr]netip.Addr{server.addr.Addr(): one}}
	log := make(lines, 100)
	e, err := Start(Config{Set: quickSet(t, "0.0.0.0:0", server), Revision: 1, Secret: []byte("a secret for tests"), Workers: 2,
		Logger: slog.New(log), machine: f.machine()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	port := e.Status().Services[0].Listeners[0].Addr.Port()
	expect := func(branch string, want netip.Addr) {
		t.Helper()
		client.send(netip.AddrPortFrom(one, port), client.request("OPTIONS", branch, branch, ""))
		m, from := server.recv()
		if via := string(m.Bytes(m.Via[0].Host)); from.Addr() != want || via != want.String() {
			t.Errorf("a request leaves from %s with the Via of %s, want %s", from, via, want)
		}
	}
	expect("x1", one)
	before := e.live.Load()
	e.look()
	if e.live.Load() != before {
		t.Error("compiled anew though nothing has changed")
	}
	f.set(func() { f.routes[server.addr.Addr()] = two })
	e.look()
	expect("x2", one) // which is no address of ours yet
	log.await(t, "this machine's addresses or routes have changed", "")
	f.set(func() { f.addrs = []netip.Prefix{host(two), host(one)} })
	e.look()
	expect("x3", two)
	if what := log.await(t, "this machine's addresses or routes have changed", "addresses"); what != "[127.0.0.1/8 127.0.0.9/8]" {
		t.Errorf("the log says %s", what)
	}
	e.mu.Lock()
	snap := e.live.Load().snap
	own := snap.Own(snap.Services[0], netip.AddrPortFrom(two, port))
	e.mu.Unlock()
	f.set(func() { f.addrs, f.routes = []netip.Prefix{host(one)}, map[netip.Addr]netip.Addr{} })
	e.look()
	expect("x4", one)
	if st := e.Status(); !own || st.Revision != 1 || st.Services[0].Requests["OPTIONS"] != 4 {
		t.Errorf("own %v, revision %d, %v", own, st.Revision, st.Services[0].Requests)
	}
}

// A service without a wildcard follows the machine too: where requests toward clients
// leave, of several addresses, depends on its links.
func TestLinksThatChange(t *testing.T) {
	f := &fakeMachine{addrs: []netip.Prefix{host(netip.MustParseAddr("127.0.0.1"))}}
	e, err := Start(Config{Set: quickSet(t, "127.0.0.1:0", newPeer(t, "127.0.0.1:0")), Revision: 1, Secret: []byte("a secret for tests"), Workers: 1, machine: f.machine()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	before := e.live.Load()
	f.set(func() { f.addrs = append(f.addrs, netip.MustParsePrefix("192.0.2.1/24")) })
	e.look()
	if e.live.Load() == before {
		t.Error("the snapshot does not know of a new link")
	}
}

// A look asks for few routes, and for others the next time.
func TestLooksAreCheap(t *testing.T) {
	f := &fakeMachine{routes: map[netip.Addr]netip.Addr{}}
	a := (&around{machine: f.machine()}).lookAround()
	const servers = 1000
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range servers {
		f.routes[at(i)] = netip.MustParseAddr("10.1.1.1")
		a.source(at(i))
		a.source(at(i))
	}
	if f.asked != servers {
		t.Errorf("asked %d times for %d servers", f.asked, servers)
	}
	f.asked = 0
	if what := a.change(routesPerLook); what != nil || f.asked != routesPerLook {
		t.Errorf("asked %d times, %v", f.asked, what)
	}
	f.routes[at(routesPerLook)] = netip.MustParseAddr("10.1.1.2")
	if what := a.change(routesPerLook); what == nil {
		t.Error("the next look asks for the same servers")
	}
}
