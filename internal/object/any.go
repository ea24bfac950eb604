package object

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Any is one object of any kind. The zero Any is none. It is a value: what changes it returns another, and nobody
// changes what Value points to.
type Any struct {
	kind *kind
	v    reflect.Value // the struct; valid iff kind is set
}

// AnyOf wraps an object: AnyOf(&pool). It is not copied.
func AnyOf[T Kind](o *T) Any {
	v := reflect.ValueOf(o).Elem()
	return Any{theSchema().kind(v.Type().Name()), v}
}

// IsZero reports whether a is no object.
func (a Any) IsZero() bool { return a.kind == nil }

// Kind is the kind of the object, such as "Pool"; empty of the zero Any.
func (a Any) Kind() string {
	if a.kind == nil {
		return ""
	}
	return a.kind.name
}

// Name is the object's name.
func (a Any) Name() string { return a.v.Field(a.kind.nameAt).String() }

// UUID is the object's uuid, empty when it has none yet.
func (a Any) UUID() string { return a.v.Field(a.kind.uuidAt).String() }

// Value is a pointer to the object, such as *Pool.
func (a Any) Value() any {
	if a.kind == nil {
		return nil
	}
	return a.v.Addr().Interface()
}

// String is "Pool/edge", as errors name objects.
func (a Any) String() string {
	if a.kind == nil {
		return "no object"
	}
	return a.kind.name + "/" + a.Name()
}

// WithUUID returns a copy with that uuid.
func (a Any) WithUUID(uuid string) Any { return a.withText(a.kind.uuidAt, uuid) }

// WithName returns a copy with that name.
func (a Any) WithName(name string) Any { return a.withText(a.kind.nameAt, name) }

func (a Any) withText(field int, text string) Any {
	v := reflect.New(a.kind.shape.typ).Elem()
	v.Set(a.v) // lists are shared: nobody changes them
	v.Field(field).SetString(text)
	return Any{a.kind, v}
}

// WithRef returns a copy whose reference field of the object itself, such as tenant_ref, reads value; empty clears it.
// A field that the kind does not have changes nothing.
func (a Any) WithRef(name, value string) Any {
	if f := a.kind.shape.byName[name]; f != nil {
		return a.withText(f.index, value)
	}
	if a.kind.shape.kept[name] == nil {
		return a
	}
	v := reflect.New(a.kind.shape.typ).Elem()
	v.Set(a.v)
	at := v.Field(a.kind.shape.keptAt)
	kept := Kept{}
	for n, raw := range at.Interface().(Kept) {
		kept[n] = raw
	}
	if kept[name] = compact(value); value == "" {
		delete(kept, name)
	}
	at.SetZero()
	if len(kept) > 0 {
		at.Set(reflect.ValueOf(kept))
	}
	return Any{a.kind, v}
}

// Equal reports whether two objects say the same, uuid included. A list that is empty equals one that is not there.
func Equal(a, b Any) bool {
	switch {
	case a.kind != b.kind:
		return false
	case a.kind == nil:
		return true
	}
	o := JSONOptions{Form: SkipDefault, Secrets: true}
	return bytes.Equal(a.JSON(o), b.JSON(o))
}

// Decode reads one object, JSON or YAML, onto the defaults of its kind. The error joins a *FieldError for every fault
// of form: an unknown field, a wrong type, a number out of range, an unknown word. References may have any spelling,
// and are left as written. What fields mean together is for Check.
func Decode(kindName string, data []byte) (Any, error) {
	k := findKind(kindName)
	if k == nil {
		return Any{}, &FieldError{Object: kindName, Msg: unknownKind(kindName)}
	}
	r := readers.Get().(*jsonReader)
	defer r.free()
	docs, fault := r.read("", data)
	if fault != nil {
		if err := json.Unmarshal(data, new(any)); err != nil && bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
			fault.Msg = "not JSON: " + err.Error() // a client that sends { means JSON
		}
		fault.Object = k.name
		return Any{}, fault
	}
	if len(docs) != 1 {
		return Any{}, &FieldError{Object: k.name, Msg: "expected one object, got " + strconv.Itoa(len(docs)) + " documents"}
	}
	d := &decoder{object: k.name}
	if name := d.nameOf(docs[0]); name != "" {
		d.object = k.name + "/" + name
	}
	a := newAny(k)
	d.structure(docs[0], k.shape, a.v, nil)
	if err := join(d.faults); err != nil {
		return Any{}, err
	}
	a.complete()
	return a, nil
}

