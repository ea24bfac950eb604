package object

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// The schema is the struct tags of objects.go. The words of a tag:
//
//	json      name of the field in a file
//	required  must be given
//	default   value when left out; without it the zero value
//	range     numbers that are right: "1..7200,0,-1"
//	special   what numbers in the range mean that do not mean themselves
//	words     what a text may be: a prefix, "-" for none, and the words behind it
//	items     least and most items of a list: "1..256"
//	unit      unit of a number
//	ref       kind of object that the text names
//	key       of a list: the fields that make an item of it what it is, for a patch: "ip,port"
//	secret    never shown unless asked for
//	when      value of the field type with which this struct has an effect
//	optional  a struct that is not there while it is all zero
//	idle      checked and given back, but without effect
//	readonly  filled in by us: what is given does not count
//	own       the field is Carillon's, not Avi's
//	doc       what the field does

// class is how a field is written.
type class uint8

const (
	classBool   class = iota
	classNumber       // whole number, signed or not
	classText
	classWord // enumeration
	classAddr // netip.Addr; {addr, type} in a file
	classStruct
	classList // of anything but lists
)

// field is one field of a shape.
type field struct {
	name     string
	index    int // in the Go struct
	class    class
	elem     class        // of a classList
	of       *shape       // of a classStruct, or a list of them
	words    *enumeration // of a classWord
	required bool
	own      bool
	min, max int64   // of a classNumber
	extra    []int64 // right too, outside min to max
	special  string
	unit     string
	ref      string   // kind of object
	idle     bool     // checked and given back, no effect
	readOnly bool     // filled in by us: what is given does not count
	optional bool     // a struct that is not there while it is all zero
	filled   bool     // has a default that is not empty
	secret   bool     // never shown unless asked for
	digits   bool     // a text that is a number mostly, and is taken as one from JSON too
	key      []string // of a list of structs: what makes an item what it is; empty: all of it
	minItems int
	maxItems int
	when     string
	doc      string
}

// shape is the schema of one struct.
type shape struct {
	name   string
	typ    reflect.Type
	fields []field
	byName map[string]*field
	kept   map[string]*keptField
	keptAt int // index of the field Kept
	zero   reflect.Value
	typeAt int // index of the field Type, which `when` of others speaks of; -1: none

	keptInOrder []*keptField // by name
	members     []string     // names of fields, for people
	mayRef      bool         // there may be references, in kept fields too
	refs        bool         // there are references that have an effect
}

// kind is one kind of object: a field of Set.
type kind struct {
	name   string
	path   string // below /api/
	prefix string // of its uuids
	title  string // for people
	index  int    // in Set
	shape  *shape
	nameAt int // index of the field Name
	uuidAt int

	written *atomic.Int64 // octets of JSON of the last one that was written: what to begin with
}

// objects are those of one kind in a set: a list of pointers.
type objects struct{ list reflect.Value }

func (o objects) Len() int { return o.list.Len() }

// Index is the struct at a place.
func (o objects) Index(i int) reflect.Value { return o.list.Index(i).Elem() }

// list is the objects of that kind in a set.
func (k *kind) list(s *Set) objects { return objects{reflect.ValueOf(s).Elem().Field(k.index)} }

type schema struct {
	kinds  []kind
	shapes map[reflect.Type]*shape
}

// theSchema is read from the tags once. Its faults are ours alone, so they panic, and any test shows them.
var theSchema = sync.OnceValue(func() *schema {
	s := &schema{shapes: map[reflect.Type]*shape{}}
	set := reflect.TypeFor[Set]()
	for i := range set.NumField() {
		elem := set.Field(i).Type.Elem().Elem()
		s.kinds = append(s.kinds, newKind(elem, i, s.add(elem)))
	}
	return s
})

// newKind is the kind of the objects in field i of Set.
func newKind(t reflect.Type, i int, sh *shape) kind {
	k := kind{name: t.Name(), path: strings.ToLower(t.Name()), title: titleOf(t.Name()), index: i, shape: sh, written: &atomic.Int64{}}
	k.prefix = k.path
	if k.name == "ServiceEngine" {
		k.prefix = "se" // as Avi has it
	}
	name, _ := t.FieldByName("Name")
	uuid, _ := t.FieldByName("UUID")
	k.nameAt, k.uuidAt = name.Index[0], uuid.Index[0]
	return k
}

