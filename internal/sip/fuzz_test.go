package sip

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sipgo "github.com/emiago/sipgo/sip"
)

// addSeeds adds all messages there are as seeds.
func addSeeds(f *testing.F) {
	for _, c := range tortureCases(f) {
		f.Add(readTorture(f, c.file))
	}
	others, err := filepath.Glob(filepath.Join(rfc4475Dir, "*.dat"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range others {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(inviteText)
	f.Add(okText)
}

// FuzzParse: see checkParse.
func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) { checkParse(t, b) })
}

// FuzzEdit: see checkEdits.
func FuzzEdit(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) { checkEdits(t, b) })
}

// FuzzReply: see checkReply.
func FuzzReply(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) { checkReply(t, b) })
}

// FuzzBrokenEdit: edits of a message with a fault are of no use to anybody, but do not panic.
func FuzzBrokenEdit(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Msg
		m.Parse(b)
		var e Edit
		e.Reset(&m)
		e.PushVia(ourVia)
		e.PopVia()
		e.SetReceived(source6.Addr(), source6.Port(), true, true)
		e.SetMaxForwards(1)
		e.PushRecordRoute(ourRecordRoute)
		e.PopRoute(2)
		e.PopLastRoute()
		e.PushRoute([]byte("<sip:a>"))
		e.SetRequestURI([]byte("sip:b"))
		e.SetStatusLine(500, "No")
		e.Apply(nil)
	})
}

// FuzzSplices applies splices and compares with a model that goes octet by octet. Each four octets of ops are one
// splice: what, where, how long, which text.
func FuzzSplices(f *testing.F) {
	f.Add([]byte("hello, splice"), []byte{0, 3, 0, 5, 1, 3, 4, 0, 2, 9, 2, 7})
	f.Add([]byte("0123456789"), []byte{1, 0, 10, 0, 0, 0, 0, 1, 0, 10, 0, 2, 2, 4, 3, 3})
	f.Fuzz(func(t *testing.T, text, ops []byte) {
		if len(text) == 0 || len(text) > 200 || len(ops) > 4*MaxSplices {
			return
		}
		m := Msg{Buf: text}
		var e Edit
		e.Reset(&m)
		inserted := map[int]string{}
		replaced := map[int]string{}
		length := map[int]int{} // of what is taken out from an offset on
		for ; len(ops) >= 4; ops = ops[4:] {
			off := int(ops[1]) % (len(text) + 1)
			s := span(off, off+int(ops[2])%(len(text)+1-off))
			word := strings.Repeat(string(rune('A'+ops[3]%26)), int(ops[3])%5)
			switch {
			case ops[0]%3 == 0 || s.Empty():
				e.Insert(s.Off, []byte(word))
				inserted[off] += word
			case length[off] > 0 && length[off] != s.Len():
				// two of them from one offset on: not something that an edit does
			case ops[0]%3 == 1:
				e.Delete(s)
				length[off], replaced[off] = s.Len(), ""
			default:
				e.Replace(s, []byte(word))
				length[off], replaced[off] = s.Len(), word
			}
		}
		var want strings.Builder
		gone := 0 // offset up to which octets are taken out
		for i := 0; i <= len(text); i++ {
			if i >= gone {
				want.WriteString(inserted[i] + replaced[i])
			}
			gone = max(gone, i+length[i])
			if i >= gone && i < len(text) {
				want.WriteByte(text[i])
			}
		}
		if got := e.Apply(nil); string(got) != want.String() {
			t.Errorf("got %q, want %q", got, want.String())
		}
	})
}

// FuzzHostAddr: HostAddr is netip.ParseAddr, with brackets and without zones.
func FuzzHostAddr(f *testing.F) {
	for _, s := range hostAddrs {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := HostAddr([]byte(s))
		bare, bracketed := s, strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && len(s) > 1
		if bracketed {
			bare = s[1 : len(s)-1]
		}
		want, err := netip.ParseAddr(bare)
		if err == nil && (want.Zone() != "" || bracketed && want.Is4()) {
			err = errors.New("not ours")
		}
		if ok != (err == nil) || ok && got != want {
			t.Errorf("%q: got %v %t, want %v %v", s, got, ok, want, err)
		}
	})
}