// Plain reports whether an object of a kind holds only what was given: none of it is a secret, or follows from the rest.
func Plain(kindName string) bool {
	switch k := theSchema().kind(kindName); {
	case k == nil || k.shape.secret():
		return false
	case k.name == "VsVip" || k.name == "PKIProfile": // as complete has it; the others have secrets
		return false
	}
	return true
}

// secret reports whether there is one in a struct, or in one below it.
func (sh *shape) secret() bool {
	return slices.ContainsFunc(sh.fields, func(f field) bool { return f.secret || f.of != nil && f.of.secret() })
}

// complete fills in what follows from what was given.
func (a Any) complete() {
	switch o := a.Value().(type) {
	case *VsVip:
		o.number()
	case *SSLKeyAndCertificate:
		o.fillIn()
	case *PKIProfile:
		for i := range o.CACerts {
			o.CACerts[i].fillIn()
		}
	case *User:
		if o.Username == "" {
			o.Username = o.Name
		}
	}
}

// newAny returns an object of a kind with every default.
func newAny(k *kind) Any {
	v := reflect.New(k.shape.typ).Elem()
	v.Set(k.shape.zero)
	return Any{k, v}
}

// Text returns what a field of the object itself holds, as text, and its default when it was left out: "true", "5060",
// a word, a reference as it stands. Of a list and of a mapping, and of a field that is not there, it is empty.
func (a Any) Text(name string) string {
	if texts := a.Texts(name); len(texts) == 1 {
		return texts[0]
	}
	return ""
}

// Texts returns every value at a path, as text: "name", "servers.ip.addr", "vip.ip_address", "health_monitor_refs".
// Items of lists stand side by side. A filter looks in them, so those of a secret are none: who may ask "does it begin
// with" often enough would read it.
func (a Any) Texts(path string) []string {
	if a.kind == nil {
		return nil
	}
	return structTexts(a.v, a.kind.shape, strings.Split(path, "."))
}

func structTexts(v reflect.Value, sh *shape, path []string) []string {
	if f := sh.byName[path[0]]; f != nil && f.secret {
		return nil
	} else if f != nil {
		return fieldTexts(v.Field(f.index), f, f.class, path[1:])
	}
	k := sh.kept[path[0]]
	if k == nil {
		return nil
	}
	raw := v.Field(sh.keptAt).Interface().(Kept)[k.name]
	if raw == nil && k.filledIn() {
		raw = json.RawMessage(k.defaultJSON())
	}
	if raw == nil {
		return nil
	}
	r := readers.Get().(*jsonReader)
	defer r.free()
	if n := r.root(raw); n.Kind == yaml.ScalarNode && len(path) == 1 {
		return []string{n.Value}
	}
	return nil // within what is kept nobody looks
}

func fieldTexts(v reflect.Value, f *field, c class, rest []string) []string {
	switch c {
	case classList:
		var out []string
		for i := range v.Len() {
			out = append(out, fieldTexts(v.Index(i), f, f.elem, rest)...)
		}
		return out
	case classStruct:
		if len(rest) == 0 {
			return nil
		}
		return structTexts(v, f.of, rest)
	case classBool:
		return []string{strconv.FormatBool(v.Bool())}
	case classNumber:
		return []string{strconv.FormatInt(number(v), 10)}
	case classAddr:
		a := v.Interface().(netip.Addr)
		switch {
		case !a.IsValid():
			return nil
		case slices.Equal(rest, []string{"type"}):
			return []string{familyOf(a)}
		}
		return []string{a.String()}
	}
	if v.String() == "" {
		return nil
	}
	return []string{v.String()}
}
