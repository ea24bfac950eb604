package object

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
)

func TestSuites(t *testing.T) {
	for _, c := range []struct{ ciphers, want, wrong string }{
		{"AES:3DES:RC4", "", ""},
		{"", "", ""},
		{"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ""},
		{"ECDHE+AESGCM:!ECDSA", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ""},
		{"AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256", ""}, // weak, and named in full
		{"CHACHA20:-ECDSA:@STRENGTH", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ""},
		{"HIGH:!aNULL:!MD5:!AES:!RSA", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ""},
		{"3DES:CHACHA20+RSA", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ""},
		{"ECDHE-RSA-AES256-SHA,DHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "DHE-RSA-AES256-SHA"},
		{"TLS_AES_128_GCM_SHA256 ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", ""},
		{"BLOWFISH", "", "BLOWFISH"},
	} {
		suites, wrong := (&SSLProfile{AcceptedCiphers: c.ciphers}).Suites()
		var got []string
		for _, id := range suites {
			got = append(got, tls.CipherSuiteName(id))
		}
		want := strings.Fields(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || strings.Join(wrong, " ") != c.wrong {
			t.Errorf("%q: %v, wrong %v", c.ciphers, got, wrong)
		}
	}
	suites, wrong := (&SSLProfile{CipherEnums: []string{"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"}}).Suites()
	if !slices.Equal(suites, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}) || !slices.Equal(wrong, []string{"TLS_DHE_RSA_WITH_AES_128_CBC_SHA"}) {
		t.Errorf("%v %v", suites, wrong)
	}
}
