package object

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

// makeCertificate makes one for sip.example.com, and its key.
func makeCertificate(t *testing.T, end time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(17), Subject: pkix.Name{CommonName: "sip.example.com", Organization: []string{"Example"}},
		NotBefore: end.Add(-365 * 24 * time.Hour), NotAfter: end, DNSNames: []string{"sip.example.com"},
		URIs: []*url.URL{{Scheme: "sip", Opaque: "example.com"}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func certificateJSON(cert, key, more string) string {
	c, _ := json.Marshal(cert)
	k, _ := json.Marshal(key)
	return fmt.Sprintf(`{"name": "c", "certificate": {"certificate": %s}, "key": %s %s}`, c, k, more)
}

func TestCertificate(t *testing.T) {
	end := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	cert, key := makeCertificate(t, end)
	other, otherKey := makeCertificate(t, end)
	a := mustDecode(t, "sslkeyandcertificate", certificateJSON(cert, key, `, "key_passphrase": ""`))
	if err := Check(a); err != nil {
		t.Error(err)
	}
	c := a.Value().(*SSLKeyAndCertificate)
	if s := c.Certificate; s.Subject.CommonName != "sip.example.com" || s.Issuer.Organization != "Example" || !s.SelfSigned || s.SerialNumber != "17" ||
		s.NotAfter != "2030-01-02 03:04:05" || len(s.Fingerprint) != 64 || strings.Join(s.SubjectAltNames, " ") != "sip.example.com sip:example.com" {
		t.Errorf("%+v", s)
	}
	if got := string(c.Kept["key_params"]); got != `{"algorithm":"SSL_KEY_ALGORITHM_EC","ec_params":{"curve":"SSL_KEY_EC_CURVE_SECP256R1"}}` {
		t.Error(got)
	}
	for days, want := range map[int]string{-1: "SSL_CERTIFICATE_EXPIRED", 29: "SSL_CERTIFICATE_EXPIRY_WARNING", 31: "SSL_CERTIFICATE_GOOD"} {
		if got := a.Aged(end.Add(-time.Duration(days) * 24 * time.Hour)).Text("certificate"); got != "" {
			t.Error(got)
		}
		if got := a.Aged(end.Add(-time.Duration(days) * 24 * time.Hour)).Texts("certificate.expiry_status"); got[0] != want {
			t.Errorf("%d days before its end: %s", days, got)
		}
	}
	for _, f := range []struct{ cert, key, more, want string }{
		{cert, otherKey, "", "SSLKeyAndCertificate/c: key: does not fit the certificate: its public key is another"},
		{other, "", "", "SSLKeyAndCertificate/c: key: missing: expected the private key of the certificate, PEM"},
		{other, "", `, "type": "SSL_CERTIFICATE_TYPE_CA"`, "<nil>"},
		{"x", key, "", "SSLKeyAndCertificate/c: certificate.certificate: is not PEM: expected -----BEGIN CERTIFICATE----- and so on"},
		{key, key, "", "SSLKeyAndCertificate/c: certificate.certificate: is a PRIVATE KEY: expected a CERTIFICATE"},
		{cert, "x", "", "SSLKeyAndCertificate/c: key: is not PEM: expected -----BEGIN PRIVATE KEY----- and so on"},
		{cert, Hidden, "", "SSLKeyAndCertificate/c: key: <sensitive> stands for the key that is there already, and there is none"},
		{"", "", `, "status": "pending"`, "<nil>"},
	} {
		if got := fmt.Sprint(Check(mustDecode(t, "sslkeyandcertificate", certificateJSON(f.cert, f.key, f.more)))); got != f.want {
			t.Errorf("got %s, want %s", got, f.want)
		}
	}
	shown := a.JSON(JSONOptions{})
	if strings.Contains(string(shown), "PRIVATE") || !strings.Contains(string(shown), `"key":"`+Hidden) {
		t.Errorf("%s", shown)
	}
	back := KeepSecrets(a, mustDecode(t, "sslkeyandcertificate", string(shown)))
	if !Equal(a, back) || Check(back) != nil {
		t.Error("what was shown and sent back lost its key")
	}
	if again := KeepSecrets(a, mustDecode(t, "sslkeyandcertificate", certificateJSON(other, otherKey, ""))); Check(again) != nil || again.Value().(*SSLKeyAndCertificate).Key != otherKey {
		t.Error("a new key was not taken")
	}
}
