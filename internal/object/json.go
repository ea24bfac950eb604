package object

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Hidden stands in answers where a secret is; written back, it means the secret that is there already.
const Hidden = "<sensitive>"

// JSONOptions changes what Any.JSON writes. The zero value is the whole object, secrets hidden.
type JSONOptions struct {
	Form    Form
	Fields  []string                   // not empty: those of the object itself only, and name and uuid
	Secrets bool                       // true: secrets are readable
	MapRef  func(Ref) string           // not nil: what stands for each reference; one at its default is a name, such as Default-Cloud
	More    map[string]json.RawMessage // members beside the object's own, such as url and _last_modified
}

// JSON writes the object on one line. With Full every boolean and number is there, also those that are kept without
// effect, at Avi's default where nothing was set; what is empty by default, and empty, is left out.
func (a Any) JSON(o JSONOptions) []byte {
	if a.kind == nil {
		return []byte("null")
	}
	if o.MapRef != nil {
		a = a.MapRefs(o.MapRef)
	}
	w := jsonWriter{form: o.Form, keptToo: o.Form == Full, hide: !o.Secrets, mapRef: o.MapRef}
	if len(o.Fields) > 0 {
		w.only = append([]string{"name", "uuid"}, o.Fields...)
	}
	w.out = make([]byte, 0, a.kind.written.Load()+slack)
	w.object(a.v, a.kind.shape, o.More)
	a.kind.written.Store(int64(len(w.out)))
	return w.out
}

// slack is by how many octets more than the last one of its kind an object may have before its JSON is moved to larger memory.
const slack = 256

// jsonWriter writes objects as compact JSON.
type jsonWriter struct {
	out     []byte
	form    Form
	mapRef  func(Ref) string // for references that stand at their default; nil: as they are
	keptToo bool             // kept fields with a default are written at it
	hide    bool             // secrets
	only    []string         // fields of the object itself; empty: all
}

// object writes an object, with more members behind its own.
func (w *jsonWriter) object(v reflect.Value, sh *shape, more map[string]json.RawMessage) {
	w.out = append(w.out, '{')
	first := len(w.out)
	w.fields(v, sh, w.only)
	names := make([]string, 0, len(more))
	for name := range more {
		if len(w.only) == 0 || name == "url" || slices.Contains(w.only, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		w.key(first, name)
		w.out = append(w.out, more[name]...)
	}
	w.out = append(w.out, '}')
}

// key writes a comma, unless this is the first member after that place, and the name of a member.
func (w *jsonWriter) key(first int, name string) {
	if len(w.out) > first {
		w.out = append(w.out, ',')
	}
	w.text(name)
	w.out = append(w.out, ':')
}

func (w *jsonWriter) structure(v reflect.Value, sh *shape) {
	w.out = append(w.out, '{')
	w.fields(v, sh, nil)
	w.out = append(w.out, '}')
}

// fields writes the members of a struct, only those if there are any.
func (w *jsonWriter) fields(v reflect.Value, sh *shape, only []string) {
	first := len(w.out)
	wanted := func(name string) bool { return len(only) == 0 || slices.Contains(only, name) }
	for i := range sh.fields {
		f := &sh.fields[i]
		if !wanted(f.name) || !sh.written(v, f, w.form) {
			continue
		}
		w.key(first, f.name)
		if f.secret && w.hide && v.Field(f.index).Len() > 0 {
			w.text(Hidden)
			continue
		}
		w.value(v.Field(f.index), f, f.class)
	}
	if sh.keptAt < 0 {
		return
	}
	kept := v.Field(sh.keptAt).Interface().(Kept)
	for _, k := range sh.keptInOrder {
		raw := kept[k.name]
		switch {
		case !wanted(k.name):
		case raw != nil && json.Valid(raw):
			w.key(first, k.name)
			w.out = append(w.out, raw...)
		case raw == nil && w.keptToo && k.filledIn():
			w.key(first, k.name)
			if kind := refKinds[k.name]; kind != "" && w.mapRef != nil {
				w.text(w.mapRef(Ref{k.name, kind, strings.Trim(k.def, `"`)}))
			} else {
				w.out = append(w.out, k.defaultJSON()...)
			}
		}
	}
}

func (w *jsonWriter) value(v reflect.Value, f *field, c class) {
	switch c {
	case classBool:
		w.out = strconv.AppendBool(w.out, v.Bool())
	case classNumber:
		w.out = strconv.AppendInt(w.out, number(v), 10)
	case classAddr:
		a := *addrAt(v)
		w.out = append(w.out, `{"addr":"`...)
		w.out = a.AppendTo(w.out)
		w.out = append(w.out, `","type":"`...)
		w.out = append(w.out, familyOf(a)...)
		w.out = append(w.out, `"}`...)
	case classStruct:
		w.structure(v, f.of)
	case classList:
		w.out = append(w.out, '[')
		for i := range v.Len() {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			w.value(v.Index(i), f, f.elem)
		}
		w.out = append(w.out, ']')
	default:
		w.text(v.String())
	}
}

// text writes a string. Most are plain, and need no encoder.
func (w *jsonWriter) text(s string) {
	plain := true
	for i := range len(s) {
		if b := s[i]; b < ' ' || b >= 0x7f || b == '"' || b == '\\' {
			plain = false
			break
		}
	}
	if !plain {
		w.out = append(w.out, compact(strings.ToValidUTF8(s, "\ufffd"))...)
		return
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, s...)
	w.out = append(w.out, '"')
}

// node writes a tree that readJSON made.
func (w *jsonWriter) node(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		w.out = append(w.out, '{')
		first := len(w.out)
		for i := 0; i+1 < len(n.Content); i += 2 {
			w.key(first, n.Content[i].Value)
			w.node(n.Content[i+1])
		}
		w.out = append(w.out, '}')
	case yaml.SequenceNode:
		w.out = append(w.out, '[')
		for i, item := range n.Content {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			w.node(item)
		}
		w.out = append(w.out, ']')
	default:
		switch n.ShortTag() {
		case "!!str":
			w.text(n.Value)
		case "!!null":
			w.out = append(w.out, "null"...)
		default:
			w.out = append(w.out, n.Value...)
		}
	}
}
