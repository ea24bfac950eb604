package object

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
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

// node is the tree of the set as YAML, in the same order as JSON has it.
func (s *Set) node(form Form) *yaml.Node {
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	v := reflect.ValueOf(s).Elem()
	for _, k := range theSchema().kinds {
		objects := v.Field(k.index)
		if objects.Len() == 0 {
			continue
		}
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range objects.Len() {
			list.Content = append(list.Content, structNode(objects.Index(i), k.shape, form))
		}
		root.Content = append(root.Content, textNode(k.name), list)
	}
	return root
}

func structNode(v reflect.Value, sh *shape, form Form) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := range sh.fields {
		f := &sh.fields[i]
		if sh.written(v, f, form) {
			n.Content = append(n.Content, textNode(f.name), valueNode(v.Field(f.index), f, f.class, form))
		}
	}
	if sh.keptAt < 0 {
		return n
	}
	kept := v.Field(sh.keptAt).Interface().(Kept)
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		if json.Valid(kept[name]) {
			n.Content = append(n.Content, textNode(name), readJSON(kept[name]))
		}
	}
	return n
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

func valueNode(v reflect.Value, f *field, c class, form Form) *yaml.Node {
	switch c {
	case classBool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v.Bool())}
	case classNumber:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(number(v), 10)}
	case classAddr:
		a := v.Interface().(netip.Addr)
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle, Content: []*yaml.Node{
			textNode("addr"), textNode(a.String()), textNode("type"), textNode(familyOf(a))}}
	case classStruct:
		return structNode(v, f.of, form)
	case classList:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range v.Len() {
			n.Content = append(n.Content, valueNode(v.Index(i), f, f.elem, form))
		}
		return n
	}
	return textNode(v.String())
}

func textNode(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ToValidUTF8(text, "\ufffd")}
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.ContainsFunc(text, odd) || strings.TrimSpace(text) != text || text == "<<" {
		n.Style = yaml.DoubleQuotedStyle // the one style that can hold anything
	}
	return n
}
