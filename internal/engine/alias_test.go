package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/sip"
)

// vouched is a certificate that vouches for itself, for a server and a client.
func vouched(t *testing.T, host string) (cert tls.Certificate, certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyPEM = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	if cert, err = tls.X509KeyPair([]byte(certPEM), []byte(keyPEM)); err != nil {
		t.Fatal(err)
	}
	return cert, certPEM, keyPEM
}

// A server that nobody can connect to gets requests on the connection that it opened, if it asks for that and its
// certificate names it; and it is asked likewise by our Via.
func TestA1_Alias(t *testing.T) {
	mine, minePEM, mineKey := vouched(t, "s.example")
	other, otherPEM, _ := vouched(t, "o.example")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := closed.Addr().(*net.TCPAddr).AddrPort()
	closed.Close()
	set := streamSet(t, []string{"127.0.0.1"}, sip.TLS, at)
	set.Pools[0].Servers[0].Hostname = "s.example"
	pki := object.New[object.PKIProfile]("pki")
	for _, text := range []string{minePEM, otherPEM} {
		ca := object.New[object.SSLKeyAndCertificate]("").Certificate
		ca.Certificate = text
		pki.CACerts = append(pki.CACerts, ca)
	}
	shown := object.New[object.SSLKeyAndCertificate]("shown")
	shown.Certificate.Certificate, shown.Key = minePEM, mineKey
	set.PKIProfiles, set.VirtualServices[0].PKIProfileRef = []*object.PKIProfile{&pki}, "pki"
	set.SSLKeyAndCertificates = append(set.SSLKeyAndCertificates, &shown)
	set.Pools[0].SSLKeyAndCertificateRef = "shown"
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	e, _ := start(t, set)
	client := newUA(t, sip.UDP, "127.0.0.1")
	secure := listenerFor(e)(&ua{tr: sip.TLS, addr: at})
	for _, c := range []struct {
		name  string
		cert  tls.Certificate
		param string
		used  bool
	}{{"other", other, ";alias", false}, {"unasked", mine, "", false}, {"asked", mine, ";alias", true}} {
		conn, err := tls.Dial("tcp", secure.String(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{c.cert}})
		if err != nil {
			t.Fatal(err)
		}
		server := &ua{t: t, tr: sip.TLS, addr: at, in: make(chan heard, 10), done: make(chan struct{}), conns: map[netip.AddrPort]net.Conn{secure: conn}}
		go server.readStream(conn)
		hello := server.request("OPTIONS", "sip:"+secure.String()+";transport=tls", "a", "", "hello-"+c.name, 1, nil)
		server.send(secure, strings.Replace(hello, ";rport", c.param, 1))
		server.recv("SIP/2.0 200")
		client.send(listenerFor(e)(client), client.request("OPTIONS", "sip:bob@example.com", "a", "", "call-"+c.name, 1, nil))
		if c.used {
			h := server.recv("OPTIONS")
			if via := values(h.text, "Via")[0]; !strings.HasSuffix(via, ";alias") {
				t.Errorf("our Via is %s", via)
			}
			server.answer(h, "200 OK")
			client.recv("SIP/2.0 200")
		} else {
			client.recv("SIP/2.0 503")
		}
		close(server.done)
		conn.Close()
	}
}
