// Package identity is what TLS is spoken with: certificates, versions and ciphers, whom to trust, who was revoked, and whose
// name a peer's certificate must have (RFC 5922).
package identity

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
)

// TLS is what TLS is spoken with on one side of a service. It is shared by the snapshots in which nothing of it changes, so
// two that are the same pointer speak alike.
type TLS struct {
	Config  *tls.Config // must not be changed, but for its session tickets
	Tickets bool        // sessions may be taken up again
	names   Names
	made    [32]byte // hash of what it was made of
	roots   *x509.CertPool
	revoked revoked
}

// Any takes any certificate, and shows none.
var Any = &TLS{Config: &tls.Config{MinVersion: tls.VersionTLS12}}

// Parts is what a TLS is made of.
type Parts struct {
	Certificates [][2]string // certificates and key, PEM
	Profile      *object.SSLProfile
	PKI          *object.PKIProfile
	Names        Names // of servers
}

// Names is what servers are called beside their own names.
type Names struct {
	Asked string   // by SNI, and one that certificates may have; "": each by its own
	Also  []string // that certificates may have too
	Mute  bool     // none is asked for
}

// Made reports whether t was made of the same parts, as Hash tells them apart.
func (t *TLS) Made(of [32]byte) bool { return t != nil && t.made == of }

// Hash tells parts apart. It is taken of all that Make looks at.
func (p *Parts) Hash() (sum [32]byte) {
	h := sha256.New()
	write := func(texts ...string) {
		for _, t := range texts {
			io.WriteString(h, t)
			h.Write([]byte{0})
		}
		h.Write([]byte{1})
	}
	for _, c := range p.Certificates {
		write(c[0], c[1])
	}
	if s := p.Profile; s != nil {
		write("profile", s.ECNamedCurve, s.AcceptedCiphers)
		write(s.CipherEnums...)
		for _, v := range s.AcceptedVersions {
			write(v.Type)
		}
		if s.EnableSessionReuse {
			write("reuse")
		}
	}
	if k := p.PKI; k != nil {
		write("pki")
		for i := range k.CACerts {
			write(k.CACerts[i].Certificate)
		}
		if k.CRLCheck {
			write("check")
		}
		if k.LeafAlone {
			write("leaf")
		}
		for i := range k.CRLs {
			write(k.CRLs[i].Body)
		}
	}
	if n := &p.Names; n.Asked != "" || n.Mute || len(n.Also) > 0 {
		write("names", n.Asked, strconv.FormatBool(n.Mute))
		write(n.Also...)
	}
	return [32]byte(h.Sum(nil))
}

var curves = map[string]tls.CurveID{"X25519MLKEM768": tls.X25519MLKEM768, "X25519": tls.X25519, "PRIME256V1": tls.CurveP256, "P-256": tls.CurveP256,
	"SECP384R1": tls.CurveP384, "P-384": tls.CurveP384, "SECP521R1": tls.CurveP521, "P-521": tls.CurveP521}

