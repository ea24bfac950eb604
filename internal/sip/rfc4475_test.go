package sip

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rfc4475Dir holds the messages of RFC 4475, as the RFC's own archive has them, and EXPECT.tsv: what a balancer does
// with each. A clone of the project alone has it not, and tests as much with testdata/torture.
const rfc4475Dir = "../../../shared/corpora/rfc4475"

// rfc4475Faults is what Parse says to the messages that are not sound in what a balancer reads. All others parse clean.
var rfc4475Faults = map[string]Fault{
	"badinv01":   FaultVia,
	"clerr":      FaultContentLengthBeyond,
	"ncl":        FaultContentLength,
	"scalar02":   FaultCSeqNumber,
	"scalarlg":   FaultCSeqNumber,
	"quotbal":    FaultTo,
	"ltgtruri":   FaultRequestURI,
	"lwsruri":    FaultRequestURI,
	"lwsstart":   FaultStartLine,
	"trws":       FaultStartLine,
	"escruri":    FaultURIHeaders,
	"badaspec":   FaultTo,
	"baddn":      FaultFrom,
	"badvers":    FaultVersion,
	"mismatch01": FaultMethodMismatch,
	"mismatch02": FaultMethodMismatch,
	"bigcode":    FaultStatusCode,
	"insuf":      FaultNoFrom,
	"multi01":    FaultDuplicateCSeq,
	"mcl01":      FaultDuplicateContentLength,
	"test":       FaultStartLine,
}

// TestRFC4475 parses every message of RFC 4475. P1 to P14, F11.
func TestRFC4475(t *testing.T) {
	expect, err := os.ReadFile(filepath.Join(rfc4475Dir, "EXPECT.tsv"))
	if os.IsNotExist(err) {
		t.Skipf("no %s: the messages of RFC 4475 lie beside the project where it is built; testdata/torture goes further", rfc4475Dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(rfc4475Dir, "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, line := range strings.Split(strings.TrimSpace(string(expect)), "\n") {
		f := strings.Split(line, "\t")
		if strings.HasPrefix(line, "#") || len(f) < 5 {
			continue
		}
		tested++
		name := strings.TrimSuffix(f[0], ".dat")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(rfc4475Dir, f[0]))
			if err != nil {
				t.Fatal(err)
			}
			var m Msg
			m.Parse(b)
			if want := rfc4475Faults[name]; m.Err != want {
				t.Errorf("fault %s at byte %d, want %s", m.Err, m.ErrPos, want)
			}
			if !rfc4475Allows(strings.Split(f[3], "|"), &m) {
				t.Errorf("EXPECT.tsv wants %s (%s); fault %s, answerable %t", f[3], f[4], m.Err, m.Answerable())
			}
			if check := rfc4475Checks[name]; check != nil {
				check(t, &m)
			}
			checkParse(t, b)
			checkEdits(t, b)
			checkReply(t, b)
		})
	}
	if tested != len(files) || tested < 50 {
		t.Errorf("EXPECT.tsv has %d messages, the folder has %d, and there are 49 and test.dat", tested, len(files))
	}
}

// rfc4475Allows reports whether one of the outcomes of EXPECT.tsv can come of m.
func rfc4475Allows(outcomes []string, m *Msg) bool {
	for _, o := range outcomes {
		ok := false
		switch o {
		case "forward", "forward-first-only", "forward-response":
			ok = m.Err == NoFault
		case "400", "505":
			ok = m.Answerable() && map[string]int{"400": 400, "505": 505}[o] == m.Err.Status()
		case "drop":
			ok = m.Err != NoFault && !m.Answerable() || !m.IsRequest && m.Err == NoFault // bcast is for the proxy to drop
		case "416":
			ok = m.Err == NoFault && m.URI.Scheme == SchemeOther
		case "420":
			ok = m.Err == NoFault && m.NProxyRequire > 0
		case "483":
			ok = m.Err == NoFault && m.MaxForwards == 0
		}
		if ok {
			return true
		}
	}
	return false
}

