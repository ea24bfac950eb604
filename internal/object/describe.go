package object

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Effect says what becomes of a field.
type Effect string

// What becomes of fields.
const (
	Acted   Effect = "acted on"
	Idle    Effect = "kept"    // given back, without effect; Avi's values are checked where they are known
	Refused Effect = "refused" // any value but the default is
	Dropped Effect = "dropped" // only answers have it
)

// FieldInfo tells of a field, for help and completion.
type FieldInfo struct {
	Name     string
	Type     string  // "number", "list of words", "reference to Pool"
	Doc      string  // of a refused one: why
	Range    string  // "1 to 7200, 0 or -1 (0 is at once, -1 is never)", "1 to 256 items"; empty: anything
	Min, Max int64   // of a number; of a list, how many items; both 0: anything
	Also     []int64 // numbers that are right outside of these
	Unit     string
	Default  json.RawMessage // nil: empty, or there is none
	Words    []WordInfo      // of an enumeration
	Ref      string          // kind of the object that it names
	When     string          // the type with which it has an effect; empty: any
	Members  []string        // of a mapping, or of the items of a list of them
	Short    string          // what may stand for a mapping, or an item: "address:port"; empty: nothing
	Key      []string        // members that make an item of a list what it is
	List     bool
	Required bool
	ReadOnly bool
	Secret   bool
	Own      bool // Carillon's, not Avi's
	Effect   Effect
}

// WordInfo is one word of an enumeration.
type WordInfo struct{ Long, Short string }

// Describe tells of the field at a path, such as "servers.port"; indices in brackets do not count. An empty path is the
// object itself.
func Describe(kindName, path string) (FieldInfo, bool) {
	k := findKind(kindName)
	if k == nil {
		return FieldInfo{}, false
	}
	sh := k.shape
	info := FieldInfo{Name: k.name, Type: "mapping", Doc: k.title, Members: sh.members, Effect: Acted}
	for name := range strings.SplitSeq(path, ".") {
		name, _, _ = strings.Cut(name, "[")
		switch {
		case path == "":
		case sh == nil:
			return FieldInfo{}, false
		case sh.byName[name] != nil:
			info = sh.describe(sh.byName[name])
			sh = sh.byName[name].of
		case sh.kept[name] != nil:
			info = sh.kept[name].describe()
			sh = nil
		default:
			return FieldInfo{}, false
		}
	}
	return info, true
}

// Expand returns the mapping that a short form stands for: "10.0.0.1:5060" is one as an item of "servers" of a pool.
func Expand(kindName, path, text string) (json.RawMessage, bool) {
	k := findKind(kindName)
	if k == nil {
		return nil, false
	}
	sh := k.shape
	for name := range strings.SplitSeq(path, ".") {
		f := sh.byName[name]
		if f == nil || f.of == nil {
			return nil, false
		}
		sh = f.of
	}
	v := reflect.New(sh.typ).Elem()
	v.Set(sh.zero)
	if short, ok := shortForms[sh.typ]; !ok || short.read(v, text) != "" {
		return nil, false
	}
	w := jsonWriter{form: SkipDefault}
	w.structure(v, sh)
	return w.out, true
}

// listMembers are the names of the fields of a struct: those that are acted on, then the kept ones.
func (sh *shape) listMembers() []string {
	var out []string
	for i := range sh.fields {
		out = append(out, sh.fields[i].name)
	}
	for _, k := range sh.keptInOrder {
		if !k.dropped {
			out = append(out, k.name)
		}
	}
	return out
}

func (sh *shape) describe(f *field) FieldInfo {
	info := FieldInfo{Name: f.name, Doc: f.doc, Unit: f.unit, Ref: f.ref, When: f.when, List: f.class == classList,
		Key: f.key, Required: f.required, ReadOnly: f.readOnly, Secret: f.secret, Own: f.own, Effect: Acted}
	if f.idle {
		info.Effect = Idle
	}
	c := f.class
	if info.List {
		c, info.Range, info.Min, info.Max = f.elem, f.items()+" items", int64(f.minItems), int64(f.maxItems)
	} else if c == classNumber {
		info.Range, info.Min, info.Max, info.Also = f.numbers(), f.min, f.max, f.extra
	}
	info.Type = [...]string{classBool: "true or false", classNumber: "number", classText: "text", classWord: "word", classAddr: "address", classStruct: "mapping"}[c]
	if f.ref != "" {
		info.Type = "reference to " + f.ref
	}
	if info.List {
		info.Type = "list of " + strings.Replace(info.Type, "reference", "references", 1)
	}
	if f.words != nil {
		for i := range f.words.words {
			if w := &f.words.words[i]; !w.refused {
				info.Words = append(info.Words, WordInfo{w.long, f.words.short(w)})
			}
		}
	}
	if f.of != nil {
		info.Members, info.Short = f.of.members, shortForms[f.of.typ].what
	}
	if v := sh.zero.Field(f.index); f.class < classAddr && (f.filled || f.class == classBool || f.class == classNumber) && !(f.required && v.IsZero()) {
		w := jsonWriter{}
		w.value(v, f, f.class)
		info.Default = w.out
	}
	return info
}

func (k *keptField) describe() FieldInfo {
	info := FieldInfo{Name: k.name, Type: k.is.String(), Doc: k.refused, Ref: refKind(k.name), List: k.is == keptList, ReadOnly: k.dropped, Effect: Idle}
	switch {
	case k.dropped:
		info.Effect = Dropped
	case k.refused != "":
		info.Effect = Refused
	}
	if info.Ref != "" && k.is == keptText {
		info.Type = "reference to " + info.Ref
	}
	if k.number != nil {
		info.Range, info.Min, info.Max, info.Also = k.number.numbers(), k.number.min, k.number.max, k.number.extra
	}
	for _, w := range k.words {
		info.Words = append(info.Words, WordInfo{w, w})
	}
	if k.filledIn() {
		info.Default = json.RawMessage(k.defaultJSON())
	}
	return info
}
