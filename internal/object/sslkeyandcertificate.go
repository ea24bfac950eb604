package object

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SSLKeyAndCertificate is a certificate with its key.
type SSLKeyAndCertificate struct {
	Name               string         `json:"name" required:"" doc:"unique among certificates"`
	UUID               string         `json:"uuid" doc:"references may name the object by it"`
	Description        string         `json:"description" doc:"free text"`
	Type               string         `json:"type" default:"SSL_CERTIFICATE_TYPE_VIRTUALSERVICE" words:"SSL_CERTIFICATE_TYPE_ VIRTUALSERVICE SYSTEM CA" idle:"" doc:"what the certificate is for"`
	Format             string         `json:"format" default:"SSL_PEM" words:"SSL_ PEM PKCS12" idle:"" doc:"how key and certificate are written; only PEM is read"`
	Status             string         `json:"status" default:"SSL_CERTIFICATE_FINISHED" words:"SSL_CERTIFICATE_ FINISHED PENDING" idle:"" doc:"PENDING: the certificate is still to come"`
	Certificate        SSLCertificate `json:"certificate" required:"" doc:"the certificate"`
	Key                string         `json:"key" secret:"" doc:"private key, PEM"`
	KeyPassphrase      string         `json:"key_passphrase" secret:"" idle:"" doc:"passphrase of the key"`
	CACerts            []CertRef      `json:"ca_certs" items:"0..32" doc:"certificates that lead to one that others trust"`
	EnableOCSPStapling bool           `json:"enable_ocsp_stapling" default:"false" idle:"" doc:"show that the certificate was not revoked"`
	Kept               Kept           `json:"-"`
}

// SSLCertificate is a certificate, and what it says.
type SSLCertificate struct {
	Certificate        string   `json:"certificate" doc:"the certificate, PEM"`
	Subject            SSLName  `json:"subject" readonly:"" optional:"" idle:"" doc:"whom it is for"`
	Issuer             SSLName  `json:"issuer" readonly:"" optional:"" idle:"" doc:"who signed it"`
	SelfSigned         bool     `json:"self_signed" default:"false" readonly:"" idle:"" doc:"signed with its own key"`
	SerialNumber       string   `json:"serial_number" readonly:"" idle:"" doc:"number that its issuer gave it"`
	Version            string   `json:"version" readonly:"" idle:"" doc:"version of X.509"`
	NotBefore          string   `json:"not_before" readonly:"" idle:"" doc:"when it begins to hold"`
	NotAfter           string   `json:"not_after" readonly:"" idle:"" doc:"when it ends to hold"`
	Fingerprint        string   `json:"fingerprint" readonly:"" idle:"" doc:"SHA-256 of the certificate"`
	SignatureAlgorithm string   `json:"signature_algorithm" readonly:"" idle:"" doc:"how it is signed"`
	SubjectAltNames    []string `json:"subject_alt_names" items:"0..10000" readonly:"" idle:"" doc:"other names that it is for"`
	ExpiryStatus       string   `json:"expiry_status" default:"SSL_CERTIFICATE_GOOD" words:"SSL_CERTIFICATE_ GOOD EXPIRY_WARNING EXPIRED" readonly:"" idle:"" doc:"EXPIRY_WARNING: within 30 days of its end"`
	DaysUntilExpire    int      `json:"days_until_expire" default:"365" range:"-2147483648..2147483647" readonly:"" idle:"" doc:"days until its end, below 0 when that is past"`
	Kept               Kept     `json:"-"`
}

// SSLName is the name of somebody in a certificate.
type SSLName struct {
	CommonName        string `json:"common_name" readonly:"" idle:"" doc:"CN"`
	Organization      string `json:"organization" readonly:"" idle:"" doc:"O"`
	OrganizationUnit  string `json:"organization_unit" readonly:"" idle:"" doc:"OU"`
	Locality          string `json:"locality" readonly:"" idle:"" doc:"L"`
	State             string `json:"state" readonly:"" idle:"" doc:"ST"`
	Country           string `json:"country" readonly:"" idle:"" doc:"C"`
	EmailAddress      string `json:"email_address" readonly:"" idle:"" doc:"address for mail"`
	DistinguishedName string `json:"distinguished_name" readonly:"" idle:"" doc:"all of it"`
	Kept              Kept   `json:"-"`
}

// CertRef is a certificate on the way to one that others trust.
type CertRef struct {
	Name  string `json:"name" idle:"" doc:"subject of the certificate"`
	CARef string `json:"ca_ref" ref:"SSLKeyAndCertificate" doc:"the certificate"`
	Kept  Kept   `json:"-"`
}

var sslKeyAndCertificateKept = slices.Concat(
	quiet(keptText, `certificate_management_profile_ref enckey_base64 enckey_name hardwaresecuritymodulegroup_ref ocsp_error_status`),
	quiet(keptBool, `certificate_base64 import_key_to_hsm is_federated key_base64`),
	quiet(keptList, `dynamic_params ocsp_responder_url_list_from_certs`),
	quiet(keptObject, `key_params ocsp_config ocsp_response_info`),
)

var sslCertificateKept = slices.Concat(
	quiet(keptText, `certificate_signing_request public_key signature text`),
	quiet(keptBool, `chain_verified`),
	quiet(keptObject, `key_params`),
)

// expiryWarning is how long before its end a certificate is warned of.
const expiryWarning = 30 * 24 * time.Hour

// avisTime is how Avi writes the times of a certificate.
const avisTime = "2006-01-02 15:04:05"