// rfc4475Checks looks closer at some messages: what EXPECT.tsv says to check, as far as a parser can tell.
var rfc4475Checks = map[string]func(*testing.T, *Msg){
	"wsinv": func(t *testing.T, m *Msg) {
		equal(t, "Via", m.NVia, 3)
		equal(t, "host", string(m.Bytes(m.Via[0].Host)), "192.0.2.2")
		equal(t, "branch", string(m.Bytes(m.Via[0].Branch)), "390skdjuw")
		equal(t, "second branch", string(m.Bytes(m.Via[1].Branch)), "z9hG4bK9ikj8")
		equal(t, "Max-Forwards", m.MaxForwards, 68)
		equal(t, "CSeq", m.CSeq, 9)
		equal(t, "To tag", string(m.Bytes(m.To.Tag)), "1918181833n")
		equal(t, "From tag", string(m.Bytes(m.From.Tag)), "98asjd8")
		equal(t, "Content-Length", m.ContentLength, 150)
		equal(t, "lr", m.Route[0].URI.LR, true)
	},
	"intmeth": func(t *testing.T, m *Msg) {
		equal(t, "method", string(m.Bytes(m.MethodText)), "!interesting-Method0123456789_*+`.%indeed'~")
		equal(t, "From tag", string(m.Bytes(m.From.Tag)), "_token~1'+`*%!-.")
		equal(t, "user", string(m.Bytes(m.URI.User)), "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
		equal(t, "host", string(m.Bytes(m.URI.Host)), "example.com")
	},
	"esc02": func(t *testing.T, m *Msg) {
		equal(t, "method", m.Method, Unknown)
		contact, _ := m.ContactURI()
		equal(t, "Contact", string(m.Bytes(contact)), "sip:alias1@host1.example.com")
	},
	"dblreq": func(t *testing.T, m *Msg) {
		equal(t, "body", len(m.Body()), 0)
		equal(t, "method", m.Method, Register)
	},
	"semiuri": func(t *testing.T, m *Msg) {
		equal(t, "user", string(m.Bytes(m.URI.User)), "user;par=u%40example.net")
		equal(t, "parameters", m.URI.Params.Empty(), true)
	},
	"escnull":    func(t *testing.T, m *Msg) { equal(t, "To", string(m.Bytes(m.To.URI)), "sip:null-%00-null@example.com") },
	"transports": func(t *testing.T, m *Msg) { equal(t, "Via", m.NVia, 5) },
	"badbranch":  func(t *testing.T, m *Msg) { equal(t, "branch", string(m.Bytes(m.Via[0].Branch)), "z9hG4bK") },
	"inv2543": func(t *testing.T, m *Msg) {
		equal(t, "branch", m.Via[0].Branch.Empty(), true)
		equal(t, "Max-Forwards", m.MaxForwards, -1)
		equal(t, "To", string(m.Bytes(m.To.URI)), "sip:+16505552222@ss1.example.net")
	},
	"bext01": func(t *testing.T, m *Msg) {
		equal(t, "Proxy-Require", m.NProxyRequire, 2)
		equal(t, "first", string(m.Bytes(m.ProxyRequire[0])), "noProxiesSupportThis")
	},
	"mpart01": func(t *testing.T, m *Msg) {
		equal(t, "body", len(m.Body()), 553)
		equal(t, "lr", m.Route[0].URI.LR, false)
	},
	"unreason": func(t *testing.T, m *Msg) { equal(t, "status", m.Status, 200) },
	"noreason": func(t *testing.T, m *Msg) { equal(t, "reason", m.ReasonText.Len(), 0) },
	"bcast":    func(t *testing.T, m *Msg) { equal(t, "host", string(m.Bytes(m.Via[1].Host)), "255.255.255.255") },
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
