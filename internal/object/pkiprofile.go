package object

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
)

// PKIProfile says which certificates of others are trusted.
type PKIProfile struct {
	Name        string           `json:"name" required:"" doc:"unique among PKI profiles"`
	UUID        string           `json:"uuid" doc:"references may name the object by it"`
	Description string           `json:"description" doc:"free text"`
	CACerts     []SSLCertificate `json:"ca_certs" items:"0..1000" doc:"certificates of the authorities that are trusted"`
	CRLCheck    bool             `json:"crl_check" default:"true" doc:"certificates that a list in crls has as revoked are refused"`
	CRLs        []CRL            `json:"crls" items:"0..1000" doc:"lists of revoked certificates; an authority without one has revoked none"`
	LeafAlone   bool             `json:"validate_only_leaf_crl" default:"true" doc:"true: of a chain only the peer's own certificate is looked up"`
	Kept        Kept             `json:"-"`
}

var pkiProfileKept = slices.Concat(
	quiet(keptBool, `ignore_peer_chain is_federated`),
	quiet(keptList, `allow_pki_errors`),
	noted(keptList, `crl_file_refs`),
)

// CRL is a list of revoked certificates. It is not fetched from anywhere: who has a new one changes the object.
type CRL struct {
	Body      string `json:"body" doc:"the list, PEM or the base64 of its DER; one that is too old counts until there is another"`
	ServerURL string `json:"server_url" idle:"" doc:"where the list is from"`
	Kept      Kept   `json:"-"`
}

var crlKept = slices.Concat(
	quiet(keptText, `common_name distinguished_name etag file_ref fingerprint last_refreshed last_update next_update text`),
	noted(keptNumber, `update_interval`),
)

// Parse reads the list; nil if there is none. The fault says what is wrong.
func (l *CRL) Parse() (list *x509.RevocationList, fault string) {
	text := strings.TrimSpace(l.Body)
	if text == "" {
		return nil, ""
	}
	var der []byte
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der = block.Bytes
	} else if der, _ = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); len(der) == 0 {
		return nil, "is neither PEM nor base64: expected -----BEGIN X509 CRL----- and so on"
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, "is no list of revoked certificates: " + strings.TrimPrefix(err.Error(), "x509: ")
	}
	return list, ""
}

// pkiProfile warns of lists that have to be brought.
func (w *warner) pkiProfile(p *PKIProfile) {
	for i := range p.CRLs {
		if p.CRLs[i].Body == "" {
			w.warn((*path)(nil).field("crls").item(i), "has no body, and lists are not fetched: certificates that it would have as revoked are taken")
		}
	}
}

func (c *checker) pkiProfile(p *PKIProfile) {
	for i := range p.CACerts {
		at := (*path)(nil).field("ca_certs").item(i)
		if p.CACerts[i].Certificate == "" {
			c.fail(at.field("certificate"), "missing: expected a certificate, PEM")
		} else if _, fault := parseCertificate(p.CACerts[i].Certificate); fault != "" {
			c.fail(at.field("certificate"), fault)
		}
	}
	for i := range p.CRLs {
		if _, fault := p.CRLs[i].Parse(); fault != "" {
			c.fail((*path)(nil).field("crls").item(i).field("body"), fault)
		}
	}
}
