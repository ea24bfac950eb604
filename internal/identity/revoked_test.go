package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
)

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (c *issued) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw}))
}

func (c *issued) keyPEM(t *testing.T) string {
	der, err := x509.MarshalECPrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// issue makes a certificate; by is nil for a root.
func issue(t *testing.T, serial int64, by *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "the authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature}
	if change != nil {
		c.Subject, c.IsCA = pkix.Name{CommonName: "a peer"}, false
		change(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

// crl has an authority take back certificates.
func crl(t *testing.T, by *issued, serials ...int64) []byte {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, s := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, by.cert, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// shake has a client and a server of TLS meet, and gives what each says.
func shake(t *testing.T, client, server *tls.Config) (fromClient, fromServer error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			defer c.Close()
			err = tls.Server(c, server).Handshake()
		}
		done <- err
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fromClient = tls.Client(c, client).Handshake()
	c.(*net.TCPConn).CloseWrite()
	return fromClient, <-done
}

// The certificate of a peer counts if it leads to an authority, names the peer, holds now, and was not revoked: toward
// servers, and from clients likewise.
func TestCertificatesAreChecked(t *testing.T) {
	root, other := issue(t, 1, nil, nil), issue(t, 1, nil, nil)
	host := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = []string{name} }
	}
	good, taken := issue(t, 7, root, host("a.example")), issue(t, 8, root, host("a.example"))
	expired := issue(t, 9, root, func(c *x509.Certificate) {
		c.DNSNames, c.NotAfter = []string{"a.example"}, time.Now().Add(-time.Minute)
	})
	profile := func(check bool, lists ...string) *object.PKIProfile {
		k := object.New[object.PKIProfile]("pki")
		k.CACerts, k.CRLCheck = []object.SSLCertificate{{Certificate: root.pem()}}, check
		for _, l := range lists {
			k.CRLs = append(k.CRLs, object.CRL{Body: l})
		}
		return &k
	}
	asPEM := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	}
	revoked := profile(true, asPEM(crl(t, root, 5, 8)))
	for _, c := range []struct {
		name string
		cert *issued
		pki  *object.PKIProfile
		want string // in the error; "": taken
		self bool   // also of a client's certificate, of which the name counts for nothing
	}{
		{"good", good, revoked, "", true},
		{"revoked", taken, revoked, "was revoked", true},
		{"revoked, base64", taken, profile(true, base64.StdEncoding.EncodeToString(crl(t, root, 8))), "was revoked", true},
		{"revoked, but not checked", taken, profile(false, asPEM(crl(t, root, 8))), "", true},
		{"revoked by somebody else of that name", taken, profile(true, asPEM(crl(t, other, 8))), "", true},
		{"no list", taken, profile(true), "", true},
		{"expired", expired, revoked, "expired", true},
		{"of another authority", issue(t, 7, other, host("a.example")), revoked, "unknown authority", true},
		{"names somebody else", issue(t, 10, root, host("b.example")), revoked, "a.example", false},
	} {
		mine, err := Make(&Parts{PKI: c.pki})
		if err != nil {
			t.Fatal(err)
		}
		pair := tls.Certificate{Certificate: [][]byte{c.cert.cert.Raw}, PrivateKey: c.cert.key}
		said, _ := shake(t, mine.Toward("a.example", netip.MustParseAddr("192.0.2.1")), &tls.Config{Certificates: []tls.Certificate{pair}})
		check(t, "toward "+c.name, said, c.want)
		server, err := Make(&Parts{PKI: c.pki, Certificates: [][2]string{{good.pem(), good.keyPEM(t)}}})
		if err != nil {
			t.Fatal(err)
		}
		server.FromClients()
		_, said = shake(t, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}, server.Config)
		if c.self {
			check(t, "from "+c.name, said, c.want)
		} else {
			check(t, "from "+c.name, said, "")
		}
	}
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	var bad *tls.CertificateVerificationError
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && (!errors.As(err, &bad) || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// What is told apart is made anew.
func TestHashTellsApart(t *testing.T) {
	seen := map[[32]byte]int{}
	for i, p := range []Parts{{}, {Profile: &object.SSLProfile{}}, {PKI: &object.PKIProfile{}}, {PKI: &object.PKIProfile{CRLCheck: true}},
		{PKI: &object.PKIProfile{CRLs: []object.CRL{{Body: "a"}}}}, {PKI: &object.PKIProfile{LeafAlone: true}},
		{Profile: &object.SSLProfile{AcceptedCiphers: "AES"}}, {Profile: &object.SSLProfile{CipherEnums: []string{"AES"}}},
		{Names: Names{Asked: "a"}}, {Names: Names{Mute: true}}, {Names: Names{Also: []string{"a"}}},
		{Profile: &object.SSLProfile{EnableSessionReuse: true}}, {Certificates: [][2]string{{"a", "b"}}}} {
		if j, twice := seen[p.Hash()]; twice {
			t.Errorf("%d is %d", i, j)
		}
		seen[p.Hash()] = i
	}
}

// All servers of a pool may have a name in common, by which they are asked for or not.
func TestNamesInCommon(t *testing.T) {
	root := issue(t, 1, nil, nil)
	cert := issue(t, 2, root, func(c *x509.Certificate) { c.DNSNames = []string{"sip.example"} })
	k := object.New[object.PKIProfile]("pki")
	k.CACerts = []object.SSLCertificate{{Certificate: root.pem()}}
	for _, c := range []struct {
		names       Names
		asked, want string
	}{
		{Names{}, "a.example", "a.example"},
		{Names{Asked: "sip.example"}, "sip.example", ""},
		{Names{Also: []string{"x.example", "sip.example"}}, "a.example", ""},
		{Names{Also: []string{"sip.example"}, Mute: true}, "", ""},
	} {
		mine, err := Make(&Parts{PKI: &k, Names: c.names})
		if err != nil {
			t.Fatal(err)
		}
		asked := "nobody"
		server := &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked = h.ServerName
			return &tls.Certificate{Certificate: [][]byte{cert.cert.Raw}, PrivateKey: cert.key}, nil
		}}
		said, _ := shake(t, mine.Toward("a.example", netip.MustParseAddr("192.0.2.1")), server)
		check(t, "names", said, c.want)
		if asked != c.asked {
			t.Errorf("%+v: asked for %q", c.names, asked)
		}
	}
}
