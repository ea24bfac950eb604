// Package selfsigned makes certificates that vouch for themselves: what TLS starts with before anybody has brought
// a better one.
package selfsigned

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

const (
	// Life is how long a certificate is good.
	Life = 2 * 365 * 24 * time.Hour
	// renew is how long before its end another one is to be made.
	renew = 30 * 24 * time.Hour
)

// Good reports whether a certificate may be shown on: its end is not near, and the clock has not gone back before its beginning.
func Good(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && now.Before(c.NotAfter.Add(-renew))
}

// Make makes a certificate on the curve P-256 for a common name and further host names and addresses.
func Make(name string, hosts []string, addrs []net.IP) (certPEM, keyPEM []byte, err error) {
	return MakeAt(time.Now(), name, hosts, addrs)
}

// MakeAt makes one that is good from a moment on.
func MakeAt(now time.Time, name string, hosts []string, addrs []net.IP) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Carillon"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(Life), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, DNSNames: hosts, IPAddresses: addrs}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// Fingerprint is the SHA-256 of a certificate in hex, as people and registries compare it.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
