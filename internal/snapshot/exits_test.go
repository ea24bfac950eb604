package snapshot

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/token"
)

// world is a machine for Compile: its addresses, and what its routing table gives
// for what is on none of its links.
type world struct {
	hosts  []string
	routes map[string]string // by prefix
}

func (w world) env() Env {
	env := Env{Sealer: token.New(nil), LocalAddr: func(to netip.Addr) (netip.Addr, error) {
		best, found := netip.Addr{}, -1
		for p, a := range w.routes {
			if p := netip.MustParsePrefix(p); p.Contains(to) && p.Bits() > found {
				best, found = netip.MustParseAddr(a), p.Bits()
			}
		}
		if found < 0 {
			return best, fmt.Errorf("no route to %s", to)
		}
		return best, nil
	}}
	for _, h := range w.hosts {
		env.Hosts = append(env.Hosts, netip.MustParsePrefix(h))
	}
	return env
}

// serving is a set of one virtual service.
func serving(server string, listens ...string) *object.Set {
	vs, vip, pool := object.New[object.VirtualService]("vs"), object.New[object.VsVip]("vip"), object.New[object.Pool]("pool")
	for _, l := range listens {
		a := netip.MustParseAddrPort(l)
		vip.Vip = append(vip.Vip, object.Vip{Enabled: true, VipID: l, IPAddress: a.Addr()})
		vs.Services = []object.Service{{Port: a.Port()}}
	}
	pool.Servers = []object.Server{object.NewServer(netip.MustParseAddrPort(server))}
	vs.VsVipRef, vs.PoolRef, vs.ApplicationProfileRef, vs.NetworkProfileRef = "vip", "pool", "app", "net"
	app := object.New[object.ApplicationProfile]("app")
	app.Type = object.ApplicationSIP
	return &object.Set{VirtualServices: []*object.VirtualService{&vs}, VsVips: []*object.VsVip{&vip}, Pools: []*object.Pool{&pool},
		ApplicationProfiles: []*object.ApplicationProfile{&app}, NetworkProfiles: nil}
}

