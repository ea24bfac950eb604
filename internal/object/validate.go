package object

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameBytes bounds the name of an object.
const maxNameBytes = 255

// Validate reports every fault of the set at once, as a joined error of *FieldError. References must be names: see
// Resolve. A set from Load has no faults.
func (s *Set) Validate() error {
	c := newChecker(s)
	var faults []*FieldError
	c.report = func(id objectID, p *path, msg string) {
		faults = append(faults, &FieldError{Object: id.label(s), Path: p.String(), Msg: msg})
	}
	c.all()
	return join(faults)
}

// label is "Pool/edge", or "Pool[2]" of an object without a name.
func (id objectID) label(s *Set) string {
	name := id.in(s).FieldByName("Name").String()
	if name == "" {
		return id.kind.name + "[" + strconv.Itoa(id.index) + "]"
	}
	return id.kind.name + "/" + name
}

func (id objectID) in(s *Set) reflect.Value {
	return reflect.ValueOf(s).Elem().Field(id.kind.index).Index(id.index)
}

// checker checks a set: every field by its schema, then what fields mean together (rules.go).
type checker struct {
	set    *Set
	index  *index
	at     objectID // being checked
	line   func(objectID) int
	report func(objectID, *path, string)
	claims map[netip.AddrPort]string // listening addresses: whose
}

func newChecker(s *Set) *checker {
	return &checker{set: s, index: newIndex(s), line: func(objectID) int { return 0 }, claims: map[netip.AddrPort]string{}}
}

func (c *checker) fail(p *path, msg string) { c.report(c.at, p, msg) }

func (c *checker) all() {
	v := reflect.ValueOf(c.set).Elem()
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		uuids := map[string]objectID{}
		for j := range v.Field(k.index).Len() {
			c.at = objectID{k, j}
			object := v.Field(k.index).Index(j)
			c.structure(object, k.shape, nil)
			c.identity(object, uuids)
			c.rules()
		}
	}
}

// identity checks that name and uuid are the object's alone.
func (c *checker) identity(object reflect.Value, uuids map[string]objectID) {
	name, uuid := object.FieldByName("Name").String(), object.FieldByName("UUID").String()
	at := (*path)(nil)
	switch first := c.index.names[c.at.kind.name][name]; {
	case name == "":
	case first != c.at.index:
		c.fail(at.field("name"), "there are two named "+quote(name)+c.lineOf(objectID{c.at.kind, first}))
	case len(name) > maxNameBytes:
		c.fail(at.field("name"), strconv.Itoa(len(name))+" bytes long: must be 1 to "+strconv.Itoa(maxNameBytes))
	case strings.ContainsFunc(name, unicode.IsControl):
		c.fail(at.field("name"), "must not contain control characters")
	}
	if uuid == "" {
		return
	}
	if first, twice := uuids[uuid]; twice {
		c.fail(at.field("uuid"), "is that of "+first.label(c.set)+" too"+c.lineOf(first))
		return
	}
	uuids[uuid] = c.at
}

// lineOf writes ", the first on line 12" when the line is known.
func (c *checker) lineOf(id objectID) string {
	if n := c.line(id); n > 0 {
		return ", the first on line " + strconv.Itoa(n)
	}
	return ""
}

// structure checks every field of a struct by its schema.
func (c *checker) structure(v reflect.Value, sh *shape, p *path) {
	for i := range sh.fields {
		f := &sh.fields[i]
		if !sh.applies(v, f) {
			if !sh.isDefault(v, f) {
				c.fail(p.field(f.name), "has an effect only with type "+f.when+"; this is of type "+quote(v.Field(sh.typeAt).String()))
			}
			continue
		}
		c.field(v.Field(f.index), f, p)
	}
	if sh.keptAt < 0 {
		return
	}
	kept := v.Field(sh.keptAt).Interface().(Kept)
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		raw := kept[name]
		switch k := sh.kept[name]; {
		case k == nil:
			c.fail(p.field(name), unknown(name, sh))
		case !json.Valid(raw) || !k.takes(raw):
			c.fail(p.field(name), "expected "+k.is.String())
		}
	}
}

// field checks one field of the struct at p.
func (c *checker) field(v reflect.Value, f *field, p *path) {
	switch f.class {
	case classStruct:
		c.structure(v, f.of, p.field(f.name))
	case classList:
		c.list(v, f, p)
	default:
		if fault := c.scalar(v, f, f.class); fault != "" {
			c.fail(p.field(f.name), fault)
		}
	}
}

func (c *checker) list(v reflect.Value, f *field, p *path) {
	p = p.field(f.name)
	if n := v.Len(); n < f.minItems || n > f.maxItems && f.maxItems > 0 {
		c.fail(p, f.itemsFault(n))
		return
	}
	for i := range v.Len() {
		if f.of != nil {
			c.structure(v.Index(i), f.of, p.item(i))
		} else if fault := c.scalar(v.Index(i), f, f.elem); fault != "" {
			c.fail(p.item(i), fault)
		}
	}
	if f.ref == "" {
		return
	}
	names := v.Interface().([]string)
	for i := range names {
		if slices.Contains(names[:i], names[i]) {
			c.fail(p.item(i), quote(names[i])+" is there twice")
		}
	}
}

// scalar says what is wrong with a value that is neither struct nor list.
func (c *checker) scalar(v reflect.Value, f *field, cl class) string {
	switch cl {
	case classNumber:
		if n := number(v); !f.inRange(n) {
			return strconv.FormatInt(n, 10) + " is out of range: must be " + f.numbers()
		}
	case classAddr:
		a := v.Interface().(netip.Addr)
		if a.IsValid() {
			return addrFault(a)
		}
		if f.required {
			return "missing: " + f.wanted()
		}
	case classWord:
		if v.String() == "" {
			return "missing: " + f.wanted()
		}
		switch long, fault := f.words.parse(v.String()); {
		case fault != "":
			return fault
		case long != v.String():
			return quote(v.String()) + " must be written " + long // Load does so by itself
		}
	case classText:
		return c.text(v.String(), f)
	}
	return ""
}

func (c *checker) text(text string, f *field) string {
	switch {
	case text == "" && (f.required || f.ref != ""):
		return "missing: " + f.wanted()
	case !utf8.ValidString(text):
		return "is not UTF-8"
	case f.ref == "" || c.index.has(f.ref, text):
		return ""
	}
	name, fault := c.index.find(f.ref, text)
	if fault != "" {
		return fault
	}
	return "must be the name, " + quote(name) // Load does so by itself
}
