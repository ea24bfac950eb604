package health

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/selfsigned"
)

// TestS1_SIPOverTLS: a probe over TLS says so, and passes only at a server whose certificate is to be trusted and names it.
func TestS1_SIPOverTLS(t *testing.T) {
	t.Parallel()
	named := func(host string, addrs ...net.IP) (tls.Certificate, string) {
		cert, key, err := selfsigned.Make("x", []string{host}, addrs)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return pair, string(cert)
	}
	mine, mineText := named("a.example")
	byAddr, byAddrText := named("b.example", net.IPv4(127, 0, 0, 1))
	stranger, _ := named("a.example")
	trust := func(texts ...string) *identity.TLS {
		k := object.New[object.PKIProfile]("pki")
		for _, text := range texts {
			k.CACerts = append(k.CACerts, object.SSLCertificate{Certificate: text})
		}
		secure, err := identity.Make(&identity.Parts{PKI: &k})
		if err != nil {
			t.Fatal(err)
		}
		return secure
	}
	trusted := trust(mineText, byAddrText)
	serve := func(cert tls.Certificate) func(net.Conn) {
		return func(c net.Conn) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
			b := make([]byte, 4096)
			n, _ := s.Read(b)
			if r := string(b[:n]); strings.Contains(r, "SIP/2.0/TLS") && strings.Contains(r, ";transport=tls") {
				io.WriteString(s, answerTo(r, "200 OK"))
			}
			io.Copy(io.Discard, s)
		}
	}
	var rows cases
	for _, test := range []struct {
		name   string
		serve  func(net.Conn)
		secure *identity.TLS
		host   string // of the server; "": none
		asked  string // server_name of the monitor
		state  State
		reason Code
		detail string
	}{
		{"trusted, by name", serve(mine), trusted, "a.example", "", Up, Success, ""},
		{"trusted, by address", serve(byAddr), trusted, "", "", Up, Success, ""},
		{"trusted, by the name of the monitor", serve(mine), trusted, "c.example", "a.example", Up, Success, ""},
		{"any is taken", serve(stranger), identity.Any, "", "", Up, Success, ""},
		{"names somebody else", serve(mine), trusted, "c.example", "", Down, SSLError, "c.example"},
		{"nobody trusts it", serve(stranger), trusted, "a.example", "", Down, SSLError, "certificate"},
		{"speaks in plain", write("HTTP/1.1 400 Bad Request\r\n\r\n"), trusted, "", "", Down, SSLError, "TLS"},
		{"hangs up", func(c net.Conn) { c.Read(make([]byte, 4096)) }, trusted, "", "", Down, ConnectionReset, ""},
		{"says nothing", func(c net.Conn) { io.Copy(io.Discard, c) }, trusted, "", "", Down, PayloadTimeout, "not finished"},
	} {
		mon := paced(sipMonitor("a"), test.state, test.reason)
		mon.SIPOverTCP, mon.TLS, mon.ServerName = true, test.secure, test.asked
		target := at(tcpServer(t, test.serve), mon)
		target.Name = test.host
		rows.add(test.name, newWatch(t, Config{}, target), test.state, test.reason, test.detail)
	}
	rows.run(t)
}

// write says something and waits for the other side to close.
func write(text string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, text)
		io.Copy(io.Discard, c)
	}
}