// Where a request to an address outside leaves, by the address that it came in at.
func TestFaceFor(t *testing.T) {
	two := world{hosts: []string{"127.0.0.1/8", "::1/128", "10.9.0.1/24", "192.0.2.1/24", "fd00:9::1/64", "2001:db8:1::1/64"},
		routes: map[string]string{"0.0.0.0/0": "192.0.2.1", "::/0": "2001:db8:1::1", "10.9.0.0/24": "10.9.0.1"}}
	closed := world{hosts: two.hosts} // no default route, as in a laboratory
	// .5 is the link's first address, .9 and .3 came later, .4 is one of its own
	many := world{hosts: []string{"127.0.0.1/8", "192.0.2.5/24", "192.0.2.9/24", "192.0.2.3/24", "192.0.2.4/32", "192.0.2.129/25"},
		routes: map[string]string{"0.0.0.0/0": "192.0.2.5", "192.0.2.128/25": "192.0.2.129"}}
	alone := world{hosts: []string{"127.0.0.1/8", "10.0.0.2/32"}, routes: map[string]string{"0.0.0.0/0": "10.0.0.2"}}
	for _, c := range []struct {
		name    string
		world   world
		listens []string
		in      string // local address; its listener is the first of its family
		to      string
		want    string
	}{
		{"another link", two, []string{"0.0.0.0:5060"}, "10.9.0.1", "192.0.2.10", "192.0.2.1"},
		{"its link", two, []string{"0.0.0.0:5060"}, "10.9.0.1", "10.9.0.77", "10.9.0.1"},
		{"default route", two, []string{"0.0.0.0:5060"}, "10.9.0.1", "198.51.100.7", "192.0.2.1"},
		{"loopback", two, []string{"0.0.0.0:5060"}, "10.9.0.1", "127.0.0.9", "127.0.0.1"},
		{"from loopback", two, []string{"0.0.0.0:5060"}, "127.0.0.1", "10.9.0.77", "10.9.0.1"},
		{"own address", two, []string{"0.0.0.0:5060"}, "10.9.0.1", "192.0.2.1", "192.0.2.1"},
		{"another family", two, []string{"0.0.0.0:5060", "[::]:5060"}, "10.9.0.1", "2001:db8:1::10", "2001:db8:1::1"},
		{"another family, default route", two, []string{"0.0.0.0:5060", "[::]:5060"}, "10.9.0.1", "2001:db8:77::10", "2001:db8:1::1"},
		{"another family, loopback", two, []string{"0.0.0.0:5060", "[::]:5060"}, "127.0.0.1", "::1", "::1"},
		{"back to IPv4", two, []string{"0.0.0.0:5060", "[::]:5060"}, "fd00:9::1", "192.0.2.10", "192.0.2.1"},
		{"two listeners of the other family", two, []string{"10.9.0.1:5060", "192.0.2.1:5060", "[::]:5060"}, "fd00:9::1", "192.0.2.10", "192.0.2.1"},
		{"a listener on one address", two, []string{"10.9.0.1:5060", "192.0.2.1:5060"}, "10.9.0.1", "192.0.2.10", "10.9.0.1"},
		{"no listener of the family", two, []string{"0.0.0.0:5060"}, "10.9.0.1", "2001:db8:1::10", ""},
		{"no default route", closed, []string{"0.0.0.0:5060"}, "10.9.0.1", "192.0.2.10", "192.0.2.1"},
		{"no default route, never loopback", closed, []string{"0.0.0.0:5060", "[::]:5060"}, "10.9.0.1", "2001:db8:77::10", "2001:db8:1::1"},
		{"several addresses of a link", many, []string{"0.0.0.0:5060"}, "127.0.0.1", "192.0.2.77", "192.0.2.5"},
		{"the one it came in at", many, []string{"0.0.0.0:5060"}, "192.0.2.9", "192.0.2.77", "192.0.2.9"},
		{"the one it came in at, on the link with its own prefix", many, []string{"0.0.0.0:5060"}, "192.0.2.4", "192.0.2.77", "192.0.2.4"},
		{"the one it came in at, by the default route", many, []string{"0.0.0.0:5060"}, "192.0.2.9", "198.51.100.7", "192.0.2.9"},
		{"the longest prefix", many, []string{"0.0.0.0:5060"}, "192.0.2.9", "192.0.2.200", "192.0.2.129"},
		{"no links", alone, []string{"0.0.0.0:5060"}, "127.0.0.1", "10.0.0.1", "10.0.0.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Compile(serving("10.9.0.10:5080", c.listens...), nil, c.world.env(), 1)
			if err != nil {
				t.Fatal(err)
			}
			local, to, got := netip.MustParseAddr(c.in), netip.MustParseAddr(c.to), ""
			for _, l := range s.Listeners {
				if l.Addr.Addr().Is4() != local.Is4() {
					continue
				}
				if f := l.FaceFor(to, sip.UDP, l.FaceAt(local)); f != nil {
					got = f.Addr().String()
					if !f.Reaches(to) {
						t.Errorf("%s does not reach %s", got, to)
					}
				}
				break
			}
			if got != c.want {
				t.Errorf("to %s from %q, want %q", to, got, c.want)
			}
		})
	}
}

// An address that is not known, which may have come since the snapshot was made, is
// answered from where the default route leads, not from loopback because it is lowest.
func TestFaceAtUnknownAddress(t *testing.T) {
	w := world{hosts: []string{"::1/128", "fd00:9::1/64", "2001:db8:1::1/64"}, routes: map[string]string{"::/0": "2001:db8:1::1"}}
	s, err := Compile(serving("[fd00:9::10]:5080", "[::]:5060"), nil, w.env(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for local, want := range map[string]string{"2001:db8:1::99": "2001:db8:1::1", "fd00:9::1": "fd00:9::1", "::1": "::1"} {
		if got := s.Listeners[0].FaceAt(netip.MustParseAddr(local)).Addr().String(); got != want {
			t.Errorf("at %s: %s, want %s", local, got, want)
		}
	}
}

// A server that is the service itself shows, behind a wildcard, only with the machine's addresses.
func TestServerIsItself(t *testing.T) {
	w := world{hosts: []string{"127.0.0.1/8", "10.9.0.1/24"}}
	for server, want := range map[string]string{
		"10.9.0.1:5060":  "Pool/pool: server 10.9.0.1:5060 is an address of VirtualService/vs itself: it would send to itself",
		"10.9.0.1:5061":  "<nil>",
		"10.9.0.10:5060": "<nil>",
	} {
		if _, err := Compile(serving(server, "0.0.0.0:5060"), nil, w.env(), 1); fmt.Sprint(err) != want {
			t.Errorf("%s: %v, want %s", server, err, want)
		}
	}
}
