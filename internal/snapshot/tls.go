package snapshot

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
)

// TLS is what TLS is spoken with, on one side of a service. It is shared by the snapshots in which nothing of it changes.
type TLS struct {
	Config  *tls.Config // must not be changed, but for its session tickets
	Tickets bool        // sessions may be taken up again
	made    [32]byte    // hash of what it was made of
	roots   *x509.CertPool
}

// serviceTLS is what a service shows clients; nil if it has no certificate.
func (c *compiler) serviceTLS(id string, vs *object.VirtualService) *TLS {
	if len(vs.SSLKeyAndCertificateRefs) == 0 {
		return nil
	}
	p := tlsParts{certs: c.certificates(vs.SSLKeyAndCertificateRefs), profile: c.set.SSLProfile(vs.SSLProfileRef), pki: c.set.PKIProfile(vs.PKIProfileRef)}
	made := p.hash()
	if c.prev != nil {
		if c.prevTLS == nil {
			c.prevTLS = map[string]*TLS{}
			for _, s := range c.prev.Services {
				c.prevTLS[s.ID] = s.TLS
			}
		}
		if t := c.prevTLS[id]; t != nil && t.made == made {
			return t
		}
	}
	t, err := p.make(made)
	if err != nil {
		c.fail(id, "VirtualService/%s: TLS: %s", vs.Name, err)
		return nil
	}
	if t.roots != nil {
		t.Config.ClientAuth, t.Config.ClientCAs = tls.RequireAndVerifyClientCert, t.roots
	}
	return t
}

// poolTLS is what is spoken with the servers of a pool; nil: in plain.
func (c *compiler) poolTLS(o *object.Pool, prev *Pool) *TLS {
	if o.SSLProfileRef == "" {
		return nil
	}
	p := tlsParts{profile: c.set.SSLProfile(o.SSLProfileRef), pki: c.set.PKIProfile(o.PKIProfileRef)}
	if o.SSLKeyAndCertificateRef != "" {
		p.certs = c.certificates([]string{o.SSLKeyAndCertificateRef})
	}
	made := p.hash()
	if prev != nil && prev.TLS != nil && prev.TLS.made == made {
		return prev.TLS
	}
	t, err := p.make(made)
	if err != nil {
		c.errs = append(c.errs, errors.New("Pool/"+o.Name+": TLS: "+err.Error()))
		return nil
	}
	t.Config.InsecureSkipVerify = true // see Toward
	t.Config.ClientSessionCache = tls.NewLRUClientSessionCache(256)
	return t
}

// Toward is the configuration for a connection to a server. With authorities to trust, its certificate must lead to one of
// them and name the server: RFC 5922 7.1, in a URI without user or as a host, never by a wildcard or in the subject.
func (t *TLS) Toward(sv *Server) *tls.Config {
	c := t.Config.Clone()
	host := sv.Name
	if host == sv.Addr.String() {
		host = sv.Addr.Addr().String()
	}
	c.ServerName = host
	if roots := t.roots; roots != nil {
		addr := sv.Addr.Addr().String()
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			leaf := cs.PeerCertificates[0]
			opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, i := range cs.PeerCertificates[1:] {
				opts.Intermediates.AddCert(i)
			}
			if _, err := leaf.Verify(opts); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
			}
			if !names(leaf, host) && !names(leaf, addr) {
				err := x509.HostnameError{Certificate: leaf, Host: host}
				return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
			}
			return nil
		}
	}
	return c
}

// names reports whether a certificate is one of a SIP host.
func names(c *x509.Certificate, host string) bool {
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

// certificates finds key and certificate objects, with what stands between them and a root.
func (c *compiler) certificates(refs []string) (out [][2]string) {
	for _, ref := range refs {
		k := c.set.SSLKeyAndCertificate(ref)
		if k == nil {
			continue
		}
		chain, seen := k.Certificate.Certificate, map[string]bool{ref: true}
		for at := k; at != nil; {
			var next *object.SSLKeyAndCertificate
			for i := range at.CACerts {
				if ca := c.set.SSLKeyAndCertificate(at.CACerts[i].CARef); ca != nil && !seen[ca.Name] {
					seen[ca.Name] = true
					chain += "\n" + ca.Certificate.Certificate
					next = ca
				}
			}
			at = next
		}
		out = append(out, [2]string{chain, k.Key})
	}
	return out
}

// tlsParts is what a TLS is made of.
type tlsParts struct {
	certs   [][2]string // certificates and key, PEM
	profile *object.SSLProfile
	pki     *object.PKIProfile
}

func (p *tlsParts) hash() (sum [32]byte) {
	h := sha256.New()
	write := func(texts ...string) {
		for _, t := range texts {
			io.WriteString(h, t)
			h.Write([]byte{0})
		}
	}
	for _, c := range p.certs {
		write(c[0], c[1])
	}
	if s := p.profile; s != nil {
		write("profile", s.ECNamedCurve)
		for _, v := range s.AcceptedVersions {
			write(v.Type)
		}
		if s.EnableSessionReuse {
			write("reuse")
		}
	}
	if p.pki != nil {
		write("pki")
		for i := range p.pki.CACerts {
			write(p.pki.CACerts[i].Certificate)
		}
	}
	return [32]byte(h.Sum(nil))
}

var curves = map[string]tls.CurveID{"X25519MLKEM768": tls.X25519MLKEM768, "X25519": tls.X25519, "PRIME256V1": tls.CurveP256, "P-256": tls.CurveP256,
	"SECP384R1": tls.CurveP384, "P-384": tls.CurveP384, "SECP521R1": tls.CurveP521, "P-521": tls.CurveP521}

func (p *tlsParts) make(made [32]byte) (*TLS, error) {
	t := &TLS{made: made, Tickets: true, Config: &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}}
	for _, c := range p.certs {
		cert, err := tls.X509KeyPair([]byte(c[0]), []byte(c[1]))
		if err != nil {
			return nil, errors.New("a certificate and its key: " + strings.TrimPrefix(err.Error(), "tls: "))
		}
		t.Config.Certificates = append(t.Config.Certificates, cert)
	}
	if s := p.profile; s != nil {
		versions(t.Config, s.AcceptedVersions)
		t.Tickets = s.EnableSessionReuse
		for name := range strings.SplitSeq(s.ECNamedCurve, ":") {
			if id, ok := curves[strings.ToUpper(name)]; ok {
				t.Config.CurvePreferences = append(t.Config.CurvePreferences, id)
			}
		}
	}
	t.Config.SessionTicketsDisabled = !t.Tickets
	if p.pki != nil {
		t.roots = x509.NewCertPool()
		for i := range p.pki.CACerts {
			block, _ := pem.Decode([]byte(p.pki.CACerts[i].Certificate))
			if block == nil {
				continue // the object says so
			}
			ca, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, errors.New("a certificate of an authority: " + strings.TrimPrefix(err.Error(), "x509: "))
			}
			t.roots.AddCert(ca)
		}
	}
	return t, nil
}

// versions takes of the accepted versions those that are spoken; none of them: both.
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
