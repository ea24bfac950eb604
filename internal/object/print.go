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
	var flat, out bytes.Buffer
	writeJSON(&flat, s.node(f))
	if err := json.Indent(&out, flat.Bytes(), "", "  "); err != nil {
		panic("object: a tree of our own does not encode: " + err.Error())
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// node is the tree that both are written from, so that they say the same in the same order.
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

// writeJSON writes a tree of ours, or one that readJSON made.
func writeJSON(b *bytes.Buffer, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, n.Content[i])
			b.WriteByte(':')
			writeJSON(b, n.Content[i+1])
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, item)
		}
		b.WriteByte(']')
	default:
		switch n.ShortTag() {
		case "!!str":
			b.Write(compact(n.Value))
		case "!!null":
			b.WriteString("null")
		default:
			b.WriteString(n.Value)
		}
	}
}
