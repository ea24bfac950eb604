package proxy

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/sip"
)

const root = "../../"

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStandards holds docs/standards.md against the tree: each ID stands in the
// "ids" of the ladders and in the names of the tests that its line names, or in
// the decision record that leaves it out; and no ladder has an ID that the table lacks.
func TestStandards(t *testing.T) {
	shown := shownIDs(t)
	left := leftOut(t)
	row := regexp.MustCompile(`(?m)^\| ([A-Z]\d+o?|ISC) \| [^|]+ \| ([^|]+) \|$`)
	known := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(read(t, root+"docs/standards.md"), -1) {
		id, where := m[1], m[2]
		known[id] = true
		if where == "ADR 6" {
			if !left[id] {
				t.Errorf("%s is said to be in docs/adr/0006-not-yet.md, and is not", id)
			}
			continue
		}
		for _, name := range strings.Split(where, ", ") {
			if !slices.Contains(shown[id], strings.Trim(name, "`")) {
				t.Errorf("%s: %s does not show it", id, name)
			}
		}
	}
	if len(known) < 100 {
		t.Errorf("docs/standards.md has %d lines only", len(known))
	}
	for id, where := range shown {
		if !known[id] {
			t.Errorf("%s of %v has no line in docs/standards.md", id, where)
		}
	}
	for id := range left {
		if !known[id] {
			t.Errorf("%s of docs/adr/0006-not-yet.md has no line in docs/standards.md", id)
		}
	}
}

// shownIDs is where each ID is shown: ladders by their ids, tests by names such as TestO6_Binding.
func shownIDs(t *testing.T) map[string][]string {
	shown := map[string][]string{}
	ladders, err := filepath.Glob("testdata/*.ladder")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range ladders {
		for line := range strings.Lines(read(t, file)) {
			if ids, ok := strings.CutPrefix(line, "ids "); ok {
				for _, id := range strings.Fields(ids) {
					shown[id] = append(shown[id], strings.TrimSuffix(filepath.Base(file), ".ladder"))
				}
			}
		}
	}
	name := regexp.MustCompile(`(?m)^func (Test[A-Z]\d+o?_\w*)\(`)
	id := regexp.MustCompile(`^[A-Z]\d+o?$`)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range name.FindAllStringSubmatch(read(t, path), -1) {
			for _, part := range strings.Split(strings.TrimPrefix(m[1], "Test"), "_") {
				if id.MatchString(part) {
					shown[part] = append(shown[part], m[1])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

// leftOut is the IDs in the first column of the decision record, ranges such as V1o-V4o spelled out.
func leftOut(t *testing.T) map[string]bool {
	left := map[string]bool{}
	row := regexp.MustCompile(`(?m)^\| ([A-Z0-9o, -]+) \|`)
	one := regexp.MustCompile(`([A-Z]+)(\d+)(o?)(?:-[A-Z]+(\d+)o?)?`)
	for _, m := range row.FindAllStringSubmatch(read(t, root+"docs/adr/0006-not-yet.md"), -1) {
		for _, r := range one.FindAllStringSubmatch(m[1], -1) {
			from, _ := strconv.Atoi(r[2])
			to, err := strconv.Atoi(r[4])
			if err != nil {
				to = from
			}
			for n := from; n <= to; n++ {
				left[r[1]+strconv.Itoa(n)+r[3]] = true
			}
		}
	}
	return left
}

// TestReasons holds docs/reasons.md against the reasons: each has one line, in their order.
func TestReasons(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([^|]+) \\| [^|]+ \\|$")
	var lines, want []string
	for _, m := range row.FindAllStringSubmatch(read(t, root+"docs/reasons.md"), -1) {
		lines = append(lines, m[1]+": "+m[2])
	}
	for r := ReasonNone + 1; r < NumReasons; r++ {
		want = append(want, r.String()+": "+r.Sentence())
	}
	if !slices.Equal(lines, want) {
		t.Errorf("docs/reasons.md has\n%v\nthe reasons are\n%v", lines, want)
	}
}

// A request goes through whole that is as large as one can be that leaves in a datagram again. Between streams TestP8_StreamLongest
// has the longest there is.
func TestP8_E15_Largest(t *testing.T) {
	s := newStep(t)
	head := bytes.ReplaceAll(invite()[:bytes.Index(invite(), []byte("Content-Length"))], []byte("00000000"), []byte("largest0"))
	head = append(head, "Content-Length: "...)
	n := MaxDatagram - len(head) - len("60000\r\n\r\n")
	msg := append(strconv.AppendInt(head, int64(n), 10), "\r\n\r\n"...)
	msg = append(msg, bytes.Repeat([]byte{0, 'x', '\r', '\n'}, n)[:n]...)
	if v := s.handle(msg); len(msg) != MaxDatagram || v.Action != Forward {
		t.Fatalf("%d octets: %s", len(msg), v.Reason)
	}
	if body := msg[len(msg)-n:]; !bytes.HasSuffix(s.out, body) {
		t.Error("the body has changed")
	}
}

// What phones send to keep a flow open is no message, and STUN is no broken one.
func TestE17_KeepAlives(t *testing.T) {
	for text, want := range map[string]sip.Kind{
		"": sip.KindKeepAlive, "\r\n\r\n": sip.KindKeepAlive, "\x00\x00\x00\x00": sip.KindKeepAlive, " ": sip.KindKeepAlive,
		"\x00\x01\x00\x00\x21\x12\xa4\x42............": sip.KindSTUN,
		"\r\n\r\nOPTIONS sip:x SIP/2.0\r\n":            sip.KindSIP,
		"\x80\x60rtp":                                  sip.KindJunk,
	} {
		if k := sip.Classify([]byte(text)); k != want {
			t.Errorf("%q is %d, want %d", text, k, want)
		}
	}
}
