package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestTwice(t *testing.T) {
	for _, c := range []struct{ text, path string }{
		{`{"a":1,"b":2}`, ""},
		{`{"a":1,"a":1}`, "a"},
		{`{"a":{"b":[1,{"c":1,"d":"}","c":2}]}}`, "a.b[1].c"},
		{`[{"x":1},{"x":1,"y":2,"x":3}]`, "[1].x"},
		{`{"na\u006de":1,"name":2}`, "name"},
		{`{"é":1,"\u00e9":2}`, "é"},
		{`{"\ud800":1,"\udfff":2}`, "\ufffd"}, // both read as U+FFFD
		{` { "a" : "x\"}{" , "b" : [ ] , "c" : { } , "a" : null } `, "a"},
		{`{"a":{"a":{"a":1}},"A":1}`, ""},
		{`{"a":1,"a":`, ""}, // no JSON: others say so
		{``, ""},
		{`"a"`, ""},
		{`-1.5e3`, ""},
	} {
		if path, found := Twice([]byte(c.text)); path != c.path || found != (c.path != "") {
			t.Errorf("%s: %q, %t, want %q", c.text, path, found, c.path)
		}
	}
}

// TestTwiceProperty compares with encoding/json: a text without a double has as many members as it is read to.
func TestTwiceProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, doubles := anyJSON(t, 3)
		if !json.Valid([]byte(text)) {
			t.Fatalf("no JSON: %s", text)
		}
		if path, found := Twice([]byte(text)); found != doubles {
			t.Errorf("%s: %t at %q, want %t", text, found, path, doubles)
		}
	})
}

// anyJSON makes a text, and tells whether a member stands twice in it.
func anyJSON(t *rapid.T, depth int) (text string, doubles bool) {
	space := rapid.SampledFrom([]string{"", " ", "\n\t"})
	var b bytes.Buffer
	switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
	case kind == 0 && depth > 0:
		seen := map[string]bool{}
		b.WriteString("{")
		for i := range rapid.IntRange(0, 4).Draw(t, "members") {
			if i > 0 {
				b.WriteString(",")
			}
			name := rapid.SampledFrom([]string{"a", "b", `"`, `\`, "c", "é", "{", "[,"}).Draw(t, "name")
			doubles = doubles || seen[name]
			seen[name] = true
			quoted, _ := json.Marshal(name)
			inner, more := anyJSON(t, depth-1)
			doubles = doubles || more
			fmt.Fprintf(&b, "%s%s%s:%s", space.Draw(t, "space"), quoted, space.Draw(t, "space"), inner)
		}
		b.WriteString("}")
	case kind == 1 && depth > 0:
		b.WriteString("[")
		for i := range rapid.IntRange(0, 3).Draw(t, "items") {
			if i > 0 {
				b.WriteString(",")
			}
			inner, more := anyJSON(t, depth-1)
			doubles = doubles || more
			b.WriteString(inner)
		}
		b.WriteString("]")
	default:
		b.WriteString(rapid.SampledFrom([]string{"1", "-2.5e+3", "true", "null", `"x"`, `"\"}"`, `"\\"`, `""`}).Draw(t, "scalar"))
	}
	return space.Draw(t, "space") + b.String() + space.Draw(t, "space"), doubles
}
