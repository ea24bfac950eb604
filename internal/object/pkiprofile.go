package object

import "slices"

// PKIProfile says which certificates of others are trusted.
type PKIProfile struct {
	Name        string           `json:"name" required:"" doc:"unique among PKI profiles"`
	UUID        string           `json:"uuid" doc:"references may name the object by it"`
	Description string           `json:"description" doc:"free text"`
	CACerts     []SSLCertificate `json:"ca_certs" items:"0..1000" doc:"certificates of the authorities that are trusted"`
	CRLCheck    bool             `json:"crl_check" default:"true" idle:"" doc:"certificates that were revoked are refused"`
	Kept        Kept             `json:"-"`
}

var pkiProfileKept = slices.Concat(
	quiet(keptBool, `ignore_peer_chain is_federated validate_only_leaf_crl=true`),
	quiet(keptList, `allow_pki_errors crl_file_refs crls`),
)

func (c *checker) pkiProfile(p *PKIProfile) {
	for i := range p.CACerts {
		at := (*path)(nil).field("ca_certs").item(i)
		if p.CACerts[i].Certificate == "" {
			c.fail(at.field("certificate"), "missing: expected a certificate, PEM")
		} else if _, fault := parseCertificate(p.CACerts[i].Certificate); fault != "" {
			c.fail(at.field("certificate"), fault)
		}
	}
}
