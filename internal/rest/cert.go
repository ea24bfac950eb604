package rest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/selfsigned"
)

const (
	// certLook is how often it is looked whether the certificate of the API is to be another one.
	certLook = 10 * time.Second
	// certSoon is how long before its end a certificate that was given is warned of, once a day.
	certSoon, certNag = 30 * 24 * time.Hour, 24 * time.Hour
)

// credential is what the API shows: the certificate in the files that were given, or one that was made here. It follows the files,
// and is made anew before it ends. One goroutine calls look.
type credential struct {
	certFile, keyFile string // empty: in memory alone
	given             bool   // by the user
	log               *slog.Logger

	shown  atomic.Pointer[tls.Certificate]
	seen   [2]stamp // of the files, as they were looked at last
	warned time.Time
}

// stamp tells forms of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(file string) stamp {
	info, err := os.Stat(file) // where it leads: tools that renew certificates move a link
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

// newCredential takes the certificate that was given, the one that was made earlier, or makes one.
func newCredential(cfg *Config, now time.Time) (*credential, error) {
	c := &credential{certFile: cfg.Cert, keyFile: cfg.Key, given: cfg.Cert != "" || cfg.Key != "", log: cfg.Logger}
	if !c.given && cfg.Dir != "" {
		c.certFile, c.keyFile = filepath.Join(cfg.Dir, "api-cert.pem"), filepath.Join(cfg.Dir, "api-key.pem")
	}
	cert, err := c.read()
	switch {
	case c.given && err != nil:
		return nil, fmt.Errorf("api: certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	case !c.given && c.certFile != "" && err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("api: certificate %s: %w; remove it to have a new one made", c.certFile, err)
	case err == nil:
		c.shown.Store(cert)
	}
	if !c.given && (err != nil || !selfsigned.Good(cert.Leaf, now)) {
		if err := c.make(now); err != nil {
			return nil, err
		}
	}
	c.nag(now)
	return c, nil
}

// read reads the files.
func (c *credential) read() (*tls.Certificate, error) {
	if c.certFile == "" && c.keyFile == "" {
		return nil, fs.ErrNotExist
	}
	c.seen = [2]stamp{stampOf(c.certFile), stampOf(c.keyFile)} // before: what changes while it is read is read again
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, err
	}
	return &cert, nil
}

// make makes a certificate, and shows it.
func (c *credential) make(now time.Time) error {
	certPEM, keyPEM, err := selfsigned.MakeAt(now, hostname(), []string{hostname(), "localhost"}, localAddrs())
	if err != nil {
		return err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return err
	}
	if c.certFile != "" {
		if err := errors.Join(replace(c.keyFile, keyPEM, 0o600), replace(c.certFile, certPEM, 0o644)); err != nil {
			return fmt.Errorf("api: certificate: %w", err)
		}
		c.seen = [2]stamp{stampOf(c.certFile), stampOf(c.keyFile)}
	}
	c.shown.Store(&cert)
	return nil
}

// replace puts a file in the place of another, whole.
func replace(file string, data []byte, mode fs.FileMode) error {
	next := file + ".new"
	if err := os.WriteFile(next, data, mode); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// look takes files that have changed, and makes a certificate anew that was made here and is about to end, or is not good yet since
// the clock went back. What cannot be had leaves the one before.
func (c *credential) look(now time.Time) {
	before := c.shown.Load()
	if is := [2]stamp{stampOf(c.certFile), stampOf(c.keyFile)}; is != c.seen && c.certFile != "" {
		cert, err := c.read()
		if err != nil { // of two files one comes first: the other changes them again
			c.log.Error("the certificate of the API has changed and cannot be used, the one before is shown on", "certificate", c.certFile, "key", c.keyFile, "error", err)
		} else {
			c.shown.Store(cert)
		}
	}
	if !c.given && !selfsigned.Good(c.shown.Load().Leaf, now) {
		if err := c.make(now); err != nil {
			if now.Sub(c.warned).Abs() >= certNag {
				c.warned = now
				c.log.Error("the certificate of the API ends, and no other could be made", "until", c.shown.Load().Leaf.NotAfter, "error", err)
			}
			return
		}
	}
	if cert := c.shown.Load(); cert != before {
		c.warned = time.Time{}
		c.log.Info("the API shows another certificate", "until", cert.Leaf.NotAfter, "fingerprint", c.fingerprint(), "made_here", !c.given)
	}
	c.nag(now)
}

// nag warns of a certificate that is not good now, or not for long.
func (c *credential) nag(now time.Time) {
	leaf := c.shown.Load().Leaf
	outside := now.Before(leaf.NotBefore) || now.After(leaf.NotAfter)
	if !outside && leaf.NotAfter.Sub(now) > certSoon || now.Sub(c.warned).Abs() < certNag {
		return
	}
	c.warned = now
	if outside {
		c.log.Warn("the certificate of the API is not good now: is the clock right?", "from", leaf.NotBefore, "until", leaf.NotAfter)
		return
	}
	c.log.Warn("the certificate of the API ends soon", "until", leaf.NotAfter)
}

// follow looks until done is closed.
func (c *credential) follow(done <-chan struct{}) {
	t := time.NewTicker(certLook)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
			c.look(time.Now())
		}
	}
}

func (c *credential) fingerprint() string {
	return selfsigned.Fingerprint(c.shown.Load().Certificate[0])
}

// config is TLS with what is shown at the time.
func (c *credential) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.shown.Load(), nil }}
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
	if s.shows == nil {
		return ""
	}
	return s.shows.fingerprint()
}
