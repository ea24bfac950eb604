package view

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/object"
)

// Tables and grids fit the width whatever stands in them, as long as every column has six places.
func TestWidthProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 5).Draw(t, "columns")
		row := rapid.SliceOfN(rapid.StringMatching(`[a-z äö .:-]{0,80}`), columns, columns)
		head := rapid.SliceOfN(rapid.StringMatching(`[A-Z][a-z]{0,20}`), columns, columns).Draw(t, "head")
		rows := rapid.SliceOfN(row, 0, 5).Draw(t, "rows")
		width := rapid.IntRange(columns*9+1, 200).Draw(t, "width")
		for name, show := range map[string]func(*Screen){"table": func(s *Screen) { s.Table(head, rows) }, "grid": func(s *Screen) { s.Grid(head, rows) }} {
			var b bytes.Buffer
			show(&Screen{Out: &b, width: func() int { return width }})
			for line := range strings.Lines(b.String()) {
				if n := text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")); n > width {
					t.Fatalf("%s: %d columns in %d: %q", name, n, width, line)
				}
			}
		}
	})
}

// A grid of more columns than there is room for becomes one for each row: nothing is missing.
func TestGridNarrow(t *testing.T) {
	head, row := []string{"server_name", "hostname", "state", "ratio", "open_conns", "known_calls"}, []string{"10.0.0.1:5060", "pbx-1", "OPER_UP", "1", "17", "4711"}
	var b bytes.Buffer
	(&Screen{Out: &b, width: func() int { return 40 }}).Grid(head, [][]string{row, row})
	for _, cell := range append(head, row...) {
		if strings.Count(b.String(), cell) < 2 {
			t.Errorf("%q is missing:\n%s", cell, b.String())
		}
	}
}

// A JSON value is written as it was read.
func TestParseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.MapOf(rapid.String(), rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Map(rapid.SliceOf(rapid.Int()), func(l []int) any { return l }))).Draw(t, "members")
		data, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		n, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(data, &a) != nil || json.Unmarshal(n.JSON(), &b) != nil {
			t.Fatalf("not JSON: %s", n.JSON())
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if !bytes.Equal(x, y) {
			t.Fatalf("%s, want %s", y, x)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, data := range []string{"", "{", `{"a":`, `[1,`, "nonsense", strings.Repeat("[", 200)} {
		if n, err := Parse([]byte(data)); err == nil {
			t.Errorf("%q: %s", data, n.JSON())
		}
	}
}

// An answer of the API becomes what a file says.
func TestAsFile(t *testing.T) {
	n, err := Parse([]byte(`{"uuid":"pool-1","url":"https://h/api/pool/pool-1","name":"p","_last_modified":"1","tenant_ref":"https://h/api/tenant/admin#admin",
		"cloud_ref":"https://h/api/cloud/cloud-1#Default-Cloud","health_monitor_refs":["https://h/api/healthmonitor/healthmonitor-1#a%20b"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(AsFile("Pool", n).JSON()), `{"name":"p","health_monitor_refs":["a b"]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// On a terminal that is too narrow for all columns lines are cut or broken at words; a word is never broken, and no line
// is wider unless a word is.
func TestNarrow(t *testing.T) {
	var b bytes.Buffer
	s := &Screen{Out: &b, width: func() int { return 30 }}
	s.Table([]string{"One", "Two", "Three", "Four", "Five", "Six"}, [][]string{{"first", "second", "third1", "fourth", "fifth1", "sixth1"}})
	if got := b.String(); got != "One    Two     Three   Four  ~\nfirst  second  third1  fourth~\n" {
		t.Errorf("%q", got)
	}
	b.Reset()
	s.Wrapped([]string{"Field", "Type", "Meaning"}, [][]string{{"a_long_name", "number", "what it means in so many words"}})
	if got := b.String(); got != "Field        Type\n    Meaning\na_long_name  number\n    what it means in so many\n    words\n" {
		t.Errorf("%q", got)
	}
	if got := s.Indented("carillon context trust --fingerprint 0123456789abcdef0123456789", 4); got != "carillon context trust\n    --fingerprint\n    0123456789abcdef0123456789" {
		t.Errorf("%q", got)
	}
	b.Reset()
	wide := &Screen{Out: &b}
	wide.Wrapped([]string{"Field", "Meaning"}, [][]string{{"a", strings.Repeat("word ", 50) + "."}})
	if strings.Count(b.String(), "\n") != 2 || wide.Indented(strings.Repeat("word ", 50), 4) != strings.Repeat("word ", 50) {
		t.Errorf("a pipe gets broken lines: %q", b.String())
	}
}

// Each kind says what it is for.
func TestKindHelp(t *testing.T) {
	for _, k := range object.Kinds() {
		if KindHelp(k.Name) == "" {
			t.Errorf("%s says nothing of itself", k.Name)
		}
	}
	if len(kindHelp) != len(object.Kinds()) {
		t.Errorf("%d kinds of %d", len(kindHelp), len(object.Kinds()))
	}
}
