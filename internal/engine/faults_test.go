package engine

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
)

// two is a set of two services, at these addresses, with a server each.
func twoServices(t *testing.T, first, second string, a, b *peer) *object.Set {
	t.Helper()
	set := &object.Set{}
	for i, s := range []struct {
		name, at string
		server   *peer
	}{{"first", first, a}, {"second", second, b}} {
		one := quickSet(t, s.at, s.server)
		vs, vip, pool := one.VirtualServices[0], one.VsVips[0], one.Pools[0]
		vs.Name, vs.UUID, vs.VsVipRef, vs.PoolRef, vip.Name, pool.Name = s.name, "virtualservice-"+s.name, s.name, s.name, s.name, s.name
		if i == 0 {
			set.ApplicationProfiles, set.NetworkProfiles = one.ApplicationProfiles, one.NetworkProfiles
		}
		set.VirtualServices, set.VsVips, set.Pools = append(set.VirtualServices, vs), append(set.VsVips, vip), append(set.Pools, pool)
	}
	return set
}

func (e *Engine) statusOf(t *testing.T, name string) ServiceStatus {
	t.Helper()
	for _, s := range e.Status().Services {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no status of %s", name)
	return ServiceStatus{}
}

// serves sends a request to an address and says which of the servers got it.
func serves(client *peer, lb netip.AddrPort, id string, servers ...*peer) *peer {
	client.t.Helper()
	client.send(lb, client.request("OPTIONS", id, id, ""))
	p := whoHas(servers...)
	m, from := p.recv()
	p.answer(m, from, 200, "OK")
	client.recv()
	return p
}

// An engine without anything to serve starts, and one whose addresses are taken serves the rest.
func TestServiceThatCantBeHad(t *testing.T) {
	a, b, client, taken := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, err := Start(Config{Secret: []byte("a secret for tests"), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	if st := e.Status(); st.Revision != 0 || len(st.Services) != 0 {
		t.Errorf("an empty engine says %+v", st)
	}
	if err := e.Apply(twoServices(t, taken.addr.String(), "127.0.0.2:0", a, b), 7); err != nil {
		t.Fatal(err)
	}
	st := e.statusOf(t, "first")
	if !strings.HasPrefix(st.Error, "udp "+taken.addr.String()+" is taken by ") || len(st.Listeners) != 0 || st.UUID != "virtualservice-first" {
		t.Errorf("the service that is down says %+v", st)
	}
	if e.Status().Revision != 7 {
		t.Errorf("revision %d", e.Status().Revision)
	}
	second := e.statusOf(t, "second")
	serves(client, second.Listeners[0].Addr, "call-1", b)
	taken.conn.Close()
	e.mu.Lock()
	e.retry()
	e.mu.Unlock()
	st = e.statusOf(t, "first")
	if st.Error != "" || len(st.Listeners) != 1 {
		t.Fatalf("after its address came free: %+v", st)
	}
	serves(client, taken.addr, "call-2", a)
	if s := e.statusOf(t, "second"); s.Error != "" || s.Listeners[0].Addr != second.Listeners[0].Addr || s.Requests["OPTIONS"] != 1 {
		t.Errorf("the other service: %+v", s)
	}
}

// A service that can't be had as it is configured now goes on as it was, pool and profile included, and what else
// has changed is live.
func TestLastGoodForm(t *testing.T) {
	a, b, c, client, taken := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, err := Start(Config{Set: twoServices(t, "127.0.0.1:0", "127.0.0.2:0", a, b), Revision: 1, Secret: []byte("a secret for tests"), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	first, second := e.statusOf(t, "first").Listeners[0].Addr, e.statusOf(t, "second").Listeners[0].Addr
	serves(client, first, "call-1", a)
	set := twoServices(t, taken.addr.String(), "127.0.0.2:0", c, c)
	set.Pools[0].Name, set.VirtualServices[0].PoolRef = "another", "another" // the pool of before is gone
	if err := e.Apply(set, 2); err != nil {
		t.Fatal(err)
	}
	st := e.statusOf(t, "first")
	if st.Error == "" || len(st.Listeners) != 1 || st.Listeners[0].Addr != first || st.Pool != "first" || st.Requests["OPTIONS"] != 1 {
		t.Errorf("its last good form: %+v", st)
	}
	serves(client, first, "call-2", a)
	serves(client, second, "call-3", c)
	// a change of something else leaves it so
	renamed := *set.VirtualServices[1]
	renamed.Name = "renamed"
	set = &object.Set{VirtualServices: []*object.VirtualService{set.VirtualServices[0], &renamed}, VsVips: set.VsVips, Pools: set.Pools,
		ApplicationProfiles: set.ApplicationProfiles, NetworkProfiles: set.NetworkProfiles}
	if err := e.Apply(set, 3); err != nil {
		t.Fatal(err)
	}
	if st := e.statusOf(t, "renamed"); st.Listeners[0].Addr != second || st.Requests["OPTIONS"] != 1 {
		t.Errorf("a service with a new name: %+v", st)
	}
	serves(client, first, "call-4", a)
	// the address that it keeps is not there for another
	third := *set.VirtualServices[1]
	third.Name, third.UUID, third.VsVipRef = "third", "virtualservice-third", "third"
	vip := *set.VsVips[0]
	vip.Name = "third"
	vip.Vip = []object.Vip{{VipID: "1", Enabled: true, IPAddress: first.Addr()}}
	third.Services = []object.Service{{Port: 0}}
	set.VsVips = append(slices.Clone(set.VsVips), &vip)
	set.VirtualServices = append(slices.Clone(set.VirtualServices), &third)
	if err := e.Apply(set, 4); err != nil {
		t.Fatal(err)
	}
	if st := e.statusOf(t, "third"); !strings.Contains(st.Error, "VirtualService/first") || len(st.Listeners) != 0 {
		t.Errorf("who wants an address that another keeps: %+v", st)
	}
	taken.conn.Close()
	for end := time.Now().Add(20 * time.Second); e.statusOf(t, "first").Error != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never tried again: %+v", e.statusOf(t, "first"))
		}
	}
	if p := serves(client, taken.addr, "call-5", c); p != c {
		t.Error("its new pool is not in use")
	}
	if st := e.Status(); st.Revision != 4 || e.statusOf(t, "third").Error != "" {
		t.Errorf("revision %d, %+v", st.Revision, e.statusOf(t, "third"))
	}
}