// FuzzURI: the parts of a URI are within it, in order, and it reads the same wherever it stands.
func FuzzURI(f *testing.F) {
	for _, s := range uriTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, fault := ParseURI([]byte(s), span(0, len(s)))
		moved, faultMoved := ParseURI([]byte("<<"+s+"@:;?"), span(2, 2+len(s)))
		if fault != faultMoved {
			t.Fatalf("%q: fault %s alone, %s between others", s, fault, faultMoved)
		}
		if fault != NoFault {
			return
		}
		EqualURI([]byte(s), []byte("sip:a%41:b@[::1]:5060;transport=udp;lr;a%20=?h=%3B&i"))
		EqualURI([]byte("sips:%"+s), []byte("sips:%"+s))
		last := uint32(0)
		for i, p := range [][2]Span{{u.User, moved.User}, {u.Host, moved.Host}, {u.Params, moved.Params}, {u.Headers, moved.Headers}} {
			if !p[0].Empty() && (p[0].Off < last || p[0].Off+2 != p[1].Off || p[0].Len() != p[1].Len()) {
				t.Errorf("%q: part %d is %v, moved by two %v", s, i, p[0], p[1])
			}
			last = max(last, p[0].End)
		}
		if int(last) > len(s) || u.Scheme == SchemeSIP && u.Host.Empty() {
			t.Errorf("%q: %+v", s, u)
		}
		if strings.ContainsAny(s, " \t\r\n<>\"\x00") {
			t.Errorf("%q is no URI", s)
		}
	})
}

// FuzzAgainstSipgo: where sipgo accepts a message that we accept, both read the same call, transaction and hop.
func FuzzAgainstSipgo(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) { compareSipgo(t, b) })
}

// TestAgainstSipgo counts how many messages both accept, so that the comparison does not end up comparing nothing.
func TestAgainstSipgo(t *testing.T) {
	both := 0
	for _, c := range tortureCases(t) {
		if compareSipgo(t, readTorture(t, c.file)) {
			both++
		}
	}
	if both < 80 {
		t.Errorf("sipgo and we both accept %d messages, want 80 at least", both)
	}
}

// compareSipgo reports whether both accept b.
func compareSipgo(t testing.TB, b []byte) bool {
	t.Helper()
	var m Msg
	if m.Parse(b) != NoFault {
		return false
	}
	theirs, err := sipgo.NewParser().ParseSIP(bytes.Clone(m.Buf))
	if err != nil || theirs == nil {
		return false
	}
	callID, cseq, via := theirs.CallID(), theirs.CSeq(), theirs.Via()
	if callID == nil || cseq == nil || via == nil {
		return false
	}
	if callID.Value() != string(m.Bytes(m.CallID)) {
		t.Errorf("Call-ID: sipgo %q, we %q\n%q", callID.Value(), m.Bytes(m.CallID), b)
	}
	if cseq.SeqNo != m.CSeq || string(cseq.MethodName) != string(m.Bytes(m.CSeqMethodText)) {
		t.Errorf("CSeq: sipgo %d %q, we %d %q\n%q", cseq.SeqNo, cseq.MethodName, m.CSeq, m.Bytes(m.CSeqMethodText), b)
	}
	if branch, _ := via.Params.Get("branch"); branch != string(m.Bytes(m.Via[0].Branch)) && sipgoReadsVia(&m) {
		t.Errorf("branch: sipgo %q, we %q\n%q", branch, m.Bytes(m.Via[0].Branch), b)
	}
	return true
}

// sipgoReadsVia reports whether sipgo v1.7.2 reads the top Via as RFC 3261 has it: it does not know white space within a
// value or before a comma, quoted parameters, and names of parameters in upper case.
func sipgoReadsVia(m *Msg) bool {
	v := &m.Via[0]
	behind := Span{v.Host.Off, v.Line.End - 2}
	return !bytes.ContainsAny(m.Bytes(behind), " \t\r\n\"") && m.Bytes(v.Text)[v.Host.Off-v.Text.Off-1] == ' ' &&
		(v.Branch.Empty() || bytes.Contains(m.Bytes(v.Text), []byte(";branch=")))
}
