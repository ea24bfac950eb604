package object

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// maxPatchOps bounds the operations of a json_patch.
const maxPatchOps = 10_000

// patchOrder is the order in which the members of one patch take effect, whatever their order in the text.
var patchOrder = []string{"replace", "delete", "remove", "add", "json_patch"}

// Patch applies a patch as Avi takes it to the JSON of an object, and returns the JSON of the changed one, for Decode:
//
//	{"add": {...}}         appends items to lists, an item that is there already (same key) takes the new values; sets the rest
//	{"replace": {...}}     puts members in the place of those that are there
//	{"delete": {...}}      takes items from lists and clears members; what is not there is no fault; "remove" is the same
//	{"json_patch": [...]}  operations of RFC 6902
//
// Items of lists are known by their key: a server by address and port, a service by port, a member of a pool group by
// its pool. References are the same when one names what the other does by uuid or by name, so current should hold them as
// URLs with uuid and #name. Secrets that current holds stay.
func Patch(kindName string, current Any, patch []byte) ([]byte, error) {
	k := findKind(kindName)
	if k == nil || k != current.kind {
		return nil, &FieldError{Object: kindName, Msg: "a patch for " + aWord(kindName) + " does not fit " + current.String()}
	}
	p := patcher{object: current.String()}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(patch, &parts); err != nil {
		return nil, p.fault("", "expected a JSON object with "+orList(patchOrder)+": "+err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if !slices.Contains(patchOrder, name) {
			return nil, p.fault(name, "unknown kind of patch: must be "+orList(patchOrder))
		}
	}
	doc := current.JSON(JSONOptions{Form: SkipDefault, Secrets: true})
	for _, name := range patchOrder {
		if parts[name] == nil {
			continue
		}
		var err error
		if name == "json_patch" {
			// an operation may name a member that stands at its default, so the document is the full one
			doc, err = p.operations(k, doc, parts[name])
		} else {
			doc, err = p.part(k, doc, name, parts[name])
		}
		if err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// patcher applies the parts of a patch.
type patcher struct {
	object string
}

func (p *patcher) fault(path, msg string) error {
	return &FieldError{Object: p.object, Path: path, Msg: msg}
}

// part applies add, replace, delete or remove.
func (p *patcher) part(k *kind, doc []byte, name string, text json.RawMessage) ([]byte, error) {
	to, err := readObject(doc)
	if err != nil {
		return nil, p.fault("", err.Error())
	}
	change, err := readObject(text)
	if err != nil {
		return nil, p.fault(name, err.Error())
	}
	for _, member := range slices.Sorted(maps.Keys(change)) {
		if k.shape.byName[member] == nil && k.shape.kept[member] == nil {
			return nil, p.fault(member, unknown(member, k.shape))
		}
	}
	switch name {
	case "replace":
		maps.Copy(to, change)
	case "add":
		p.add(k.shape, to, change)
	default:
		p.remove(k.shape, to, change)
	}
	return json.Marshal(to)
}

// readObject reads a JSON object, numbers as they are written.
func readObject(data []byte) (out map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err = dec.Decode(&out); err != nil {
		err = fmt.Errorf("expected a JSON object: %w", err)
	}
	return out, err
}

// add merges change into to.
func (p *patcher) add(sh *shape, to, change map[string]any) {
	for name, value := range change {
		f := fieldOf(sh, name)
		switch more := value.(type) {
		case []any:
			have, _ := to[name].([]any)
			to[name] = p.addItems(sh, f, name, have, more)
		case map[string]any:
			have, ok := to[name].(map[string]any)
			if !ok || f != nil && f.class == classAddr {
				to[name] = more
				continue
			}
			p.add(shapeOf(f), have, more)
		default:
			to[name] = value
		}
	}
}

func (p *patcher) addItems(sh *shape, f *field, name string, have, more []any) []any {
	out := slices.Clone(have)
	for _, item := range more {
		key := keyOf(sh, f, name, item)
		i := slices.IndexFunc(out, func(old any) bool { return sameKey(keyOf(sh, f, name, old), key) })
		if i < 0 {
			out = append(out, item)
			continue
		}
		old, ok := out[i].(map[string]any)
		if fresh, isObject := item.(map[string]any); ok && isObject {
			old = maps.Clone(old)
			maps.Copy(old, fresh)
			out[i] = old
		} else if isObject {
			out[i] = item
		}
	}
	return out
}

// remove takes change from to.
func (p *patcher) remove(sh *shape, to, change map[string]any) {
	for name, value := range change {
		f := fieldOf(sh, name)
		switch less := value.(type) {
		case []any:
			have, ok := to[name].([]any)
			if !ok {
				continue
			}
			left := slices.DeleteFunc(slices.Clone(have), func(old any) bool {
				key := keyOf(sh, f, name, old)
				return slices.ContainsFunc(less, func(item any) bool { return sameKey(keyOf(sh, f, name, item), key) })
			})
			if to[name] = left; len(left) == 0 {
				delete(to, name)
			}
		case map[string]any:
			have, ok := to[name].(map[string]any)
			if !ok || len(less) == 0 || f != nil && f.class == classAddr {
				delete(to, name)
				continue
			}
			p.remove(shapeOf(f), have, less)
		default:
			delete(to, name)
		}
	}
}

func fieldOf(sh *shape, name string) *field {
	if sh == nil {
		return nil // within what is kept
	}
	return sh.byName[name]
}

func shapeOf(f *field) *shape {
	if f == nil {
		return nil
	}
	return f.of
}

// keptKeys are the members that make an item of a list within a kept field what it is.
var keptKeys = []string{"index", "key", "name", "uuid"}

// keyOf returns what makes an item of a list what it is: texts to compare, references among them. Of an item without
// a key it is all of it.
func keyOf(sh *shape, f *field, name string, item any) []string {
	if text, ok := item.(string); ok {
		if f != nil && f.of != nil {
			return shortKey(f, text)
		}
		return []string{text}
	}
	members, ok := item.(map[string]any)
	if !ok {
		return []string{fmt.Sprint(item)}
	}
	keys := keptKeys
	if f != nil && f.of != nil {
		keys = f.key
	}
	var out []string
	for _, key := range keys {
		value, ok := members[key]
		if !ok && (f == nil || f.of == nil) {
			continue // of a kept list, the first member that is there
		}
		out = append(out, keyText(shapeOf(f), key, value))
		if f == nil || f.of == nil {
			break
		}
	}
	if len(out) == 0 {
		all, _ := json.Marshal(members) // sorted, so the same for the same
		return []string{string(all)}
	}
	return out
}

// shortKey is the key of an item written as one text, such as 10.0.0.1:5060.
func shortKey(f *field, text string) []string {
	v := reflect.New(f.of.typ).Elem()
	short, ok := shortForms[f.of.typ]
	if !ok || short.read(v, text) != "" {
		return []string{text}
	}
	var out []string
	for _, key := range f.key {
		kf := f.of.byName[key]
		out = append(out, strings.Join(append(fieldTexts(v.Field(kf.index), kf, kf.class, nil), ""), ""))
	}
	return out
}

// keyText is one member of a key as text: an address in its normal form, a member left out at its default.
func keyText(sh *shape, name string, value any) string {
	f := fieldOf(sh, name)
	if value == nil {
		if f == nil {
			return ""
		}
		return strings.Join(fieldTexts(sh.zero.Field(f.index), f, f.class, nil), "")
	}
	if addr, ok := value.(map[string]any); ok {
		value = addr["addr"]
	}
	text := fmt.Sprint(value)
	if a, err := netip.ParseAddr(text); err == nil {
		return a.String()
	}
	return text
}

// sameKey compares keys. Where one has a uuid and the other a name, a reference that gives both fits either.
func sameKey(a, b []string) bool {
	return slices.EqualFunc(a, b, func(x, y string) bool {
		if x == y {
			return true
		}
		r, okX := ParseRef(x)
		s, okY := ParseRef(y)
		if !okX && !okY {
			return false
		}
		for _, one := range refTexts(r) {
			if slices.Contains(refTexts(s), one) {
				return true
			}
		}
		return false
	})
}

// refTexts are the texts that a reference may be known by.
func refTexts(r Reference) []string {
	var out []string
	for _, text := range []string{r.UUID, r.Name, r.Written} {
		if text != "" {
			out = append(out, text)
		}
	}
	if r.Kind == "" {
		out = append(out, r.Text)
	}
	return out
}

// operations applies those of RFC 6902.
func (p *patcher) operations(k *kind, doc []byte, text json.RawMessage) ([]byte, error) {
	ops, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, p.fault("json_patch", "expected a list of operations as RFC 6902 has them: "+err.Error())
	}
	if len(ops) > maxPatchOps {
		return nil, p.fault("json_patch", strconv.Itoa(len(ops))+" operations: must be at most "+strconv.Itoa(maxPatchOps))
	}
	// a path may name a member at its default, which the short form leaves out
	a, err := Decode(k.name, doc)
	if err != nil {
		return nil, err
	}
	options := jsonpatch.NewApplyOptions()
	options.SupportNegativeIndices = false
	options.EnsurePathExistsOnAdd = false
	options.AccumulatedCopySizeLimit = maxFileBytes
	out, err := ops.ApplyWithOptions(a.JSON(JSONOptions{Form: Full, Secrets: true}), options)
	if err != nil {
		return nil, p.fault("json_patch", err.Error())
	}
	return out, nil
}
