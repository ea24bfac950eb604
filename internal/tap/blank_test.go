package tap

import (
	"strings"
	"testing"
)

func TestBlank(t *testing.T) {
	text := "REGISTER sip:alice:secret@example.com SIP/2.0\r\n" +
		"Authorization: Digest username=\"a,b\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"0123456789abcdef\",\r\n  cnonce=\"0a4f\", qop=auth, nc=00000001\r\n" +
		"proxy-authorization : Basic QWxhZGRpbg==\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nAuthentication-Info: rspauth=\"abc\", nextnonce=\"def\", qop=auth\r\n" +
		"Contact: <sip:1001@10.0.0.1:5060;transport=udp>\r\n\r\n" +
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCk|2^20\r\nk=clear:key\r\na=ice-pwd:asd\r\na=rtpmap:8 PCMA/8000\r\n"
	want := "REGISTER sip:alice:******@example.com SIP/2.0\r\n" +
		"Authorization: Digest username=\"a,b\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"****************\",\r\n  cnonce=\"****\", qop=auth, nc=00000001\r\n" +
		"proxy-authorization : Basic ************\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nAuthentication-Info: rspauth=\"***\", nextnonce=\"***\", qop=auth\r\n" +
		"Contact: <sip:1001@10.0.0.1:5060;transport=udp>\r\n\r\n" +
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:************************\r\nk=*********\r\na=ice-pwd:***\r\na=rtpmap:8 PCMA/8000\r\n"
	b := []byte(text)
	if blank(b); string(b) != want {
		t.Errorf("%s", b)
	}
}

func FuzzBlank(f *testing.F) {
	f.Add("x", "Authorization: Digest response=\"%s\"\r\n")
	f.Add("x", "a=crypto:1 A inline:%s\r\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		text := []byte(a + "\r\nAuthorization: Digest response=\"geheim\"\r\n" + b)
		n := len(text)
		blank(text)
		if len(text) != n || strings.Count(string(text), "geheim") > strings.Count(a+b, "geheim") {
			t.Errorf("%q", text)
		}
	})
}
