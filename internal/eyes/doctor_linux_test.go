package eyes

import (
	"bufio"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// What is said of a certificate: until when it is good, for whom, and that it is worth a thought in time.
func TestJudgeCertificate(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, c := range []struct {
		name     string
		from, to time.Duration
		fqdn     string
		bare     bool // without names
		state    string
		says     string
	}{
		{"good", -day, 90 * day, "sip.example.com", false, "ok", "is for sip.example.com, 192.0.2.1, signed by Some CA, until 2026-05-30 12:00:00: 90 days are left"},
		{"soon", -day, 29 * day, "", false, "warn", "29 days are left"},
		{"over", -90 * day, -2 * day, "", false, "bad", "it ended 2 days ago, and clients refuse it"},
		{"early", day, 90 * day, "", false, "bad", "it begins at 2026-03-02 12:00:00 only"},
		{"another name", -day, 90 * day, "other.example.com", false, "bad", "it is not for other.example.com, which callers dial"},
		{"no names", -day, 90 * day, "", true, "ok", "is for CN=old, which no client looks at"},
	} {
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: "old"}, Issuer: pkix.Name{CommonName: "Some CA"}, NotBefore: now.Add(c.from), NotAfter: now.Add(c.to)}
		if !c.bare {
			cert.DNSNames, cert.IPAddresses = []string{"sip.example.com"}, []net.IP{net.ParseIP("192.0.2.1").To4()}
		}
		d := &doctor{}
		d.judgeCertificate("certificate", cert, c.fqdn, now)
		if f := d.found[0]; f.State != c.state || !strings.Contains(f.Says, c.says) || c.state != "ok" && f.Mend == "" {
			t.Errorf("%s: %+v, want %s %q", c.name, f, c.state, c.says)
		}
	}
}

// A final response is found behind empty lines, provisional ones and bodies; what is no SIP is said to be none.
func TestFirstFinal(t *testing.T) {
	for _, c := range []struct {
		text   string
		status int
		err    string
	}{
		{"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""},
		{"\r\n\r\nSIP/2.0 100 Trying\r\nl: 3\r\n\r\nSIPSIP/2.0 180 Ringing\r\ncontent-length : 0\r\n\r\nSIP/2.0 486 Busy Here\r\n\r\n", 486, ""},
		{"SIP/2.0 200 OK\r\n", 0, "EOF"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", 0, `"HTTP/1.1 400 Bad Request" is no answer of SIP`},
		{"SIP/2.0 180 Ringing\r\nContent-Length: -1\r\n\r\n", 0, `Content-Length "-1"`},
		{"SIP/2.0 180 Ringing\r\nContent-Length: 9999999999\r\n\r\n", 0, "Content-Length"},
	} {
		status, _, err := firstFinal(bufio.NewReader(strings.NewReader(c.text)))
		if status != c.status || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %d %v, want %d %q", c.text, status, err, c.status, c.err)
		}
	}
}

// A process that is here is looked at; of one that is not it is said why.
func TestElsewhere(t *testing.T) {
	if why := elsewhere(os.Getpid()); why != "" {
		t.Errorf("this process: %s", why)
	}
	if why := elsewhere(1 << 30); !strings.Contains(why, "there is no process") {
		t.Errorf("a process that is not there: %q", why)
	}
}
