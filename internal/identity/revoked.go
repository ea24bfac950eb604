package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/carillon-sip/carillon/internal/object"
)

// revoked is the certificates that their issuers have taken back (RFC 5280 section 5).
type revoked struct {
	lists map[string][]*list // by the issuer's name, as it stands in its certificates
	leaf  bool               // only the peer's own certificate is looked up, not those between it and the root
}

// list is one CRL.
type list struct {
	crl     *x509.RevocationList
	serials map[string]bool
}

// read takes the lists of a profile, which has been validated.
func (r *revoked) read(k *object.PKIProfile) error {
	r.leaf = k.LeafAlone
	for i := range k.CRLs {
		crl, fault := k.CRLs[i].Parse()
		if fault != "" {
			return errors.New("a list of revoked certificates " + fault)
		}
		if crl == nil {
			continue
		}
		l := &list{crl, make(map[string]bool, len(crl.RevokedCertificateEntries))}
		for j := range crl.RevokedCertificateEntries {
			l.serials[string(crl.RevokedCertificateEntries[j].SerialNumber.Bytes())] = true
		}
		if r.lists == nil {
			r.lists = map[string][]*list{}
		}
		r.lists[string(crl.RawIssuer)] = append(r.lists[string(crl.RawIssuer)], l)
	}
	return nil
}

func (r *revoked) none() bool { return len(r.lists) == 0 }

var errRevoked = errors.New("the certificate was revoked")

// check refuses a peer whose certificate leads to a root only by such as were revoked.
func (r *revoked) check(peer []*x509.Certificate, chains [][]*x509.Certificate) error {
	if r.none() {
		return nil
	}
	for _, chain := range chains {
		if !r.in(chain) {
			return nil
		}
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: peer, Err: errRevoked}
}

// in reports whether a certificate of a chain was revoked. An issuer without a list here has revoked nobody.
func (r *revoked) in(chain []*x509.Certificate) bool {
	for i, c := range chain[:len(chain)-1] {
		if i > 0 && r.leaf {
			break
		}
		issuer := chain[i+1]
		for _, l := range r.lists[string(issuer.RawSubject)] {
			// another authority of that name, or its key of before, has numbers of its own
			if l.serials[string(c.SerialNumber.Bytes())] && l.crl.CheckSignatureFrom(issuer) == nil {
				return true
			}
		}
	}
	return false
}
