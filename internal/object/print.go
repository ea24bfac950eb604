package object

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// Form is how much of an object is written.
type Form uint8

// Both forms load to the same set. A field that is empty by default, and empty, is in neither.
const (
	Full        Form = iota // every field, defaults filled in
	SkipDefault             // only fields that differ from their default
)

// YAML writes the set in its normal form, one list a kind.
func (s *Set) YAML(f Form) []byte {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(s.node(f)); err != nil {
		panic("object: a tree of our own does not encode: " + err.Error())
	}
	_ = enc.Close() // to a bytes.Buffer
	return b.Bytes()
}

// JSON writes the set in its normal form, indented, one list a kind.
func (s *Set) JSON(f Form) []byte {
	w := jsonWriter{form: f}
	w.out = append(w.out, '{')
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		list := k.list(s)
		if list.Len() == 0 {
			continue
		}
		w.key(1, k.name)
		w.out = append(w.out, '[')
		for j := range list.Len() {
			if j > 0 {
				w.out = append(w.out, ',')
			}
			w.structure(list.Index(j), k.shape)
		}
		w.out = append(w.out, ']')
	}
	w.out = append(w.out, '}')
	var out bytes.Buffer
	if err := json.Indent(&out, w.out, "", "  "); err != nil {
		panic("object: what we write is no JSON: " + err.Error())
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// WriteJSON writes what JSON does, as one line, an object at a time.
func (s *Set) WriteJSON(to io.Writer, f Form) error {
	w := jsonWriter{form: f}
	w.out = append(w.out, '{')
	first := 1 // what stands in front of the first key; of what stands in front of others most is written already
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		list := k.list(s)
		if list.Len() == 0 {
			continue
		}
		w.key(first, k.name)
		w.out = append(w.out, '[')
		for j := range list.Len() {
			if j > 0 {
				w.out = append(w.out, ',')
			}
			w.structure(list.Index(j), k.shape)
			if _, err := to.Write(w.out); err != nil {
				return err
			}
			w.out, first = w.out[:0], 0
		}
		w.out = append(w.out, ']')
	}
	_, err := to.Write(append(w.out, '}'))
	return err
}

// node is the tree of the set as YAML. It is made of its JSON, so that both say the same in the same order.
func (s *Set) node(form Form) *yaml.Node {
	n := readJSON(s.JSON(form))
	dress(n)
	return n
}

// YAML writes JSON as YAML that is pleasant to read, members in their order. What is no JSON becomes an error.
func YAML(data []byte) ([]byte, error) {
	if !json.Valid(data) {
		return nil, &FieldError{Msg: "not JSON"}
	}
	n := readJSON(data)
	dress(n)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// dress makes a tree that readJSON made one that is pleasant to read, and says the same in YAML.
func dress(n *yaml.Node) {
	for _, item := range n.Content {
		dress(item)
	}
	text := n.Value
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) == 4 && n.Content[0].Value == "addr" && n.Content[2].Value == "type":
		n.Style = yaml.FlowStyle
	case n.Kind != yaml.ScalarNode || n.Tag != "!!str":
	case strings.ContainsFunc(text, odd) || strings.TrimSpace(text) != text || text == "<<":
		n.Style = yaml.DoubleQuotedStyle // the one style that can hold anything
	}
}

// written reports whether field f of the struct v appears in that form.
func (sh *shape) written(v reflect.Value, f *field, form Form) bool {
	if f.required {
		return true
	}
	standard := sh.isDefault(v, f)
	if f.optional && standard {
		return false
	}
	switch f.class {
	case classText, classAddr, classList:
		if standard && v.Field(f.index).IsZero() {
			return false
		}
	case classStruct:
		if !sh.applies(v, f) {
			return !standard // only in a set that Validate refuses
		}
	}
	return form == Full || !standard
}
