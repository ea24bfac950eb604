package store

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// cluster is a real etcd cluster in this process, on loopback.
type cluster struct {
	t       testing.TB
	certs   certs
	members []*member
}

type member struct {
	config *embed.Config
	etcd   *embed.Etcd // nil while it is down
	url    string
}

// certs are files for the server's and the client's side.
type certs struct{ ca, serverCert, serverKey, clientCert, clientKey string }

// newCluster starts n members. Clients need the CA, and a certificate if mutual.
func newCluster(t testing.TB, n int, mutual bool) *cluster {
	t.Helper()
	c := &cluster{t: t, certs: newCerts(t)}
	ports := freePorts(t, 2*n)
	var initial []string
	for i := range n {
		initial = append(initial, fmt.Sprintf("m%d=http://127.0.0.1:%d", i, ports[2*i]))
	}
	for i := range n {
		cfg := embed.NewConfig()
		cfg.Name, cfg.Dir = fmt.Sprintf("m%d", i), filepath.Join(t.TempDir(), "etcd")
		peer, client := loopback("http", ports[2*i]), loopback("https", ports[2*i+1])
		cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = peer, peer
		cfg.ListenClientUrls, cfg.AdvertiseClientUrls = client, client
		cfg.InitialCluster = strings.Join(initial, ",")
		cfg.InitialClusterToken = t.Name()
		cfg.TickMs, cfg.ElectionMs = 50, 500
		cfg.EnableGRPCGateway = false
		cfg.ClientTLSInfo = transport.TLSInfo{CertFile: c.certs.serverCert, KeyFile: c.certs.serverKey}
		if mutual {
			cfg.ClientTLSInfo.TrustedCAFile, cfg.ClientTLSInfo.ClientCertAuth = c.certs.ca, true
		}
		c.members = append(c.members, &member{config: cfg, url: client[0].String()})
	}
	c.start(c.members...)
	t.Cleanup(func() {
		for _, m := range c.members {
			c.kill(m)
		}
	})
	return c
}

// start starts members and waits until they serve.
func (c *cluster) start(members ...*member) {
	c.t.Helper()
	var quiet atomic.Bool
	for _, m := range members {
		cfg := *m.config
		cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapTo(slog.New(slog.DiscardHandler), &quiet, nil))
		var err error
		if m.etcd, err = embed.StartEtcd(&cfg); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, m := range members {
		select {
		case <-m.etcd.Server.ReadyNotify():
		case <-time.After(patience):
			c.t.Fatal("a member does not become ready")
		}
	}
}

// kill stops a member without a word to the others.
func (c *cluster) kill(m *member) {
	if m.etcd == nil {
		return
	}
	m.etcd.Server.HardStop()
	m.etcd.Close()
	m.etcd = nil
}

func (c *cluster) leader() *member {
	for _, m := range c.members {
		if m.etcd != nil && m.etcd.Server.Leader() == m.etcd.Server.MemberID() {
			return m
		}
	}
	return c.members[0]
}

// config is how a store gets at the cluster, with the client's certificate.
func (c *cluster) config() Config {
	cfg := Config{CA: c.certs.ca, Cert: c.certs.clientCert, Key: c.certs.clientKey}
	for _, m := range c.members {
		cfg.URLs = append(cfg.URLs, m.url)
	}
	return cfg
}

func loopback(scheme string, port int) []url.URL {
	return []url.URL{{Scheme: scheme, Host: fmt.Sprintf("127.0.0.1:%d", port)}}
}

// given are the ports that tests have had. Another test, beside the one that has a port, may not get it while its member is
// down or yet to start.
var given sync.Map

// freePorts gives ports below those that the kernel gives to outgoing connections,
// so that a member that is down finds its own again.
func freePorts(t testing.TB, n int) []int {
	var ports []int
	var held []net.Listener
	for len(ports) < n {
		port := 20000 + mrand.IntN(12000)
		if _, before := given.LoadOrStore(port, true); before {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		held = append(held, l)
		ports = append(ports, port)
	}
	for _, l := range held {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return ports
}

func newCerts(t testing.TB) certs {
	t.Helper()
	dir := t.TempDir()
	caKey, caCert, ca := issue(t, dir, "ca", nil, nil)
	_ = ca
	issue(t, dir, "server", caKey, caCert)
	issue(t, dir, "client", caKey, caCert)
	file := func(name string) string { return filepath.Join(dir, name) }
	return certs{file("ca.crt"), file("server.crt"), file("server.key"), file("client.crt"), file("client.key")}
}

// issue writes name.crt and name.key, signed by the CA or, without one, by itself.
func issue(t testing.TB, dir, name string, caKey *ecdsa.PrivateKey, ca *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(mrand.Int64()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	if ca == nil {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
		ca, caKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	for suffix, block := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path+suffix, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert, path
}

// withPassword makes a user of the cluster that may do what docs/store.md says, and
// turns authentication on.
func (c *cluster) withPassword(user, password string) Config {
	c.t.Helper()
	cfg := c.config()
	cfg.Cert, cfg.Key = "", ""
	var closing atomic.Bool
	root, err := dial(Config{URLs: cfg.URLs, CA: cfg.CA, Logger: slog.New(slog.DiscardHandler)}, &closing)
	if err != nil {
		c.t.Fatal(err)
	}
	defer root.Close()
	ctx := c.t.Context()
	steps := []func() error{
		func() error { _, err := root.UserAdd(ctx, "root", "r00t"); return err },
		func() error { _, err := root.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := root.RoleAdd(ctx, "carillon"); return err },
		func() error {
			_, err := root.RoleGrantPermission(ctx, "carillon", defaultPrefix, clientv3.GetPrefixRangeEnd(defaultPrefix),
				clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := root.UserAdd(ctx, user, password); return err },
		func() error { _, err := root.UserGrantRole(ctx, user, "carillon"); return err },
		func() error { _, err := root.AuthEnable(ctx); return err },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			c.t.Fatalf("authentication, step %d: %v", i, err)
		}
	}
	cfg.Username, cfg.Password = user, password
	return cfg
}