// newWord finds where a word begins in VirtualService and SSLKeyAndCertificate.
var newWord = regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`)

// titleOf writes VirtualService as "virtual service" and SSLKeyAndCertificate as "SSL key and certificate".
func titleOf(name string) string {
	words := strings.Split(newWord.ReplaceAllString(name, "$1$3 $2$4"), " ")
	for i, w := range words {
		if w != strings.ToUpper(w) {
			words[i] = strings.ToLower(w)
		}
	}
	return strings.Join(words, " ")
}

func (s *schema) kind(name string) *kind {
	for i := range s.kinds {
		if s.kinds[i].name == name {
			return &s.kinds[i]
		}
	}
	return nil
}

// add builds the shape of a struct, and those of the structs in it.
func (s *schema) add(t reflect.Type) *shape {
	if sh := s.shapes[t]; sh != nil {
		return sh
	}
	sh := &shape{name: t.Name(), typ: t, byName: map[string]*field{}, zero: reflect.New(t).Elem(), keptAt: -1, typeAt: -1}
	s.shapes[t] = sh
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Type == reflect.TypeFor[Kept]() {
			sh.keptAt = i
			continue
		}
		if sf.Name == "Type" { // whatever its name in a file
			sh.typeAt = i
		}
		sh.fields = append(sh.fields, s.field(sf, i))
		f := &sh.fields[len(sh.fields)-1]
		f.setDefault(sh.zero.Field(i), sf.Tag)
	}
	for i := range sh.fields {
		sh.byName[sh.fields[i].name] = &sh.fields[i]
	}
	sh.kept = map[string]*keptField{}
	for i := range keptFields[t.Name()] {
		k := &keptFields[t.Name()][i]
		sh.kept[k.name] = k
	}
	if slices.ContainsFunc(s.objectTypes(), func(o reflect.Type) bool { return o == t }) {
		for i := range keptByAll {
			sh.kept[keptByAll[i].name] = &keptByAll[i]
		}
	}
	sh.summarize()
	return sh
}

// summarize notes what is asked of a shape often.
func (sh *shape) summarize() {
	for _, name := range slices.Sorted(maps.Keys(sh.kept)) {
		k := sh.kept[name]
		sh.keptInOrder = append(sh.keptInOrder, k)
		sh.mayRef = sh.mayRef || k.is == keptObject || k.is == keptList || refKinds[name] != ""
	}
	for i := range sh.fields {
		f := &sh.fields[i]
		sh.refs = sh.refs || f.ref != "" || f.of != nil && f.of.refs
		sh.mayRef = sh.mayRef || sh.refs || f.of != nil && f.of.mayRef
	}
	sh.members = slices.Clip(sh.listMembers())
}

// objectTypes are the element types of Set: the structs that are objects of their own.
func (s *schema) objectTypes() []reflect.Type {
	var out []reflect.Type
	set := reflect.TypeFor[Set]()
	for i := range set.NumField() {
		out = append(out, set.Field(i).Type.Elem().Elem())
	}
	return out
}

func (s *schema) field(sf reflect.StructField, index int) field {
	f := field{name: sf.Tag.Get("json"), index: index, unit: sf.Tag.Get("unit"), ref: sf.Tag.Get("ref"),
		special: sf.Tag.Get("special"), when: sf.Tag.Get("when"), doc: sf.Tag.Get("doc")}
	_, f.required = sf.Tag.Lookup("required")
	_, f.own = sf.Tag.Lookup("own")
	_, f.idle = sf.Tag.Lookup("idle")
	_, f.readOnly = sf.Tag.Lookup("readonly")
	_, f.optional = sf.Tag.Lookup("optional")
	f.filled = sf.Tag.Get("default") != ""
	_, f.secret = sf.Tag.Lookup("secret")
	_, f.digits = sf.Tag.Lookup("digits")
	t := sf.Type
	f.class = classOf(t)
	if f.class == classList {
		t = t.Elem()
		f.elem = classOf(t)
		lo, hi, _ := strings.Cut(sf.Tag.Get("items"), "..")
		f.minItems, _ = strconv.Atoi(lo)
		f.maxItems, _ = strconv.Atoi(hi)
		if key := sf.Tag.Get("key"); key != "" {
			f.key = strings.Split(key, ",")
		}
	}
	if words := sf.Tag.Get("words"); words != "" {
		f.class, f.words = classWord, wordsOf(words)
	}
	switch {
	case f.class == classStruct || f.class == classList && f.elem == classStruct:
		f.of = s.add(t)
	case f.class == classWord && f.words == nil:
		f.words = enumerations[t]
	case f.class == classNumber || f.class == classList && f.elem == classNumber:
		f.setRange(sf.Tag.Get("range"))
	}
	return f
}

func classOf(t reflect.Type) class {
	switch {
	case enumerations[t] != nil:
		return classWord
	case t == reflect.TypeFor[netip.Addr]():
		return classAddr
	}
	switch t.Kind() {
	case reflect.Bool:
		return classBool
	case reflect.Int, reflect.Uint16:
		return classNumber
	case reflect.String:
		return classText
	case reflect.Struct:
		return classStruct
	case reflect.Slice:
		return classList
	}
	panic("object: no class for " + t.String())
}

// setRange reads "1..7200,0,-1".
func (f *field) setRange(text string) {
	for i, part := range strings.Split(text, ",") {
		lo, hi, isRange := strings.Cut(part, "..")
		n, err := strconv.ParseInt(lo, 10, 64)
		if err != nil {
			panic("object: range of " + f.name + ": " + err.Error())
		}
		switch {
		case i == 0 && isRange:
			f.min = n
			f.max, _ = strconv.ParseInt(hi, 10, 64)
		default:
			f.extra = append(f.extra, n)
		}
	}
}

// setDefault puts the default of the tag into v.
func (f *field) setDefault(v reflect.Value, tag reflect.StructTag) {
	text, ok := tag.Lookup("default")
	if f.class == classStruct {
		v.Set(f.of.zero)
		return
	}
	if !ok {
		return
	}
	switch f.class {
	case classBool:
		v.SetBool(text == "true")
	case classNumber:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			panic("object: default of " + f.name + ": " + err.Error())
		}
		setNumber(v, n)
	case classText, classWord:
		v.SetString(text)
	default:
		panic("object: default of " + f.name)
	}
}

func setNumber(v reflect.Value, n int64) {
	if v.CanUint() {
		v.SetUint(uint64(n))
		return
	}
	v.SetInt(n)
}

func number(v reflect.Value) int64 {
	if v.CanUint() {
		return int64(v.Uint())
	}
	return v.Int()
}

func (f *field) inRange(n int64) bool {
	return n >= f.min && n <= f.max || slices.Contains(f.extra, n)
}

// numbers says which numbers are right: "1 to 7200, 0 or -1 (0 is at once, -1 is never)".
func (f *field) numbers() string {
	parts := []string{fmt.Sprintf("%d to %d", f.min, f.max)}
	for _, n := range f.extra {
		parts = append(parts, strconv.FormatInt(n, 10))
	}
	text := orList(parts)
	if f.special != "" {
		text += " (" + f.special + ")"
	}
	return text
}

// orList writes "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// aWord writes "a Pool" or "an ApplicationProfile".
func aWord(name string) string {
	if strings.ContainsAny(name[:1], "AEIOUaeiou") {
		return "an " + name
	}
	return "a " + name
}

// isDefault reports whether field f of the struct v stands at its default. An empty list is one, nil or not.
func (sh *shape) isDefault(v reflect.Value, f *field) bool {
	fv, zero := v.Field(f.index), sh.zero.Field(f.index)
	switch f.class {
	case classList:
		return fv.Len() == 0
	case classBool:
		return fv.Bool() == zero.Bool()
	case classNumber:
		return number(fv) == number(zero)
	case classText, classWord:
		return fv.String() == zero.String()
	case classAddr:
		return *addrAt(fv) == *addrAt(zero)
	}
	return reflect.DeepEqual(fv.Addr().Interface(), zero.Addr().Interface()) // as pointers they are not copied
}

// addrAt is the address that a field or an item holds. As an interface of its own it would be allocated.
func addrAt(v reflect.Value) *netip.Addr { return v.Addr().Interface().(*netip.Addr) }

// applies reports whether field f of the struct v has an effect with the type that v is of.
func (sh *shape) applies(v reflect.Value, f *field) bool {
	return f.when == "" || v.Field(sh.typeAt).String() == f.when
}

// New returns an object with that name and every default.
func New[T Kind](name string) T {
	v := reflect.New(reflect.TypeFor[T]()).Elem()
	v.Set(theSchema().shapes[v.Type()].zero)
	v.FieldByName("Name").SetString(name)
	return v.Interface().(T)
}

// Kind is any of the objects of a Set.
type Kind interface {
	VirtualService | VsVip | Pool | PoolGroup | HealthMonitor | ApplicationProfile | NetworkProfile |
		AnalyticsProfile | ApplicationPersistenceProfile | SSLProfile | SSLKeyAndCertificate | PKIProfile |
		NetworkSecurityPolicy | IpAddrGroup | Tenant | Cloud | ServiceEngineGroup | ServiceEngine | VrfContext | User | Role
}

// NewVip returns an address of a VsVip, with every default.
func NewVip(id string, addr netip.Addr) Vip {
	v := theSchema().shapes[reflect.TypeFor[Vip]()].zero.Interface().(Vip)
	v.VipID, v.IPAddress = id, addr
	return v
}

// NewServer returns a server with that address and every default. Port 0 takes the pool's.
func NewServer(addr netip.AddrPort) Server {
	sv := theSchema().shapes[reflect.TypeFor[Server]()].zero.Interface().(Server)
	sv.IP, sv.Port = addr.Addr(), addr.Port()
	return sv
}
