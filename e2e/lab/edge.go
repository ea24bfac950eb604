//go:build linux

package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Edge is a file of a virtual service on UDP and TCP of one port, and on TLS of another if there is one.
type Edge struct {
	Listen  netip.AddrPort
	Secure  netip.AddrPort // the zero value: no TLS
	Cert    Cert           // that is shown at Secure
	Profile string         // further fields of the SIP profile, as "transaction_timeout: 2"; record_route is true
	Pools   []EdgePool     // more than one make a pool group
	Group   string         // further fields of the pool group
	More    string         // further kinds of objects
}

// EdgePool is a pool of an Edge.
type EdgePool struct {
	Name    string
	Over    string // transport to its servers: udp, tcp or tls
	Fields  string // further fields, as "min_servers_up: 2"
	Member  string // fields as a member of the group, as "ratio: 3"
	Servers []PoolServer
}

// YAML writes the objects.
func (e *Edge) YAML() string {
	var b strings.Builder
	field := "ip_address"
	if e.Listen.Addr().Is6() {
		field = "ip6_address"
	}
	fmt.Fprintf(&b, "VsVip: [{name: vip, vip: [{vip_id: 0, %s: %q}]}]\n", field, e.Listen.Addr())
	b.WriteString("ApplicationProfile: [{name: app, type: sip, sip_service_profile: {" + flow(e.Profile, "record_route: true") + "}}]\n")
	b.WriteString("VirtualService:\n- name: vs\n  vsvip_ref: vip\n  application_profile_ref: app\n")
	if len(e.Pools) > 1 {
		b.WriteString("  pool_group_ref: group\n")
	} else {
		fmt.Fprintf(&b, "  pool_ref: %s\n", e.Pools[0].Name)
	}
	fmt.Fprintf(&b, "  services:\n  - {port: %[1]d}\n  - {port: %[1]d, override_network_profile_ref: System-TCP-Proxy}\n", e.Listen.Port())
	if e.Secure.IsValid() {
		fmt.Fprintf(&b, "  - {port: %d, override_network_profile_ref: System-TCP-Proxy, enable_ssl: true}\n  ssl_key_and_certificate_refs: [cert]\n", e.Secure.Port())
		fmt.Fprintf(&b, "SSLKeyAndCertificate:\n- name: cert\n  certificate:\n    certificate: |\n%s\n  key: |\n%s\n", indent(e.Cert.PEM), indent(e.Cert.Key))
	}
	b.WriteString("Pool:\n")
	for _, p := range e.Pools {
		b.WriteString(p.yaml())
	}
	if len(e.Pools) > 1 {
		b.WriteString("PoolGroup:\n- {" + flow(e.Group, "name: group") + ", members: [")
		for i, p := range e.Pools {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("{" + flow(p.Member, "pool_ref: "+p.Name) + "}")
		}
		b.WriteString("]}\n")
	}
	return b.String() + e.More
}

// flow is the inside of a flow mapping: the fields given, and those of the others that are not.
func flow(given string, others ...string) string {
	var all []string
	if given != "" {
		all = append(all, given)
	}
	for _, o := range others {
		if name, _, _ := strings.Cut(o, " "); !strings.Contains(" "+given, " "+name+" ") {
			all = append(all, o)
		}
	}
	return strings.Join(all, ", ")
}

func indent(pem []byte) string {
	return "      " + strings.ReplaceAll(strings.TrimSpace(string(pem)), "\n", "\n      ")
}

func (p *EdgePool) yaml() string {
	over := "server_transport: " + p.Over
	if p.Over == "tls" {
		over = "ssl_profile_ref: System-Standard"
	}
	var servers []string
	for _, s := range p.Servers {
		servers = append(servers, s.yaml())
	}
	known := flow(p.Fields, "name: "+p.Name, over, "lb_algorithm: consistent-hash", "lb_algorithm_hash: call-id", "connection_ramp_duration: 0")
	return "- {" + known + ", servers: [" + strings.Join(servers, ", ") + "]}\n"
}

// Start writes the file and starts a balancer with it.
func (e *Edge) Start(t testing.TB, s Setup) *Balancer {
	t.Helper()
	if StandIn() {
		t.Skip("the stand-in has no files of objects")
	}
	s.Listen, s.File = []netip.AddrPort{e.Listen}, filepath.Join(t.TempDir(), "edge.yaml")
	WriteWhole(t, s.File, e.YAML())
	return StartBalancer(t, s)
}

// Cert is a certificate with its key.
type Cert struct {
	PEM, Key []byte
	TLS      tls.Certificate
}

// MakeCert makes a certificate for names or addresses that ends at a time, signed by another or, with nil, by itself.
func MakeCert(t testing.TB, by *Cert, ends time.Time, hosts ...string) Cert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts, NotBefore: ends.Add(-48 * time.Hour), NotAfter: ends,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: by == nil, BasicConstraintsValid: true}
	parent, signer := c, any(key)
	if by != nil {
		parent, signer = by.TLS.Leaf, by.TLS.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	out := Cert{PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})}
	if out.TLS, err = tls.X509KeyPair(out.PEM, out.Key); err != nil {
		t.Fatal(err)
	}
	return out
}
