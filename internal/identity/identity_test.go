package identity

import (
	"crypto/x509"
	"net"
	"net/url"
	"testing"
)

// Identity stands in subjectAltName, as a URI without user or as a host, never as a wildcard or in the subject: RFC 5922 7.1.
func TestS1_CertificateNames(t *testing.T) {
	uri := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	c := &x509.Certificate{URIs: []*url.URL{uri("sip:a.example"), uri("sip:user@u.example"), uri("https://h.example")},
		DNSNames: []string{"b.example", "*.w.example"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}
	c.Subject.CommonName = "c.example"
	for host, want := range map[string]bool{"a.example": true, "A.EXAMPLE": true, "b.example": true, "192.0.2.1": true,
		"u.example": false, "h.example": false, "x.w.example": false, "c.example": false, "192.0.2.2": false} {
		if Covers(c, host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
}
