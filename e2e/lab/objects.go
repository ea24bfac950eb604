//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// Objects is a configuration file in the making.
type Objects struct {
	Listen          []netip.AddrPort
	Servers         []PoolServer
	RecordRoute     bool
	HealthIntervalS int // 0: no health monitor
}

// PoolServer is a server in a file.
type PoolServer struct {
	Addr     netip.AddrPort
	Ratio    int  // 0: left out
	Disabled bool // drains
	Name     string
}

func (s *PoolServer) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{ip: %q, port: %d", s.Addr.Addr(), s.Addr.Port())
	if s.Name != "" {
		fmt.Fprintf(&b, ", hostname: %s", s.Name)
	}
	if s.Ratio > 0 {
		fmt.Fprintf(&b, ", ratio: %d", s.Ratio)
	}
	if s.Disabled {
		b.WriteString(", enabled: false")
	}
	return b.String() + "}"
}

// Objects is the file that says the same as the flags would.
func (s Setup) Objects() Objects {
	o := Objects{Listen: s.Listen, RecordRoute: !s.NoRecordRoute, HealthIntervalS: s.HealthIntervalS}
	for _, a := range s.Servers {
		o.Servers = append(o.Servers, PoolServer{Addr: a})
	}
	return o
}

// YAML writes the objects. Every listening address has a virtual service and a VIP of its own.
func (o Objects) YAML() string {
	var b strings.Builder
	b.WriteString("VirtualService:\n")
	for i, a := range o.Listen {
		fmt.Fprintf(&b, "  - {name: sip%[1]d, services: [%[2]d], vsvip_ref: sip%[1]d, pool_ref: servers, application_profile_ref: sip}\n", i, a.Port())
	}
	b.WriteString("VsVip:\n")
	for i, a := range o.Listen {
		fmt.Fprintf(&b, "  - {name: sip%d, vip: [%q]}\n", i, a.Addr())
	}
	fmt.Fprintf(&b, "ApplicationProfile:\n  - {name: sip, type: sip, sip_service_profile: {record_route: %t}}\n", o.RecordRoute)
	monitors := ""
	if o.HealthIntervalS > 0 {
		monitors = "options"
		fmt.Fprintf(&b, "HealthMonitor:\n  - {name: options, type: sip, send_interval: %d, receive_timeout: 1, sip_monitor: {}}\n", max(2, o.HealthIntervalS))
	}
	fmt.Fprintf(&b, "Pool:\n  - name: servers\n    lb_algorithm: consistent-hash\n    lb_algorithm_hash: call-id\n    connection_ramp_duration: 0\n"+
		"    health_monitor_refs: [%s]\n    servers:\n", monitors)
	for _, s := range o.Servers {
		b.WriteString("      - " + s.yaml() + "\n")
	}
	return b.String()
}

// Write replaces the file as a whole, as editors and tools do.
func (o Objects) Write(t testing.TB, file string) {
	t.Helper()
	WriteWhole(t, file, o.YAML())
}

// WriteWhole writes a new file and moves it over the old one.
func WriteWhole(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}