// parseCertificate reads the first certificate of a PEM text. The fault says what is wrong.
func parseCertificate(text string) (cert *x509.Certificate, fault string) {
	block, _ := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, "is not PEM: expected -----BEGIN CERTIFICATE----- and so on"
	case block.Type != "CERTIFICATE":
		return nil, "is " + aWord(block.Type) + ": expected a CERTIFICATE"
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, "is no certificate: " + strings.TrimPrefix(err.Error(), "x509: ")
	}
	return cert, ""
}

// fillIn writes down what the certificate says. A text that is none is left to Check.
func (k *SSLKeyAndCertificate) fillIn() {
	cert := k.Certificate.fillIn()
	if cert == nil {
		return
	}
	params := map[string]any{}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		params["algorithm"] = "SSL_KEY_ALGORITHM_RSA"
		params["rsa_params"] = map[string]any{"key_size": "SSL_KEY_" + strconv.Itoa(key.N.BitLen()) + "_BITS", "exponent": key.E}
	case *ecdsa.PublicKey:
		params["algorithm"] = "SSL_KEY_ALGORITHM_EC"
		params["ec_params"] = map[string]any{"curve": "SSL_KEY_EC_CURVE_SECP" + strings.TrimPrefix(key.Curve.Params().Name, "P-") + "R1"}
	}
	kept := Kept{"key_params": compact(params)}
	for name, raw := range k.Kept {
		if name != "key_params" {
			kept[name] = raw
		}
	}
	k.Kept = kept
}

func (s *SSLCertificate) fillIn() *x509.Certificate {
	cert, fault := parseCertificate(s.Certificate)
	if fault != "" {
		return nil
	}
	sum := sha256.Sum256(cert.Raw)
	s.Subject, s.Issuer = sslName(cert.Subject), sslName(cert.Issuer)
	s.SelfSigned = cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
	s.SerialNumber = cert.SerialNumber.String()
	s.Version = strconv.Itoa(cert.Version - 1) // counted from 0, as in the certificate
	s.NotBefore, s.NotAfter = cert.NotBefore.UTC().Format(avisTime), cert.NotAfter.UTC().Format(avisTime)
	s.Fingerprint = strings.ToUpper(hex.EncodeToString(sum[:]))
	s.SignatureAlgorithm = cert.SignatureAlgorithm.String()
	s.SubjectAltNames = slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		s.SubjectAltNames = append(s.SubjectAltNames, ip.String())
	}
	for _, uri := range cert.URIs { // RFC 5922: the name of a SIP domain stands in one
		s.SubjectAltNames = append(s.SubjectAltNames, uri.String())
	}
	return cert
}

func sslName(n pkix.Name) SSLName {
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	return SSLName{CommonName: n.CommonName, Organization: first(n.Organization), OrganizationUnit: first(n.OrganizationalUnit),
		Locality: first(n.Locality), State: first(n.Province), Country: first(n.Country), DistinguishedName: n.String()}
}

// age sets what changes as time passes.
func (s *SSLCertificate) age(now time.Time) {
	end, err := time.Parse(avisTime, s.NotAfter)
	if err != nil {
		return
	}
	left := end.Sub(now)
	s.DaysUntilExpire = int(left / (24 * time.Hour))
	switch {
	case left <= 0:
		s.ExpiryStatus = "SSL_CERTIFICATE_EXPIRED"
	case left <= expiryWarning:
		s.ExpiryStatus = "SSL_CERTIFICATE_EXPIRY_WARNING"
	default:
		s.ExpiryStatus = "SSL_CERTIFICATE_GOOD"
	}
}

// Aged returns a copy of a certificate whose expiry_status is that of now; of anything else the object itself.
func (a Any) Aged(now time.Time) Any {
	k, ok := a.Value().(*SSLKeyAndCertificate)
	if !ok {
		return a
	}
	out := *k
	out.Certificate.age(now)
	return AnyOf(&out)
}

func (c *checker) sslKeyAndCertificate(k *SSLKeyAndCertificate) {
	root := (*path)(nil)
	at := root.field("certificate").field("certificate")
	if k.Certificate.Certificate == "" {
		if k.Status != "SSL_CERTIFICATE_PENDING" {
			c.fail(at, "missing: expected a certificate, PEM")
		}
		return
	}
	if k.Format == "SSL_PKCS12" {
		c.fail(root.field("format"), "SSL_PKCS12 is not supported: write key and certificate as PEM")
		return
	}
	if _, fault := parseCertificate(k.Certificate.Certificate); fault != "" {
		c.fail(at, fault)
		return
	}
	if fault := keyFault(k); fault != "" {
		c.fail(root.field("key"), fault)
	}
}

// keyFault says what is wrong with the key.
func keyFault(k *SSLKeyAndCertificate) string {
	switch {
	case k.Key == Hidden:
		return Hidden + " stands for the key that is there already, and there is none"
	case k.Key == "" && k.Type == "SSL_CERTIFICATE_TYPE_CA":
		return ""
	case k.Key == "":
		return "missing: expected the private key of the certificate, PEM"
	}
	block, _ := pem.Decode([]byte(k.Key))
	switch {
	case block == nil:
		return "is not PEM: expected -----BEGIN PRIVATE KEY----- and so on"
	case strings.Contains(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return "is encrypted, which is not supported yet: give it without a passphrase"
	}
	if _, err := tls.X509KeyPair([]byte(k.Certificate.Certificate), []byte(k.Key)); err != nil {
		if strings.Contains(err.Error(), "does not match") {
			return "does not fit the certificate: its public key is another"
		}
		return "is no private key: " + strings.TrimPrefix(err.Error(), "tls: ")
	}
	return ""
}
