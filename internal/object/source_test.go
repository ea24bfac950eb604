package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A text that cannot be read is refused where the fault is. It looks into the YAML library's parser: when this fails with a
// new release of it, notYAML is to follow.
func TestSyntaxPlaces(t *testing.T) {
	for _, c := range []struct {
		text         string
		line, column int
		msg          string
	}{
		{"Pool:\n- name: edge\n  servers: [10.0.0.1:5060, \"10.0.0.2]\n  x: y\n", 3, 28, "not YAML: found unexpected end of stream while scanning a quoted scalar that begins here"},
		{"Pool:\n- name: edge\n\tservers: []\n", 3, 1, "not YAML: found a tab character that violates indentation while scanning a plain scalar that begins on line 2"},
		{"Pool:\n- name: edge\n  servers: [a\n- name: b\n", 4, 7, "not YAML: did not find expected ',' or ']' while parsing a flow sequence that begins on line 3"},
		{"Pool:\n- name: edge: foo\n", 2, 13, "not YAML: mapping values are not allowed in this context"},
		{"Pool:\n- name: *nope\n", 2, 9, "not YAML: unknown anchor 'nope' referenced"},
		{"Pool:\n- name: \"a\\qb\"\n", 2, 11, "not YAML: found unknown escape character"},
		{"Pool:\n- name: ü\xff\n", 2, 10, "not YAML: invalid leading UTF-8 octet"},
		{"Pool:\n  - name: a\n - name: b\n", 3, 2, "not YAML: did not find expected key while parsing a block mapping that begins on line 1"},
		{"@", 1, 1, "not YAML: found character that cannot start any token"},
		{"{\"Pool\": [\n  {\"name\": \"a\"\n   \"servers\": []}]}\n", 3, 4, "not JSON: invalid character '\"' after object key:value pair"},
		{"{\"Pool\": [{\"name\": \"a\"", 1, 22, "not JSON: unexpected end of JSON input"},
	} {
		_, err := LoadObjects("f", []byte(c.text))
		var f *FieldError
		if !errors.As(err, &f) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if f.Line != c.line || f.Column != c.column || f.Msg != c.msg {
			t.Errorf("%q:\n%d:%d: %s, want\n%d:%d: %s", c.text, f.Line, f.Column, f.Msg, c.line, c.column, c.msg)
		}
	}
}

// readTokens reads JSON by the tokens of encoding/json, as a measure for readJSON.
func readTokens(dec *json.Decoder, text string) *yaml.Node {
	tok, err := dec.Token()
	if err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	end := int(dec.InputOffset()) - 1
	n := &yaml.Node{Kind: yaml.ScalarNode, Style: fromJSON, Line: strings.Count(text[:end], "\n") + 1, Column: end - strings.LastIndexByte(text[:end], '\n')}
	switch t := tok.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for dec.More() {
			n.Content = append(n.Content, readTokens(dec, text))
		}
		_, _ = dec.Token()
	case string:
		n.Tag, n.Value = "!!str", t
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case nil:
		n.Tag = "!!null"
	}
	return n
}

// FuzzReadJSON asserts that of valid JSON the reader sees what encoding/json sees, at the same places, and that nothing else
// makes it panic.
func FuzzReadJSON(f *testing.F) {
	for _, text := range []string{`{"a": [1, -2.5e3, true, false, null, "x"], "b": {}}`, "[\n\t\"\\u00e9\\n\\\"\",\r\n \"\xff\" , [[]]\n]", `"\\"`, ` 0 `, `{"": ""}`, "{\n\"ü\":{\"k\":[{}]}}", `["\ud800", "\\\\"]`, `"`, `{"a`, `[1`, "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := readJSON([]byte(text))
		if !json.Valid([]byte(text)) {
			return
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if want := readTokens(dec, text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n%+v, want\n%+v", text, got, want)
		}
	})
}
