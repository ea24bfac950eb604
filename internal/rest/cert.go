package rest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/carillon-sip/carillon/internal/selfsigned"
)

// certRenew is how long before its end a certificate that was made here is made anew, at a start.
const certRenew = 30 * 24 * time.Hour

// certificate returns the one that was given, the one that was made earlier, or a new one.
func certificate(cfg Config) (tls.Certificate, error) {
	if cfg.Cert != "" || cfg.Key != "" {
		cert, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return cert, fmt.Errorf("api: certificate %s with key %s: %w", cfg.Cert, cfg.Key, err)
		}
		return cert, nil
	}
	certFile, keyFile := filepath.Join(cfg.Dir, "api-cert.pem"), filepath.Join(cfg.Dir, "api-key.pem")
	if cfg.Dir != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err == nil && time.Now().Before(cert.Leaf.NotAfter.Add(-certRenew)) {
			return cert, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cert, fmt.Errorf("api: certificate %s: %w; remove it to have a new one made", certFile, err)
		}
	}
	certPEM, keyPEM, err := selfsigned.Make(hostname(), []string{hostname(), "localhost"}, localAddrs())
	if err != nil {
		return tls.Certificate{}, err
	}
	if cfg.Dir != "" {
		if err := errors.Join(os.WriteFile(keyFile, keyPEM, 0o600), os.WriteFile(certFile, certPEM, 0o644)); err != nil {
			return tls.Certificate{}, fmt.Errorf("api: certificate: %w", err)
		}
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// localAddrs are this machine's addresses, by which a client may call it.
func localAddrs() []net.IP {
	out := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return out
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			out = append(out, n.IP)
		}
	}
	return out
}

// Fingerprint is the SHA-256 of the API's certificate in hex; empty without TLS.
func (s *Server) Fingerprint() string {
	if !s.tls {
		return ""
	}
	return selfsigned.Fingerprint(s.http.TLSConfig.Certificates[0].Certificate[0])
}
