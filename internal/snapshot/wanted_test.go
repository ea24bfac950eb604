package snapshot

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/carillon-sip/carillon/internal/object"
)

// Servers of a family that their service does not listen on get a listener of their
// own, on the service's port unless somebody is to have it.
func TestWantedEgress(t *testing.T) {
	for _, c := range []struct {
		name     string
		services [][2]string // listens on, server
		want     string      // port of the egress of each service that has one
	}{
		{"its own port", [][2]string{{"192.0.2.1:5060", "[2001:db8::1]:5080"}}, "[vs0 5060]"},
		{"none needed", [][2]string{{"[::]:5060", "[2001:db8::1]:5080"}}, "[]"},
		{"any port", [][2]string{{"192.0.2.1:0", "[2001:db8::1]:5080"}}, "[vs0 0]"},
		{"another service listens there", [][2]string{{"192.0.2.1:5060", "[2001:db8::1]:5080"}, {"[2001:db8::9]:5060", "[2001:db8::1]:5080"}}, "[vs0 0]"},
		{"the first one has it", [][2]string{{"192.0.2.1:5060", "[2001:db8::1]:5080"}, {"192.0.2.2:5060", "[2001:db8::1]:5080"}}, "[vs0 5060 vs1 0]"},
		{"one of each family", [][2]string{{"192.0.2.1:5060", "[2001:db8::1]:5080"}, {"[2001:db8::9]:5061", "10.0.0.1:5080"}}, "[vs0 5060 vs1 5061]"},
		{"a server of this machine", [][2]string{{"192.0.2.1:5060", "[::1]:5060"}}, "[vs0 0]"},
	} {
		set := &object.Set{}
		for i, s := range c.services {
			one := serving(s[1], s[0])
			name := fmt.Sprint("vs", i)
			one.VirtualServices[0].Name, one.VirtualServices[0].VsVipRef, one.VirtualServices[0].PoolRef = name, name, name
			one.VsVips[0].Name, one.Pools[0].Name = name, name
			set.VirtualServices = append(set.VirtualServices, one.VirtualServices...)
			set.VsVips, set.Pools = append(set.VsVips, one.VsVips...), append(set.Pools, one.Pools...)
		}
		got := []any{}
		for _, k := range keysOf(set) {
			if k.Egress != "" {
				got = append(got, k.Egress, k.Port)
				if k.Addr != netip.AddrPortFrom(k.Addr.Addr(), 0) {
					t.Errorf("%s: %s has a port", c.name, k.Addr)
				}
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

// keysOf is all that the services of a set listen on.
func keysOf(set *object.Set) (keys []Key) {
	for _, w := range Wanted(set).Services {
		keys = append(keys, w.Keys...)
	}
	return keys
}
