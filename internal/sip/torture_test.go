package sip

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens of testdata/torture anew")

const tortureDir = "testdata/torture"

// tortureCase is a line of INDEX.tsv.
type tortureCase struct {
	file, ids, does, shows string
}

func (c tortureCase) bad() bool { return strings.HasSuffix(c.file, ".bad.sip") }

// tortureCases reads the index, which must name every message and no other.
func tortureCases(t testing.TB) (cases []tortureCase) {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(tortureDir, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(index)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			t.Fatalf("INDEX.tsv: %q has %d columns, want 4", line, len(f))
		}
		cases = append(cases, tortureCase{f[0], f[1], f[2], f[3]})
		named[f[0]] = true
	}
	files, err := filepath.Glob(filepath.Join(tortureDir, "*.sip"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !named[filepath.Base(f)] {
			t.Errorf("INDEX.tsv does not name %s", filepath.Base(f))
		}
	}
	if len(files) != len(cases) {
		t.Errorf("INDEX.tsv names %d messages, there are %d", len(cases), len(files))
	}
	return cases
}

func readTorture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(tortureDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden compares got with the golden file, or writes it under -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join(tortureDir, name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update, and look at it)", err)
	}
	if diff := cmp.Diff(strings.SplitAfter(string(want), "\n"), strings.SplitAfter(string(got), "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// What the goldens have as our own Via, Record-Route and the source of the request.
var (
	ourVia         = []byte("Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKours\r\n")
	ourRecordRoute = []byte("Record-Route: <sip:203.0.113.5:5060;lr;t=ours>\r\n")
	source4        = netip.MustParseAddrPort("198.51.100.23:40123")
	source6        = netip.MustParseAddrPort("[2001:db8::23]:40123")
)

// edit makes the edits that words name, in the words of INDEX.tsv.
func edit(t testing.TB, e *Edit, m *Msg, words string) {
	t.Helper()
	popped := 0
	for _, word := range strings.Fields(words) {
		name, arg, _ := strings.Cut(word, ":")
		n, _ := strconv.Atoi(arg)
		switch name {
		case "proxy", "proxy6":
			from := source4
			if name == "proxy6" {
				from = source6
			}
			rport := m.Via[0].HasRport
			e.PushVia(ourVia)
			e.SetReceived(from.Addr(), from.Port(), rport, rport || m.NeedsReceived(from.Addr()))
			e.PushRecordRoute(ourRecordRoute)
			hops := 70
			if m.MaxForwards >= 0 {
				hops = m.MaxForwards - 1
			}
			e.SetMaxForwards(hops)
		case "pop-route":
			e.PopRoute(n)
			popped += n
		case "strict-next":
			e.PushRoute([]byte("<" + string(m.Bytes(m.URI.Text)) + ">"))
			e.SetRequestURI(m.Bytes(m.Route[popped].URI.Text))
			e.PopRoute(1)
		case "strict-prev":
			e.SetRequestURI(m.Bytes(m.LastRoute.URI.Text))
			e.PopLastRoute()
		case "push-route":
			e.PushRoute([]byte("<sip:pushed.example.com;lr>"))
		case "pop-via":
			e.PopVia()
		case "status":
			e.SetStatusLine(n, "Server Internal Error")
		default:
			t.Fatalf("INDEX.tsv: no edit is called %q", word)
		}
	}
}

// TestTortureSound parses every sound message, compares what it found with FACTS.txt, and the message with its edits
// with a golden. P1 to P12, F1, F3, F4, F6, F11, N1, N2, R2, R3, V5, V7, X2: see INDEX.tsv.
func TestTortureSound(t *testing.T) {
	var found bytes.Buffer
	for _, c := range tortureCases(t) {
		if c.bad() {
			continue
		}
		t.Run(c.file, func(t *testing.T) {
			b := readTorture(t, c.file)
			var m Msg
			if f := m.Parse(b); f != NoFault {
				t.Fatalf("%s: %s at byte %d, want no fault", c.shows, f, m.ErrPos)
			}
			checkParse(t, b)
			found.WriteString(c.file + ": " + c.shows + "\n" + facts(&m))
			var e Edit
			e.Reset(&m)
			edit(t, &e, &m, c.does)
			out := e.Apply(nil)
			golden(t, strings.TrimSuffix(c.file, ".sip")+".out", out)
			var again Msg
			if f := again.Parse(out); f != NoFault && f != FaultNoVia && f != FaultSecondVia {
				t.Errorf("the edited message has the fault %s at byte %d", f, again.ErrPos)
			}
			checkEdits(t, b)
			checkReply(t, b)
		})
	}
	golden(t, "FACTS.txt", found.Bytes())
}

// TestTortureBad parses every broken message, wants the fault that INDEX.tsv names, and compares the answer, where there
// is somebody to tell, with a golden.
func TestTortureBad(t *testing.T) {
	for _, c := range tortureCases(t) {
		if !c.bad() {
			continue
		}
		t.Run(c.file, func(t *testing.T) {
			b := readTorture(t, c.file)
			var m Msg
			if f := m.Parse(b); f.String() != c.does {
				t.Errorf("%s: %s at byte %d, want %s", c.shows, f, m.ErrPos, c.does)
			}
			checkParse(t, b)
			checkReply(t, b)
			name := strings.TrimSuffix(c.file, ".sip") + ".out"
			if !m.Answerable() {
				if _, err := os.Stat(filepath.Join(tortureDir, name)); err == nil {
					t.Errorf("there is an answer in %s, but the message is not answerable", name)
				}
				return
			}
			r := Reply{Status: m.Err.Status(), Reason: m.Err.String(), ToTag: []byte("ours"), Received: source4}
			golden(t, name, m.AppendReply(nil, &r))
		})
	}
}
