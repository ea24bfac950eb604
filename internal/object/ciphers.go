package object

import (
	"crypto/tls"
	"strings"
)

// anyCiphers is Avi's default of accepted_ciphers: no wish in particular.
const anyCiphers = "AES:3DES:RC4"

// Suites are the cipher suites of TLS 1.2 that the profile takes, nil for those that crypto/tls takes by itself; its order
// of preference is its own. wrong are the words that name none, or none that is spoken. Suites that are weak (no forward
// secrecy, 3DES, RC4, CBC with SHA-256) are taken only where they are named in full.
func (s *SSLProfile) Suites() (suites []uint16, wrong []string) {
	if len(s.CipherEnums) > 0 {
		for _, name := range s.CipherEnums {
			switch c := suiteNamed(name); {
			case c == nil:
				wrong = append(wrong, name)
			case c.SupportedVersions[0] != tls.VersionTLS13:
				suites = append(suites, c.ID)
			}
		}
		return suites, wrong
	}
	if s.AcceptedCiphers == "" || s.AcceptedCiphers == anyCiphers {
		return nil, nil
	}
	banned := map[uint16]bool{}
	for word := range strings.FieldsFuncSeq(s.AcceptedCiphers, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		name := strings.TrimLeft(word, "!-+")
		found, known := suitesOf(name)
		for _, id := range found {
			switch {
			case word[0] == '!' || word[0] == '-':
				banned[id] = true
			case word[0] != '+': // that would only change the order
				suites = append(suites, id)
			}
		}
		if !known && word[0] != '!' && word[0] != '-' && word[0] != '@' {
			wrong = append(wrong, word)
		}
	}
	var out []uint16
	for _, id := range suites {
		if !banned[id] {
			out = append(out, id)
			banned[id] = true // once is enough
		}
	}
	return out, wrong
}

// suiteNamed is the suite of an IANA name, or of OpenSSL's name for it; nil if it is not spoken.
func suiteNamed(name string) *tls.CipherSuite {
	for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, c := range list {
			tls13 := c.SupportedVersions[0] == tls.VersionTLS13 // OpenSSL has IANA's names for those
			if strings.EqualFold(c.Name, name) || !tls13 && strings.EqualFold(openSSLName(c.Name), name) {
				return c
			}
		}
	}
	return nil
}

// openSSLName is TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 as OpenSSL has it, ECDHE-RSA-AES128-GCM-SHA256.
func openSSLName(iana string) string {
	return strings.NewReplacer("TLS_RSA_WITH_", "", "TLS_", "", "_WITH", "", "3DES_EDE_CBC", "DES-CBC3", "AES_128_CBC", "AES128", "AES_256_CBC", "AES256",
		"AES_", "AES", "CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", "RC4_128", "RC4", "_", "-").Replace(iana)
}

// ciphers of which OpenSSL has words and crypto/tls has nothing that is safe.
const weakWords = " 3DES RC4 DES MD5 NULL ANULL ENULL ADH AECDH EXP EXPORT LOW MEDIUM KRSA SSLV3 TLSV1 PSK SRP DSS ADSS DH DHE EDH KEDH CAMELLIA SEED IDEA ARIA AESCCM "

// suitesOf are the safe suites that a word of OpenSSL's cipher strings stands for, or the one suite that it names.
func suitesOf(word string) (out []uint16, known bool) {
	if c := suiteNamed(word); c != nil {
		if c.SupportedVersions[0] == tls.VersionTLS13 {
			return nil, true // those of TLS 1.3 are all taken
		}
		return []uint16{c.ID}, true
	}
	known = true
	for _, c := range tls.CipherSuites() {
		has := c.SupportedVersions[0] != tls.VersionTLS13
		for part := range strings.SplitSeq(strings.ToUpper(word), "+") {
			ok, is := suiteHas(openSSLName(c.Name), part)
			known, has = known && is, has && ok
		}
		if has {
			out = append(out, c.ID)
		}
	}
	return out, known
}

// suiteHas reports whether a suite, by OpenSSL's name, is one of a kind, and whether there is such a kind.
func suiteHas(name, kind string) (has, known bool) {
	switch kind {
	case "ALL", "DEFAULT", "HIGH", "SECURE", "ECDHE", "EECDH", "KECDHE", "KEECDH", "TLSV1.2", "SUITEB128", "SUITEB192":
		return true, true
	case "AES", "AES128", "AES256":
		return strings.Contains(name, kind), true
	case "AESGCM":
		return strings.Contains(name, "GCM"), true
	case "CHACHA20":
		return strings.Contains(name, kind), true
	case "RSA", "ARSA":
		return strings.Contains(name, "-RSA-"), true
	case "ECDSA", "AECDSA":
		return strings.Contains(name, "-ECDSA-"), true
	case "SHA", "SHA1":
		return strings.HasSuffix(name, "-SHA"), true
	case "SHA256", "SHA384":
		return strings.HasSuffix(name, kind), true
	}
	return false, strings.Contains(weakWords, " "+kind+" ")
}

func (c *checker) sslProfile(s *SSLProfile) {
	root := (*path)(nil)
	spoken := len(s.AcceptedVersions) == 0
	for i := range s.AcceptedVersions {
		spoken = spoken || s.AcceptedVersions[i].Type == "SSL_VERSION_TLS1_2" || s.AcceptedVersions[i].Type == "SSL_VERSION_TLS1_3"
	}
	if !spoken {
		c.fail(root.field("accepted_versions"), "names no version that is spoken: must have SSL_VERSION_TLS1_2 or SSL_VERSION_TLS1_3")
	}
	suites, wrong := s.Suites()
	field := root.field("accepted_ciphers")
	if len(s.CipherEnums) > 0 {
		field = root.field("cipher_enums")
	}
	if len(suites) == 0 && len(wrong) > 0 {
		c.fail(field, quote(strings.Join(wrong, ":"))+" names no cipher that is spoken, such as ECDHE-RSA-AES128-GCM-SHA256")
	}
}

// sslProfile warns of what crypto/tls cannot do.
func (w *warner) sslProfile(s *SSLProfile) {
	root := (*path)(nil)
	for i := range s.AcceptedVersions {
		if v := s.AcceptedVersions[i].Type; v != "SSL_VERSION_TLS1_2" && v != "SSL_VERSION_TLS1_3" {
			w.warn(root.field("accepted_versions").item(i), v+" is not spoken: it is broken; TLS 1.2 and 1.3 are")
		}
	}
	field := "accepted_ciphers"
	if len(s.CipherEnums) > 0 {
		field = "cipher_enums"
	}
	suites, wrong := s.Suites()
	for _, name := range wrong {
		w.warn(root.field(field), quote(name)+" is not spoken")
	}
	for _, id := range suites {
		for _, weak := range tls.InsecureCipherSuites() {
			if weak.ID == id {
				w.warn(root.field(field), weak.Name+" is weak")
			}
		}
	}
	if s.Ciphersuites != "" {
		w.warn(root.field("ciphersuites"), "has no effect: the cipher suites of TLS 1.3 cannot be chosen, and all are strong")
	}
}
