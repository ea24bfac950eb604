// Package view shows objects and answers of the API as people read them: grids, tables, YAML. It knows how wide the
// terminal is and whether it has colours, and asks nobody for anything.
package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Type is what a Node is.
type Type uint8

// The types.
const (
	Null Type = iota
	Bool
	Number
	Text
	Object
	List
)

// Node is a JSON value whose members keep their order.
type Node struct {
	Type  Type
	Text  string   // of a scalar, as people write it: true, 5060, a text without quotes
	Names []string // of the members of an Object
	Items []*Node  // members of an Object, or items of a List
}

// maxDepth bounds how deep values may nest.
const maxDepth = 100

// Parse reads JSON.
func Parse(data []byte) (*Node, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	n, err := parse(d, 0)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return n, nil
}

func parse(d *json.Decoder, depth int) (*Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case bool:
		return &Node{Type: Bool, Text: fmt.Sprint(t)}, nil
	case json.Number:
		return &Node{Type: Number, Text: t.String()}, nil
	case string:
		return &Node{Type: Text, Text: t}, nil
	case json.Delim:
		n := &Node{Type: Object}
		if t == '[' {
			n.Type = List
		}
		for d.More() {
			if n.Type == Object {
				name, err := d.Token()
				if err != nil {
					return nil, err
				}
				n.Names = append(n.Names, fmt.Sprint(name))
			}
			item, err := parse(d, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, item)
		}
		_, err := d.Token()
		return n, err
	}
	return &Node{}, nil
}

// NewObject returns an object without members.
func NewObject() *Node { return &Node{Type: Object} }

// NewText returns a text.
func NewText(s string) *Node { return &Node{Type: Text, Text: s} }

// NewBool returns true or false.
func NewBool(b bool) *Node { return &Node{Type: Bool, Text: fmt.Sprint(b)} }

// NewNumber returns a number.
func NewNumber(s string) *Node { return &Node{Type: Number, Text: s} }

// Get returns a member, nil when there is none. n may be nil.
func (n *Node) Get(name string) *Node {
	if n == nil || n.Type != Object {
		return nil
	}
	if i := slices.Index(n.Names, name); i >= 0 {
		return n.Items[i]
	}
	return nil
}

// At returns what stands at a path such as runtime.oper_status.state, nil when there is nothing.
func (n *Node) At(path string) *Node {
	for name := range strings.SplitSeq(path, ".") {
		n = n.Get(name)
	}
	return n
}

// String is the text of a scalar, and empty otherwise. n may be nil.
func (n *Node) String() string {
	if n == nil {
		return ""
	}
	return n.Text
}

// Set replaces a member, or adds it.
func (n *Node) Set(name string, value *Node) {
	if i := slices.Index(n.Names, name); i >= 0 {
		n.Items[i] = value
		return
	}
	n.Names, n.Items = append(n.Names, name), append(n.Items, value)
}

// Delete takes a member away, and reports whether it was there.
func (n *Node) Delete(name string) bool {
	i := slices.Index(n.Names, name)
	if i < 0 {
		return false
	}
	n.Names, n.Items = slices.Delete(n.Names, i, i+1), slices.Delete(n.Items, i, i+1)
	return true
}

// Clone returns a deep copy.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	c := &Node{Type: n.Type, Text: n.Text, Names: slices.Clone(n.Names)}
	for _, item := range n.Items {
		c.Items = append(c.Items, item.Clone())
	}
	return c
}

// MarshalJSON writes the value.
func (n *Node) MarshalJSON() ([]byte, error) { return n.JSON(), nil }

// JSON writes the value on one line.
func (n *Node) JSON() []byte {
	var b bytes.Buffer
	n.write(&b)
	return b.Bytes()
}

func (n *Node) write(b *bytes.Buffer) {
	switch n.Type {
	case Null:
		b.WriteString("null")
	case Bool, Number:
		b.WriteString(n.Text)
	case Text:
		writeText(b, n.Text)
	case Object:
		b.WriteByte('{')
		for i, name := range n.Names {
			if i > 0 {
				b.WriteByte(',')
			}
			writeText(b, name)
			b.WriteByte(':')
			n.Items[i].write(b)
		}
		b.WriteByte('}')
	case List:
		b.WriteByte('[')
		for i, item := range n.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.write(b)
		}
		b.WriteByte(']')
	}
}

func writeText(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if e.Encode(s) == nil { // a text always encodes
		b.Truncate(b.Len() - 1) // its line feed
	}
}

// Equal reports whether two values say the same.
func Equal(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return bytes.Equal(a.JSON(), b.JSON())
}