// Make makes what its parts say.
func Make(p *Parts) (*TLS, error) {
	t := &TLS{made: p.Hash(), names: p.Names, Tickets: true, Config: &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}}
	for _, c := range p.Certificates {
		cert, err := tls.X509KeyPair([]byte(c[0]), []byte(c[1]))
		if err != nil {
			return nil, errors.New("a certificate and its key: " + strings.TrimPrefix(err.Error(), "tls: "))
		}
		t.Config.Certificates = append(t.Config.Certificates, cert)
	}
	if s := p.Profile; s != nil {
		versions(t.Config, s.AcceptedVersions)
		t.Config.CipherSuites, _ = s.Suites()
		t.Tickets = s.EnableSessionReuse
		for name := range strings.SplitSeq(s.ECNamedCurve, ":") {
			if id, ok := curves[strings.ToUpper(name)]; ok {
				t.Config.CurvePreferences = append(t.Config.CurvePreferences, id)
			}
		}
	}
	t.Config.SessionTicketsDisabled = !t.Tickets
	if p.PKI != nil {
		if err := t.trust(p.PKI); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// trust notes whom to trust, and whom not any more.
func (t *TLS) trust(k *object.PKIProfile) error {
	t.roots = x509.NewCertPool()
	for i := range k.CACerts {
		block, _ := pem.Decode([]byte(k.CACerts[i].Certificate))
		if block == nil {
			continue // the object says so
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return errors.New("a certificate of an authority: " + strings.TrimPrefix(err.Error(), "x509: "))
		}
		t.roots.AddCert(ca)
	}
	if k.CRLCheck {
		return t.revoked.read(k)
	}
	return nil
}

// versions takes of the accepted versions those that are spoken; none given: both.
func versions(c *tls.Config, accepted []object.SSLVersion) {
	has := func(v string) bool {
		return slices.ContainsFunc(accepted, func(a object.SSLVersion) bool { return a.Type == v })
	}
	switch v12, v13 := has("SSL_VERSION_TLS1_2"), has("SSL_VERSION_TLS1_3"); {
	case v12 && !v13:
		c.MaxVersion = tls.VersionTLS12
	case v13 && !v12:
		c.MinVersion = tls.VersionTLS13
	}
}

// FromClients has clients show a certificate that leads to one of the authorities, if there are any, and was not revoked.
func (t *TLS) FromClients() {
	if t.roots == nil {
		return
	}
	t.Config.ClientAuth, t.Config.ClientCAs = tls.RequireAndVerifyClientCert, t.roots
	if !t.revoked.none() {
		t.Config.VerifyConnection = func(cs tls.ConnectionState) error { return t.revoked.check(cs.PeerCertificates, cs.VerifiedChains) }
	}
}

// Trusts reports whether it checks certificates against authorities.
func (t *TLS) Trusts() bool { return t.roots != nil }

// Toward is the configuration for a connection to a server, of which the name may be empty. With authorities to trust, its
// certificate must lead to one of them and name the server: RFC 5922 7.1, in a URI without user or as a host, never by a
// wildcard or in the subject.
func (t *TLS) Toward(host string, a netip.Addr) *tls.Config {
	c := t.Config.Clone()
	addr := a.String()
	if host == "" {
		host = addr
	}
	if c.ServerName = cmp.Or(t.names.Asked, host); t.names.Mute {
		c.ServerName = ""
	}
	c.InsecureSkipVerify = true // or the names that RFC 5922 does not know would count
	if t.roots != nil {
		c.VerifyConnection = func(cs tls.ConnectionState) error { return t.verify(&cs, host, addr) }
	}
	return c
}

// verify checks the certificate of a server.
func (t *TLS) verify(cs *tls.ConnectionState, host, addr string) error {
	leaf := cs.PeerCertificates[0]
	opts := x509.VerifyOptions{Roots: t.roots, Intermediates: x509.NewCertPool()}
	for _, i := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(i)
	}
	chains, err := leaf.Verify(opts)
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
	}
	if !t.is(leaf, host) && !Covers(leaf, addr) {
		err := x509.HostnameError{Certificate: leaf, Host: host}
		return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
	}
	return t.revoked.check(cs.PeerCertificates, chains)
}

// is reports whether a certificate has the name of a server, or one that all servers may have.
func (t *TLS) is(leaf *x509.Certificate, host string) bool {
	return Covers(leaf, host) || t.names.Asked != "" && Covers(leaf, t.names.Asked) ||
		slices.ContainsFunc(t.names.Also, func(n string) bool { return Covers(leaf, n) })
}

// Proves reports whether whoever is at the other end of a connection has shown, by a certificate that was verified, that it
// is the host: its name or its address.
func Proves(cs *tls.ConnectionState, host string, a netip.Addr) bool {
	if cs == nil || len(cs.VerifiedChains) == 0 {
		return false
	}
	leaf := cs.VerifiedChains[0][0]
	return Covers(leaf, host) || Covers(leaf, a.String())
}

// Covers reports whether a certificate is one of a SIP host.
func Covers(c *x509.Certificate, host string) bool {
	for _, u := range c.URIs {
		if strings.EqualFold(u.Scheme, "sip") {
			if strings.EqualFold(u.Opaque, host) {
				return true
			}
		}
	}
	if slices.ContainsFunc(c.DNSNames, func(n string) bool { return strings.EqualFold(n, host) }) {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && slices.ContainsFunc(c.IPAddresses, ip.Equal)
}
