package snapshot

import (
	"fmt"
	"net/netip"
	"testing"
)

// The table against a map: servers on many ports and addresses of both families.
func TestAddrTable(t *testing.T) {
	var tab serverTable
	ref := map[netip.AddrPort]*Server{}
	addr := func(i int) netip.AddrPort {
		if i%3 == 0 {
			return netip.MustParseAddrPort(fmt.Sprintf("[2001:db8::%x]:%d", i%500, 5060+i%7))
		}
		return netip.MustParseAddrPort(fmt.Sprintf("10.%d.%d.%d:%d", i%5, i%11, i%250, 5060+i%13))
	}
	for i := range 5000 {
		s := &Server{Addr: addr(i)}
		tab.put(s)
		ref[s.Addr] = s
	}
	n := 0
	for s := range tab.all {
		n++
		if ref[s.Addr] != s {
			t.Fatalf("%s: another server than was added last", s.Addr)
		}
	}
	if n != len(ref) {
		t.Fatalf("%d servers, want %d", n, len(ref))
	}
	for i := range 20000 {
		a := addr(i)
		if tab.find(a) != ref[a] {
			t.Fatalf("%s: %v, want %v", a, tab.find(a), ref[a])
		}
	}
	if tab.find(netip.MustParseAddrPort("192.0.2.1:5060")) != nil || (&serverTable{}).at(netip.MustParseAddr("10.0.0.1")) != nil {
		t.Error("found a stranger")
	}
}

func BenchmarkAddrTableStranger(b *testing.B) {
	var tab serverTable
	for i := range 10 {
		tab.put(&Server{Addr: netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:5060", i+1))})
	}
	stranger := netip.MustParseAddrPort("192.0.2.7:40000")
	for b.Loop() {
		tab.find(stranger)
	}
}
