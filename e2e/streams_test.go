package e2e

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
	"github.com/carillon-sip/carillon/internal/selfsigned"
)

// streamFile writes the objects of a service on UDP and TCP of one port and TLS of another, before servers of a transport.
func streamFile(t *testing.T, listen, secure netip.AddrPort, over string, servers []netip.AddrPort) string {
	t.Helper()
	certPEM, keyPEM, err := selfsigned.Make("example.com", []string{"example.com"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	indent := func(b []byte) string { return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "\n      ") }
	var list []string
	for _, s := range servers {
		list = append(list, `"`+s.String()+`"`)
	}
	field := "ip_address"
	if listen.Addr().Is6() {
		field = "ip6_address"
	}
	text := fmt.Sprintf(`VirtualService:
- name: vs
  vsvip_ref: vip
  pool_ref: pool
  application_profile_ref: app
  ssl_key_and_certificate_refs: [cert]
  services:
  - {port: %d}
  - {port: %d, override_network_profile_ref: System-TCP-Proxy}
  - {port: %d, override_network_profile_ref: System-TCP-Proxy, enable_ssl: true}
VsVip: [{name: vip, vip: [{vip_id: 0, %s: "%s"}]}]
ApplicationProfile: [{name: app, type: sip, sip_service_profile: {record_route: true}}]
Pool: [{name: pool, lb_algorithm: consistent-hash, lb_algorithm_hash: call-id, server_transport: %s, servers: [%s]}]
SSLKeyAndCertificate:
- name: cert
  certificate:
    certificate: |
      %s
  key: |
      %s
`, listen.Port(), listen.Port(), secure.Port(), field, listen.Addr(), over, strings.Join(list, ", "), indent(certPEM), indent(keyPEM))
	file := filepath.Join(t.TempDir(), "streams.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// SIPp calls over UDP and TCP, with one connection for all calls (t1) or one for each (tn), servers over UDP and TCP.
func TestCallsOverStreams(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in speaks UDP")
	}
	lab.Require(t, "sipp")
	for _, c := range []struct{ client, server string }{{"t1", "t1"}, {"tn", "t1"}, {"u1", "t1"}, {"t1", "u1"}, {"tn", "u1"}} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(c.client+" to "+c.server+" at "+host, func(t *testing.T) { callsOverStreams(t, c.client, c.server, host) })
		}
	}
}

func callsOverStreams(t *testing.T, client, server, host string) {
	hosts := []string{"127.0.0.11", "127.0.0.12"}
	from := lab.Addr(t, "127.0.0.2")
	if host == "::1" {
		hosts, from = []string{"::1", "::1"}, lab.Addr(t, "::1")
	}
	over := "udp"
	if server[0] == 't' {
		over = "tcp"
	}
	servers := lab.Addrs(t, hosts...)
	for i, a := range servers {
		lab.StartSIPp(t, lab.SIPpSpec{Name: fmt.Sprintf("server%d", i+1), Scenario: "server", Local: a, Transport: server, T1: lab.Patient})
	}
	listen := lab.Addr(t, host)
	b := lab.StartBalancer(t, lab.Setup{Listen: []netip.AddrPort{listen}, File: streamFile(t, listen, lab.Addr(t, host), over, servers)})
	const calls = 300
	caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: from, Remote: b.Addr, Calls: calls, Rate: 300, Hold: 20 * time.Millisecond,
		Transport: client, Args: []string{"-max_socket", "1000"}})
	if tally := caller.Finish(loadLimit); tally.Succeeded != calls || tally.Failed != 0 {
		t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
	}
}

// Phones over UDP, TCP and TLS register with digest, and call each other through their registrations: each transport calls
// each, and either side hangs up. Nobody listens at the Contact of a phone on a stream: its own connection leads to it.
func TestPhonesOverStreams(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in speaks UDP")
	}
	lab.Require(t, "baresip", "kamailio")
	addrs := [2]netip.AddrPort{lab.Addr(t, "127.0.0.21"), lab.Addr(t, "127.0.0.22")}
	lab.StartRegistrars(t, addrs, lab.RegistrarSpec{Path: true})
	listen, secure := lab.Addr(t, "127.0.0.1"), lab.Addr(t, "127.0.0.1")
	file := streamFile(t, listen, secure, "udp", addrs[:])
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(file, []byte(strings.Replace(string(text), "record_route: true", "record_route: true, path: always", 1)), 0o600)
	lab.StartBalancer(t, lab.Setup{Listen: []netip.AddrPort{listen}, File: file})
	phones := map[string]*lab.Baresip{}
	for i, over := range []string{"udp", "tcp", "tls"} {
		p := lab.Phone{User: "on" + over, Addr: lab.Addr(t, fmt.Sprintf("127.0.0.3%d", i+1)), Outbound: listen}
		if over != "udp" {
			p.Transport = over
		}
		if over == "tls" {
			p.Outbound = secure
		}
		phones[over] = lab.StartBaresip(t, p)
	}
	for from, caller := range phones {
		for to, callee := range phones {
			if from == to {
				continue
			}
			for _, hangsUp := range []*lab.Baresip{caller, callee} {
				other := caller
				if hangsUp == caller {
					other = callee
				}
				caller.Do("dial", "sip:on"+to+"@example.test")
				callee.Expect("CALL_INCOMING")
				callee.Do("accept", "")
				caller.Expect("CALL_ESTABLISHED")
				callee.Expect("CALL_ESTABLISHED")
				hangsUp.Do("hangup", "")
				other.Expect("CALL_CLOSED")
				t.Logf("%s called %s, %s hung up", from, to, hangsUp.User)
			}
		}
	}
}
