package snapshot

import (
	"crypto/tls"
	"errors"

	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/object"
)

// serviceTLS is what a service shows clients; nil if it has no certificate.
func (c *compiler) serviceTLS(id string, vs *object.VirtualService) *identity.TLS {
	if len(vs.SSLKeyAndCertificateRefs) == 0 {
		return nil
	}
	p := identity.Parts{Certificates: c.certificates(vs.SSLKeyAndCertificateRefs), Profile: c.set.SSLProfile(vs.SSLProfileRef), PKI: c.set.PKIProfile(vs.PKIProfileRef)}
	made := p.Hash()
	if c.prev != nil {
		if c.prevTLS == nil {
			c.prevTLS = map[string]*identity.TLS{}
			for _, s := range c.prev.Services {
				c.prevTLS[s.ID] = s.TLS
			}
		}
		if t := c.prevTLS[id]; t.Made(made) {
			return t
		}
	}
	t, err := identity.Make(&p)
	if err != nil {
		c.fail(id, "VirtualService/%s: TLS: %s", vs.Name, err)
		return nil
	}
	t.FromClients()
	return t
}

// poolTLS is what is spoken with the servers of a pool; nil: in plain.
func (c *compiler) poolTLS(o *object.Pool, prev *Pool) *identity.TLS {
	if o.SSLProfileRef == "" {
		return nil
	}
	p := c.partsToward(o.SSLProfileRef, o.PKIProfileRef, o.SSLKeyAndCertificateRef)
	p.Names = identity.Names{Asked: o.ServerName, Also: o.DomainName, Mute: !o.SNIEnabled}
	made := p.Hash()
	if prev != nil && prev.TLS.Made(made) {
		return prev.TLS
	}
	t, err := identity.Make(&p)
	if err != nil {
		c.errs = append(c.errs, errors.New("Pool/"+o.Name+": TLS: "+err.Error()))
		return nil
	}
	t.Config.ClientSessionCache = tls.NewLRUClientSessionCache(256)
	return t
}

// probes finds what monitors speak TLS with that have attributes of their own.
func (c *compiler) probes() {
	for i := range c.set.HealthMonitors {
		m := c.set.HealthMonitors[i]
		a := &m.SIPMonitor.SSLAttributes
		if m.Type != object.MonitorSIP || m.SIPMonitor.Transport != object.SIPOverTLS || a.SSLProfileRef == "" {
			continue
		}
		k := id(m.UUID, m.Name)
		p := c.partsToward(a.SSLProfileRef, a.PKIProfileRef, a.SSLKeyAndCertificateRef)
		if c.out.probes == nil {
			c.out.probes = map[string]*identity.TLS{}
		}
		if c.prev != nil && c.prev.probes[k].Made(p.Hash()) {
			c.out.probes[k] = c.prev.probes[k]
			continue
		}
		t, err := identity.Make(&p)
		if err != nil {
			c.errs = append(c.errs, errors.New("HealthMonitor/"+m.Name+": TLS: "+err.Error()))
			continue
		}
		c.out.probes[k] = t
	}
}

// ProbeTLS is what a monitor speaks TLS with to the servers of a pool: its own, that of the pool's calls, or whatever the
// server likes.
func (s *Snapshot) ProbeTLS(m *object.HealthMonitor, p *Pool) *identity.TLS {
	if m.Type != object.MonitorSIP || m.SIPMonitor.Transport != object.SIPOverTLS {
		return nil
	}
	if t := s.probes[id(m.UUID, m.Name)]; t != nil {
		return t
	}
	if p.TLS != nil {
		return p.TLS
	}
	return identity.Any
}

// partsToward is what TLS with servers is made of.
func (c *compiler) partsToward(profile, pki, cert string) identity.Parts {
	p := identity.Parts{Profile: c.set.SSLProfile(profile), PKI: c.set.PKIProfile(pki)}
	if cert != "" {
		p.Certificates = c.certificates([]string{cert})
	}
	return p
}

// Host is the name of a server that its certificate must have; "": its address alone.
func (s *Server) Host() string {
	if s.Name == s.Addr.String() {
		return ""
	}
	return s.Name
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
