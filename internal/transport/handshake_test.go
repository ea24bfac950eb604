package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// BenchmarkHandshake is a whole handshake of TLS 1.3, of both sides, and of a session that is resumed. For a profile of the one that is
// connected to: go tool pprof -focus serverHandshake.
func BenchmarkHandshake(b *testing.B) {
	two, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range []struct {
		name string
		key  crypto.Signer
	}{{"P-256", p256}, {"RSA 2048", two}} {
		t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "b.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, t, t, k.key.Public(), k.key)
		if err != nil {
			b.Fatal(err)
		}
		config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k.key}}, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
		b.Run(k.name, func(b *testing.B) { shake(b, config, &tls.Config{InsecureSkipVerify: true}) })
		b.Run(k.name+" resumed", func(b *testing.B) {
			shake(b, config, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
		})
	}
}

func shake(b *testing.B, config, client *tls.Config) {
	l, err := ListenStream(loop4, true, StreamOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	l.SetTLS(config)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if c.Start() == nil {
				c.Queue([]byte("\r\n")) // the ticket comes before it
				c.Flush()
			}
			c.End(ListenerClosed)
		}
	}()
	b.ReportAllocs()
	for range b.N {
		conn, err := net.Dial("tcp", l.LocalAddr().String())
		if err != nil {
			b.Fatal(err)
		}
		t := tls.Client(conn, client)
		if _, err := t.Read(make([]byte, 2)); err != nil {
			b.Fatal(err)
		}
		t.Close()
	}
}
