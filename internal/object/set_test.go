package object

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func mustLoad(t *testing.T, text string) *Set {
	t.Helper()
	s, err := Load("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestListens(t *testing.T) {
	s := mustLoad(t, `
VirtualService:
- {name: a, vsvip_ref: v, pool_ref: p, network_profile_ref: System-TCP-Proxy,
   services: [{port: 5060, override_network_profile_ref: System-UDP-Proxy}, {port: 5061}, 5070], fqdn: a.example.com}
- {name: b, vsvip_ref: v, pool_ref: p, services: [5080], enabled: false}
VsVip:
- name: v
  dns_info: [{fqdn: v.example.com}]
  vip:
  - {ip_address: 10.0.0.1, ip6_address: "2001:db8::1", floating_ip: 192.0.2.1}
  - {ip_address: 10.0.0.2, enabled: false}
Pool: [{name: p, servers: [10.0.0.9, "10.0.0.9:5061"], default_server_port: 5060}]`)
	vs := s.VirtualService("a")
	vs.Services[1].EnableSSL = true
	want := "[{10.0.0.1:5060 192.0.2.1 false false} {[2001:db8::1]:5060 invalid IP false false} {10.0.0.1:5061 192.0.2.1 true true} " +
		"{[2001:db8::1]:5061 invalid IP true true} {10.0.0.1:5070 192.0.2.1 true false} {[2001:db8::1]:5070 invalid IP true false}]"
	if got := fmt.Sprint(s.Listens(vs)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := s.Listens(s.VirtualService("b")); got != nil {
		t.Errorf("a disabled one listens on %v", got)
	}
	if got := s.FQDNs(vs); !reflect.DeepEqual(got, []string{"a.example.com", "v.example.com"}) {
		t.Error(got)
	}
	p := s.Pool("p")
	if a, b := p.ServerAddr(0), p.ServerAddr(1); a != netip.MustParseAddrPort("10.0.0.9:5060") || b != netip.MustParseAddrPort("10.0.0.9:5061") {
		t.Error(a, b)
	}
}

func TestSystemObjects(t *testing.T) {
	s := &Set{}
	if p := s.ApplicationProfile(SystemSIP); p == nil || p.Type != ApplicationSIP || p.SIPServiceProfile.TransactionTimeoutS != 32 {
		t.Error(p)
	}
	if p := s.NetworkProfile(SystemUDPProxy); p == nil || p.Profile.Type != ProtocolUDPProxy || p.Profile.UDPProxyProfile.SessionIdleTimeoutS != 10 {
		t.Error(p)
	}
	types := map[string]MonitorType{SystemSIP: MonitorSIP, SystemPing: MonitorPing, SystemTCP: MonitorTCP, SystemUDP: MonitorUDP}
	for name, typ := range types {
		if m := s.HealthMonitor(name); m == nil || m.Type != typ || m.SendIntervalS != 10 {
			t.Error(name, m)
		}
	}
	uuids := map[string]bool{}
	for _, a := range SystemObjects() {
		if err := Check(a); err != nil {
			t.Error(err)
		}
		if uuids[a.UUID()] || a.UUID() == "" || !IsSystem(a.Kind(), a.Name()) {
			t.Errorf("%s: its uuid %q is not its own, or it is no system object", a, a.UUID())
		}
		uuids[a.UUID()] = true
		s.Add(a)
		if got := s.Get(a.Kind(), a.Name()); !Equal(got, a) {
			t.Errorf("%s is %s", a, got)
		}
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	if IsSystem("Pool", "x") || !IsSystem("tenant", "admin") || !s.Get("Pool", "x").IsZero() {
		t.Error("IsSystem")
	}
	// what a reference in a store says must stay what it is
	if got := (&Set{}).Get("ApplicationProfile", SystemSIP).UUID(); got != "applicationprofile-1bc3b7b9-9490-8a8c-ac79-785c0b3775aa" {
		t.Error(got)
	}
	s = mustLoad(t, "ApplicationProfile: [{name: System-SIP, type: sip, sip_service_profile: {record_route: true}}]")
	if !s.ApplicationProfile(SystemSIP).SIPServiceProfile.RecordRoute {
		t.Error("the set's own System-SIP is not taken")
	}
}

func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		codes    string
		yes, not []int
	}{
		{"", []int{200, 302, 404, 486, 500, 603}, []int{100, 180, 408, 503, 700, 0}},
		{"200", []int{200}, []int{202, 404, 503}},
		{"200 4xx 500-503", []int{200, 400, 408, 499, 500, 503}, []int{199, 201, 504}},
	} {
		m := SIPMonitor{SIPResponseCodes: strings.Fields(c.codes)}
		for _, status := range c.yes {
			if !m.Accepts(status) {
				t.Errorf("%q refuses %d", c.codes, status)
			}
		}
		for _, status := range c.not {
			if m.Accepts(status) {
				t.Errorf("%q accepts %d", c.codes, status)
			}
		}
	}
}
