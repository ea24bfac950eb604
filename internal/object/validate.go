package object

import (
	"encoding/json"
	"maps"
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
	return id.kind.list(s).Index(id.index)
}

// Check reports every fault that an object has by itself, as a joined error of *FieldError: fields outside their range,
// and fields that do not fit each other. References may have any spelling; whether they name anything is for
// ValidateTogether.
func Check(a Any) error {
	if a.kind == nil {
		return &FieldError{Msg: "there is no object"}
	}
	var faults []*FieldError
	label := a.kind.name
	if a.Name() != "" {
		label = a.String()
	}
	c := &checker{label: label}
	c.report = func(_ objectID, p *path, msg string) {
		faults = append(faults, &FieldError{Object: label, Path: p.String(), Msg: msg})
	}
	c.alone(a)
	return join(faults)
}

// ValidateTogether reports what the objects of a set, each right by itself, mean together: names and uuids that two
// have, references that name nothing or what does not fit, addresses that two services listen on. References must be
// names: see Resolve.
func (s *Set) ValidateTogether() error {
	c := newChecker(s)
	var faults []*FieldError
	c.report = func(id objectID, p *path, msg string) {
		faults = append(faults, &FieldError{Object: id.label(s), Path: p.String(), Msg: msg})
	}
	c.together()
	return join(faults)
}

// checker checks objects: each by its schema and its own rules (alone), then what they mean together (together.go).
type checker struct {
	set    *Set   // nil: one object is checked alone
	index  *index // nil when set is
	label  string // of that one object
	at     objectID
	line   func(objectID) int
	report func(objectID, *path, string)
	claims map[claim]objectID // listening addresses: whose
	used   []bool             // pools that a virtual service names, by their place
}

func newChecker(s *Set) *checker {
	return &checker{set: s, index: newIndex(s), used: make([]bool, len(s.Pools)), line: func(objectID) int { return 0 }, claims: make(map[claim]objectID, 2*len(s.VirtualServices))}
}

func (c *checker) fail(p *path, msg string) { c.report(c.at, p, msg) }

// all checks each object, and then all together.
func (c *checker) all() {
	c.each()
	c.together()
}

// each checks each object by itself.
func (c *checker) each() {
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		list := k.list(c.set)
		for j := range list.Len() {
			c.at = objectID{k, j}
			c.alone(Any{k, list.Index(j)})
		}
	}
}

// alone checks one object by itself.
func (c *checker) alone(a Any) {
	c.structure(a.v, a.kind.shape, nil)
	at := (*path)(nil).field("name")
	switch name := a.Name(); {
	case len(name) > maxNameBytes:
		c.fail(at, strconv.Itoa(len(name))+" bytes long: must be 1 to "+strconv.Itoa(maxNameBytes))
	case strings.ContainsFunc(name, unicode.IsControl):
		c.fail(at, "must not contain control characters")
	}
	c.rules(a)
}

// rules checks what the fields of an object mean together.
func (c *checker) rules(a Any) {
	switch o := a.Value().(type) {
	case *VirtualService:
		c.virtualService(o)
	case *VsVip:
		c.vsVip(o)
	case *Pool:
		c.pool(o)
	case *PoolGroup:
		c.poolGroup(o)
	case *HealthMonitor:
		c.healthMonitor(o)
	case *SSLKeyAndCertificate:
		c.sslKeyAndCertificate(o)
	case *PKIProfile:
		c.pkiProfile(o)
	case *SSLProfile:
		c.sslProfile(o)
	case *NetworkSecurityPolicy:
		c.networkSecurityPolicy(o)
	case *IpAddrGroup:
		c.ipAddrGroup(o)
	case *User:
		c.user(o)
	}
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
		if f.optional && sh.isDefault(v, f) {
			continue // not there
		}
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
		case k.fault(raw) != "":
			c.fail(p.field(name), k.fault(raw))
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
		if fault := scalarFault(v, f, f.class); fault != "" {
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
		} else if fault := scalarFault(v.Index(i), f, f.elem); fault != "" {
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

// scalarFault says what is wrong with a value that is neither struct nor list.
func scalarFault(v reflect.Value, f *field, cl class) string {
	switch cl {
	case classNumber:
		if n := number(v); !f.inRange(n) {
			return strconv.FormatInt(n, 10) + " is out of range: must be " + f.numbers()
		}
	case classAddr:
		a := *addrAt(v)
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
		return textFault(v.String(), f)
	}
	return ""
}

func textFault(text string, f *field) string {
	switch {
	case text == "" && (f.required || f.ref != "" && (f.filled || f.class == classList)):
		return "missing: " + f.wanted()
	case !utf8.ValidString(text):
		return "is not UTF-8"
	}
	return ""
}
